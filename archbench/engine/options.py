"""Settings of an engine as one object: checked once, then handed on and never changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from archbench.errors import RequestError

if TYPE_CHECKING:
    import torch

BORDERS = ("exact", "lm_eval")
"""What a log-likelihood may be of; see `EngineOptions.border`."""

TOO_LONG = ("error", "exclude")
"""What may happen to an input that a model cannot take whole."""


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """How a model is loaded and run.

    Attributes:
        dtype: "auto" (as saved), "float32", "bfloat16", "float16" or a torch dtype.
        device: "auto" (CUDA where there is one, else the CPU) or a torch device.
        batch_tokens: Tokens, padding included, that one forward pass may hold. It has no influence on
            results but for the last digits of floating-point sums, and halves itself when memory runs out.
        cache_bytes: Memory that the states of shared prefixes may take, over and above the model and one
            forward pass. Less is slower, never different; 0 shares nothing.
        max_length: Longest input in tokens; None is what the model's config says, and no limit for a model
            without attention. Rolling log-likelihoods cut documents into windows of this length, so to
            compare perplexities of an attention and a recurrent model give both the same.
        rolling_stride: Tokens that each window of a rolling log-likelihood after the first predicts; the
            fewer, the more context each has and the more windows there are. None is `max_length`: no overlap.
        too_long: "error", or "exclude": what is longer than `max_length` is not put to the model and gets no
            answer (`ArchbenchLM.excluded` shows which requests). Nothing is ever cut.
        border: "exact", or "lm_eval" for lm-eval's own numbers where a token spans the border of context
            and continuation, and where the tokenizer puts special tokens before texts of rolling
            log-likelihoods (docs/engine.md). Everywhere else both are the same.
        seed: Of sampled generations; greedy ones and scores do not depend on it.

    Raises:
        RequestError: A value is not one that the setting can have.
    """

    dtype: str | torch.dtype = "auto"
    device: str | torch.device = "auto"
    batch_tokens: int = 8192
    cache_bytes: int = 2**29
    max_length: int | None = None
    rolling_stride: int | None = None
    too_long: str = "error"
    border: str = "exact"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_tokens < 1 or (self.max_length is not None and self.max_length < 1):
            raise RequestError(
                f"batch_tokens ({self.batch_tokens}) and max_length ({self.max_length}) count tokens: at "
                "least 1 each."
            )
        if self.cache_bytes < 0:
            raise RequestError(
                f"cache_bytes ({self.cache_bytes}) counts bytes: 0 (nothing is shared) or more."
            )
        if self.rolling_stride is not None and self.rolling_stride < 1:
            raise RequestError(f"rolling_stride ({self.rolling_stride}) counts tokens: at least 1.")
        for name, values in (("too_long", TOO_LONG), ("border", BORDERS)):
            if (value := getattr(self, name)) not in values:
                raise RequestError(f"{name} is {value!r}; expected {' or '.join(map(repr, values))}.")


class OptionFields(TypedDict, total=False):
    """The fields of `EngineOptions` as keyword arguments, for type checkers and editors."""

    dtype: str | torch.dtype
    device: str | torch.device
    batch_tokens: int
    cache_bytes: int
    max_length: int | None
    rolling_stride: int | None
    too_long: str
    border: str
    seed: int
