"""What stored answers depend on: the model in memory, its tokenizer and the code that evaluates them."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from archbench.identity import digest, model_fingerprint, tokenizer_fingerprint

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ENGINE_VERSION = 7
"""Raised whenever a change could alter a score or a generation, so that stored answers are not mixed."""


class Fingerprint:
    """The digest under which a model's answers are kept; another one after weights were changed in place."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """Nothing is read before the digest is needed."""
        self._model, self._tokenizer = model, tokenizer
        self._taken: tuple[tuple[int, ...], str] | None = None
        # Tensors made in inference mode count no changes, and take none outside of it.
        self._weights = [one for one in model.state_dict(keep_vars=True).values() if not one.is_inference()]

    def digest(self) -> str:
        """sha256 over weights, tokenizer, dtype and the versions of the code, as 64 hex digits."""
        changes = tuple(one._version for one in self._weights)
        if self._taken is None or self._taken[0] != changes:
            parts = {
                "model": model_fingerprint(self._model),
                "tokenizer": tokenizer_fingerprint(self._tokenizer),
                "dtype": str(self._model.dtype),
                "engine": ENGINE_VERSION,
                "transformers": version("transformers"),
            }
            self._taken = (changes, digest(parts))
        return self._taken[1]
