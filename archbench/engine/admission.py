"""Which inputs are put to a model, and what is remembered of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from archbench.engine.limits import too_long
from archbench.errors import RunError


class Admission:
    """Refuses inputs that a model cannot take whole, or counts them out, and remembers requests' lengths.

    Attributes:
        limit: Longest input in tokens; None where there is none.
    """

    def __init__(
        self,
        *,
        name: str,
        limit: int | None,
        vocab: int | None,
        tokenizer: str,
        rule: str,
        stand_in: int | None = None,
    ) -> None:
        """For one model.

        Args:
            name: The model's name, for messages.
            limit: Longest input in tokens; None where there is none.
            vocab: Number of tokens that it has embeddings for; None where that is not known.
            tokenizer: The tokenizer's name, for messages.
            rule: What becomes of a longer input: "error" or "exclude".
            stand_in: The token that is put in place of an empty context, for messages.
        """
        self.limit = limit
        self._name = name
        self._vocab = vocab
        self._tokenizer = tokenizer
        self._stand_in = stand_in
        self._excludes = rule == "exclude"
        self._lengths: dict[bytes, tuple[int, int]] = {}
        self._excluded: set[bytes] = set()

    def fits(self, length: int) -> bool:
        """Whether an input of so many tokens fits into the model's context."""
        return self.limit is None or length <= self.limit

    def knows(self, token: int) -> bool:
        """Whether the model has an embedding for a token, as far as that is known."""
        return self._vocab is None or token < self._vocab

    def admit(self, what: str, tokens: Sequence[int], length: int) -> bool:
        """Whether an input is put to the model: not if it is too long and such are excluded.

        Args:
            what: Which request, for messages.
            tokens: All its tokens.
            length: How many of them, and of those to be generated, the model has to hold.

        Raises:
            TooLongError: It is too long and such are not excluded.
            RunError: It holds tokens that the model has no embedding for.
        """
        if self.limit is not None and length > self.limit:
            if self._excludes:
                return False
            raise too_long(what, length, self.limit, self._name)
        if not self.knows(unknown := max(tokens)):
            which = f"token {unknown}"
            if unknown == self._stand_in:
                which += " (which the tokenizer begins texts with, and which stands in for an empty context)"
            raise RunError(
                f"{what} holds {which}, but {self._name} has embeddings for {self._vocab} tokens only. The "
                f"tokenizer ({self._tokenizer or 'unnamed'}) belongs to another model, or the model's "
                "embedding was not resized when tokens were added to it."
            )
        return True

    def remember(self, arguments: Sequence[Any], lengths: tuple[int, int]) -> None:
        """Keep how many tokens a request's context and continuation have."""
        self._lengths[_key(arguments)] = lengths

    def exclude(self, arguments: Sequence[Any]) -> None:
        """Keep that a request was not put to the model."""
        self._excluded.add(_key(arguments))

    def lengths(self, arguments: Sequence[Any]) -> tuple[int, int] | None:
        """What was kept of a request's lengths."""
        return self._lengths.get(_key(arguments))

    def is_excluded(self, arguments: Sequence[Any]) -> bool:
        """Whether a request was not put to the model."""
        return bool(self._excluded) and _key(arguments) in self._excluded


def _key(arguments: Sequence[Any]) -> bytes:
    """A short stand-in for a request's arguments, so that remembering it does not keep long prompts alive."""
    digest = hashlib.blake2b(digest_size=16)
    for one in arguments:
        text = one if isinstance(one, str) else json.dumps(one, sort_keys=True, default=str)
        digest.update(f"{len(text)}:".encode())
        digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.digest()
