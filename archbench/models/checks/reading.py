"""Which parameter each tensor of a checkpoint is read into; some are read into none, or two into one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Heads that predict several tokens ahead, for training and for drafting: transformers has none of them.
_AHEAD = re.compile(r"(model\.)?(language_model\.)?mtp(_\w+)?\.")
_FURTHER = re.compile(r"((?:.*\.)?layers\.(\d+)\.)eh_proj\.")
_KEYS = re.compile(r"(?:.*\.)?layers\.(\d+)\.self_attn\.[kv]_(?:proj|norm)\.")


class Reading(NamedTuple):
    """Where a tensor of a checkpoint goes.

    Attributes:
        name: Its name in the checkpoint.
        stem: Its name as the architecture has it, before tensors are fused.
        targets: Names of the parameters that transformers reads it into; they may not exist.
        fused: Whether it is put together with others, or cut up.
    """

    name: str
    stem: str
    targets: tuple[str, ...]
    fused: bool


def readings(model: PreTrainedModel, names: Iterable[str]) -> list[Reading]:
    """Where tensors go by the rules that transformers loads the model with, in the order it reads them."""
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import (
        WeightConverter,
        WeightRenaming,
        dot_natural_key,
        rename_source_key,
    )

    prefix, state = model.base_model_prefix, model.state_dict()
    quantizer = getattr(model, "hf_quantizer", None)
    rules = get_model_conversion_mapping(model, None, quantizer)
    renamings = [one for one in rules if isinstance(one, WeightRenaming)]
    converters = [one for one in rules if isinstance(one, WeightConverter)]
    outputs = {source: one.target_patterns for one in converters for source in one.source_patterns}
    # Some rules remember what they were applied to.
    again = get_model_conversion_mapping(model, None, quantizer)
    plain = [one for one in again if isinstance(one, WeightRenaming)]
    found = []
    for name in sorted(names, key=dot_natural_key):
        target, source = rename_source_key(name, renamings, converters, prefix, state)
        stem, _ = rename_source_key(name, plain, [], prefix, state)
        if target not in state and name in state:
            target, source = rename_source_key(name, [], [], prefix, state)
            stem = target
        first, *_ = outputs.get(source, [""])
        targets = [target.replace(first, one) for one in outputs[source]] if source is not None else [target]
        stem = stem.removeprefix(f"{prefix}.") if prefix else stem
        found.append(Reading(name, stem, tuple(targets), source is not None))
    return found


def left_out_by_design(names: Iterable[str], fields: Mapping[str, Any]) -> dict[str, list[str]]:
    """Tensors of a checkpoint that are no part of the language model that its configuration describes.

    Heads for predicting several tokens ahead are named `mtp`, or are whole layers after the last one, with a
    projection (`eh_proj`) that no other layer has.

    Args:
        names: Names of all tensors of the checkpoint.
        fields: The fields of config.json.

    Returns:
        Their names, sorted, by what they are; without what there is none of.
    """
    names = list(names)
    inner = fields.get("text_config")
    fields = inner if isinstance(inner, Mapping) and "num_hidden_layers" not in fields else fields
    layers, shared = (
        value if isinstance(value := fields.get(key), int) else None
        for key in ("num_hidden_layers", "num_kv_shared_layers")
    )
    ahead = {match[1] for one in names if (match := _FURTHER.match(one)) and _from(match[2], layers)}
    found = {
        "heads that predict several tokens ahead": [
            one for one in names if _AHEAD.match(one) or any(map(one.startswith, ahead))
        ],
        "keys and values of layers that take those of earlier ones": [
            one
            for one in names
            if layers and shared and (match := _KEYS.match(one)) and _from(match[1], layers - shared)
        ],
    }
    return {what: sorted(some) for what, some in found.items() if some}


def _from(index: str, first: int | None) -> bool:
    return first is not None and int(index) >= first
