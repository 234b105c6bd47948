"""Are the weights that were loaded those of the architecture, all of them and no others?"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archbench.checkpoint import CONFIG, read_fields, read_headers
from archbench.errors import RequestError, amount
from archbench.formats.safetensors import Header, is_buffer
from archbench.models.checks.reading import Reading, left_out_by_design, readings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_OTHER_SENSES = re.compile(r"(model\.)?(vision|visual|multi_modal|mm_|image|audio|vqmodel)")

_WHOLE_NUMBERS = ("I", "U", "BOOL")

log = logging.getLogger(__name__)


def check_complete(name: str, folder: Path, model: PreTrainedModel, info: Mapping[str, Any]) -> None:
    """Refuse a model that transformers completed with random values, or left weights of a checkpoint out of.

    Args:
        name: The model's, for messages.
        folder: Where its weights were read from.
        model: The model as loaded.
        info: What transformers reports of loading them (`output_loading_info`).

    Raises:
        RequestError: Weights are missing, left over, of another shape or type, there twice or cannot be read.
    """
    mismatched = sorted(info["mismatched_keys"])
    if mismatched:
        first, found, expected = mismatched[0]
        raise RequestError(
            f"{amount(len(mismatched), 'weight')} in {name} {'does' if len(mismatched) == 1 else 'do'} "
            f"not fit its config.json; the first is {first}, of "
            f"shape {tuple(found)} where {tuple(expected)} was expected. Both come from different models."
        )
    missing = sorted(info["missing_keys"])
    if missing:
        raise RequestError(
            f"{amount(len(missing), 'weight')} that the architecture needs "
            f"{'is' if len(missing) == 1 else 'are'} not in {name}: {_some(missing)}. "
            "What is missing would have been filled with random values. Use a complete checkpoint of this "
            "architecture."
        )
    if info.get("error_msgs"):
        raise RequestError(f"The weights in {name} could not be read: {' '.join(info['error_msgs'])}")
    header = read_headers(folder)
    found = readings(model, header.shapes)
    known = model.state_dict()
    _check_once(name, model, found, known)
    if getattr(model, "hf_quantizer", None) is None:
        _check_types(name, header, found, known)
    reported = set(info["unexpected_keys"])
    unread = [one for one in found if known.keys().isdisjoint(one.targets)]
    designed = left_out_by_design(header.shapes, read_fields(folder / CONFIG)).values()
    passed_over = _passed_over(model, unread).difference(*designed)
    unexpected = {one.name for one in unread if reported.intersection(one.targets)} | passed_over
    unexpected |= reported.difference(*(one.targets for one in unread))
    if unexpected:
        _check_unused(name, folder, header, sorted(unexpected))


def check_tied(name: str, model: PreTrainedModel) -> None:
    """Refuse a model whose configuration ties weights that its checkpoint holds with different values.

    transformers then leaves them apart, other readers tie them: two models in one folder.

    Args:
        name: The model's, for messages.
        model: The model as loaded.

    Raises:
        RequestError: It is such a one.
    """
    for target, source in model.get_expanded_tied_weights_keys(all_submodels=True).items():
        if model.get_parameter_or_buffer(target) is not model.get_parameter_or_buffer(source):
            raise RequestError(
                f"The config.json of {name} ties {target} to {source} (tie_word_embeddings), but its weights "
                "hold both, with different values. Set tie_word_embeddings to false in config.json to use "
                "both, or save the model again from where it was trained."
            )


def _passed_over(model: PreTrainedModel, unread: list[Reading]) -> set[str]:
    """Names of tensors that are not read and that transformers need not report."""
    if getattr(model, "hf_quantizer", None) is None:
        return {one.name for one in unread}
    # What a quantized model was read from may be gone once it is loaded; architectures name what they ignore.
    patterns = getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()
    return {
        one.name
        for one in unread
        if any(re.search(pattern, target) for pattern in patterns for target in one.targets)
    }


def _check_once(name: str, model: PreTrainedModel, found: list[Reading], known: Mapping[str, Any]) -> None:
    """Refuse a checkpoint with two tensors for one parameter, of which one would win without a word."""
    sources: dict[str, str] = {}
    fused: dict[str, str] = {}
    for one in found:
        used = [target for target in one.targets if target in known]
        # Tensors of a quantized parameter come with names of their own.
        keys = [f"stem {one.stem}", *(() if one.fused or not used else used)] if used else []
        for key in keys:
            other = sources.setdefault(key, one.name)
            if other != one.name:
                raise _twice(name, other, one.name)
        if one.fused and getattr(model, "hf_quantizer", None) is None:
            fused |= dict.fromkeys(used, one.name)
    for target in fused.keys() & sources.keys():
        raise _twice(name, fused[target], sources[target])


def _twice(name: str, one: str, other: str) -> RequestError:
    return RequestError(
        f"{name} holds two tensors for one parameter of its architecture: {one} and {other}. One of them "
        "would have been left out. They come from different saves: save the model again into an empty folder."
    )


def _check_types(name: str, header: Header, found: list[Reading], known: Mapping[str, Any]) -> None:
    """Refuse whole numbers for parameters that are fractions: a quantization without its configuration."""
    wrong = [
        f"{one.name} ({header.dtypes[one.name]})"
        for one in found
        if header.dtypes[one.name].startswith(_WHOLE_NUMBERS)
        and any(known[target].is_floating_point() for target in one.targets if target in known)
    ]
    if wrong:
        raise RequestError(
            f"{name} holds whole numbers where its architecture has floating-point weights: {_some(wrong)}. "
            "They may be quantized, but config.json has no quantization_config that says how. Use the "
            "config.json that belongs to these weights, or a checkpoint that is not quantized."
        )


def _check_unused(name: str, folder: Path, header: Header, unexpected: list[str]) -> None:
    """Refuse weights that the architecture does not use; buffers that it computes itself are only noted."""
    shapes = header.shapes
    used = [one for one in unexpected if not is_buffer(one, shapes.get(one, ()))]
    if "text_config" in read_fields(folder / CONFIG):
        # A model of several senses, read as the language model that it contains.
        senses = [one for one in used if _OTHER_SENSES.match(one)]
        used = [one for one in used if one not in senses]
        if senses:
            log.warning("%s: weights for images or sound were not read: %s", name, _some(senses))
    if used:
        raise RequestError(
            f"{name} holds {amount(len(used), 'weight')} that the architecture in its config.json does "
            "not use: "
            f"{_some(used)}. Left out, the model would be another than was saved. Use the "
            "config.json that belongs to these weights, or save the model again without what is not part of "
            "it."
        )
    if buffers := [one for one in unexpected if is_buffer(one, shapes.get(one, ()))]:
        log.info("%s holds buffers that its architecture computes itself: %s", name, _some(buffers))


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
