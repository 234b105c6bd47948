"""Are the weights that were loaded those of the architecture, all of them and no others?"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archbench.checkpoint import CONFIG, read_fields, read_headers
from archbench.errors import RequestError, amount
from archbench.formats.safetensors import is_buffer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_OTHER_SENSES = re.compile(r"(model\.)?(vision|visual|multi_modal|mm_|image|audio|vqmodel)")

log = logging.getLogger(__name__)


def check_complete(name: str, folder: Path, info: Mapping[str, Any]) -> None:
    """Refuse a model that transformers completed with random values, or left weights of a checkpoint out of.

    Args:
        name: The model's, for messages.
        folder: Where its weights were read from.
        info: What transformers reports of loading them (`output_loading_info`).

    Raises:
        RequestError: Weights are missing, left over, of another shape or cannot be read.
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
    unexpected = sorted(info["unexpected_keys"])
    if unexpected:
        _check_unused(name, folder, unexpected)


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


def _check_unused(name: str, folder: Path, unexpected: list[str]) -> None:
    """Refuse weights that the architecture does not use; buffers that it computes itself are only noted."""
    shapes = read_headers(folder).shapes
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
