"""Token ids that are drawn at random: for training, to be left out of an evaluation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from archbench.checkpoint import read_fields
from archbench.errors import RequestError

# BPE-dropout (Provilkov et al. 2020), subword regularization (Kudo 2018), by their names in tokenizers.
_OF_MODELS = ("dropout", "nbest_size", "alpha")
# Cheaper than reading megabytes; a vocabulary may hold the word too.
_PERHAPS = re.compile(rb'"dropout"\s*:\s*[\d.]')


def random_settings(tokenizer: Any) -> dict[str, Any]:
    """Settings of a transformers tokenizer by which it draws ids at random, by name."""
    model = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    found = {name: value for name in _OF_MODELS if (value := getattr(model, name, None))}
    sentencepiece = getattr(tokenizer, "sp_model_kwargs", None) or {}
    if sentencepiece.get("enable_sampling"):
        found["sp_model_kwargs"] = sentencepiece
    return found


def without_sampling(tokenizer: Any) -> Any:
    """A tokenizer, with what draws ids at random switched off in it where that can be done."""
    model = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    for name in random_settings(tokenizer):
        if name in _OF_MODELS:
            setattr(model, name, None)
    return tokenizer


def check_not_random(tokenizer: Any, name: str) -> None:
    """Refuse a tokenizer that gives other ids each time.

    Args:
        tokenizer: A transformers tokenizer.
        name: How a message calls it.

    Raises:
        RequestError: It does; names the setting.
    """
    if found := random_settings(tokenizer):
        shown = ", ".join(f"{key} {_short(value)}" for key, value in found.items())
        how = (
            "set enable_sampling to false under sp_model_kwargs in tokenizer_config.json"
            if "sp_model_kwargs" in found
            else "".join(f"tokenizer.backend_tokenizer.model.{key} = None; " for key in found)
            + "in a folder, remove the setting from `model` in tokenizer.json"
        )
        raise RequestError(
            f"{name} draws token ids at random ({shown}), so that no score could be had twice. That is for "
            f"training; switch it off: {how}."
        )


def _short(value: Any) -> str:
    # Fractions are kept in four bytes there.
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def sampling_remarks(folder: Path) -> list[str]:
    """What of a tokenizer's folder is switched off here since it is for training alone, a sentence each."""
    found = []
    for file in sorted({*folder.glob("tokenizer.json"), *folder.glob("tokenizer.*.json")}):
        if _PERHAPS.search(file.read_bytes()):
            model = read_fields(file).get("model")
            if isinstance(model, dict) and (dropout := model.get("dropout")):
                found.append(
                    f"{file.name} sets dropout {dropout} for its merges, which draws token ids at random in "
                    "training; it was switched off."
                )
    return found
