"""What a request's settings do to logits before a token is chosen, in the order of `model.generate`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from archbench.engine.scoring.finite import NotFiniteError
from archbench.errors import RequestError

_PROCESSORS = {
    "repetition_penalty": RepetitionPenaltyLogitsProcessor,
    "no_repeat_ngram_size": NoRepeatNGramLogitsProcessor,
    "temperature": TemperatureLogitsWarper,
    "top_k": TopKLogitsWarper,
    "top_p": TopPLogitsWarper,
    "min_p": MinPLogitsWarper,
}
# Settings at which `model.generate` leaves them out.
_NEUTRAL = {
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
}


def processors(options: Mapping[str, Any]) -> LogitsProcessorList:
    """What settings do to logits.

    Args:
        options: Generation settings by name; others than those of logits are passed over.

    Raises:
        RequestError: A value is not finite, or transformers does not take it.
    """
    found = LogitsProcessorList()
    for name in _in_force(options):
        if not math.isfinite(options[name]):
            raise RequestError(
                f"The generation setting '{name}' is {options[name]}; expected a finite number."
            )
        try:
            found.append(_PROCESSORS[name](options[name]))
        except ValueError as error:
            raise RequestError(f"The generation setting '{name}' is {options[name]}: {error}") from error
    return found


def check_choice(logits: torch.Tensor, options: Mapping[str, Any]) -> None:
    """Refuse to choose a token where settings left none that could be chosen.

    Args:
        logits: What the settings made of logits that were finite, `[rows, vocab]`.
        options: The settings.

    Raises:
        NotFiniteError: A row holds NaN or has no finite maximum.
    """
    if not bool(torch.isfinite(logits.amax(dim=-1)).all()):
        shown = ", ".join(f"{name} {options[name]}" for name in _in_force(options))
        raise NotFiniteError(
            f"The generation settings ({shown}) leave no token to choose: they overflow, or forbid "
            "every token. Use values nearer to their defaults, or fewer new tokens."
        )


def _in_force(options: Mapping[str, Any]) -> list[str]:
    return [
        name for name in _PROCESSORS if options.get(name) is not None and options[name] != _NEUTRAL.get(name)
    ]
