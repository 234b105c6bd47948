"""What a folder says that is not followed, and that does no harm: stated next to the scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archbench.checkpoint import (
    CONFIG,
    INDEX,
    TOKENIZER_CONFIG,
    WEIGHTS,
    read_fields,
    read_headers,
    unread_copies,
)
from archbench.models.checks.reading import left_out_by_design
from archbench.random_tokens import sampling_remarks


def model_remarks(folder: Path) -> list[str]:
    """What a reader of a model's scores should know about its folder, a sentence each."""
    found = []
    fields = read_fields(folder / CONFIG)
    if code := _code(fields.get("auto_map"), "AutoModelForCausalLM", "AutoModel", "AutoConfig"):
        found.append(
            f"{CONFIG} names code of its own (auto_map: {code}), which is never run; the class that "
            f"transformers has for model_type '{fields.get('model_type')}' was used."
        )
    if method := quantization(fields):
        found.append(
            f"{CONFIG} has the weights quantized (quantization_config: {method}). On a device without "
            "the method, transformers may compute with weights that are converted back: compare runs on one "
            "kind of device."
        )
    for what, names in left_out_by_design(read_headers(folder).shapes, fields).items():
        count = "1 tensor was" if len(names) == 1 else f"{len(names):,} tensors were"
        found.append(f"{count} not read, as no part of the language model: {what} ({names[0]}).")
    if copies := unread_copies(folder):
        read = INDEX if (folder / INDEX).is_file() else WEIGHTS
        verb = "was" if len(copies) == 1 else "were"
        found.append(f"{', '.join(copies)} {verb} not read: the weights are those of {read}.")
    return found


def quantization(fields: Mapping[str, Any]) -> str | None:
    """The method that a configuration, or one inside it, has the weights quantized by; None for none."""
    parts = [fields, *(one for one in fields.values() if isinstance(one, Mapping))]
    found = next((one["quantization_config"] for one in parts if one.get("quantization_config")), None)
    if found is None:
        return None
    return str(found.get("quant_method") if isinstance(found, Mapping) else found)


def tokenizer_remarks(folder: Path) -> list[str]:
    """What a reader of scores should know about the tokenizer's folder, a sentence each."""
    found = sampling_remarks(folder)
    auto_map = read_fields(folder / TOKENIZER_CONFIG).get("auto_map")
    # An old form is a list, of the slow and the fast class.
    named = auto_map if isinstance(auto_map, Mapping) else {"AutoTokenizer": auto_map}
    if code := _code(named, "AutoTokenizer"):
        found.append(
            f"{TOKENIZER_CONFIG} names code of its own (auto_map: {code}), which is never run; a class that "
            "transformers has was used."
        )
    return found


def _code(auto_map: Any, *classes: str) -> str | None:
    """The code that an `auto_map` names for the first of some classes."""
    if not isinstance(auto_map, Mapping):
        return None
    named = next((auto_map[one] for one in classes if auto_map.get(one)), None)
    if isinstance(named, list):
        named = next((one for one in reversed(named) if one), None)
    return str(named) if named else None
