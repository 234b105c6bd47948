"""Untrained models from the `architecture` block of a family file.

architecture:
  model_type: nemotron_h
  pattern: M-*-        # for model types that place their layers one by one; see `archbench.models.patterns`
  hidden_size: 64
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archbench.checkpoint import CONFIG, read_fields
from archbench.errors import RequestError, did_you_mean
from archbench.models.checks.causality import why_not_causal
from archbench.models.checks.memory import check_fits
from archbench.models.known import check_known
from archbench.models.meta import not_built, stated
from archbench.models.patterns import KINDS, MOST_LAYERS, expand_pattern

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

# Modules are built one by one for each of these, and some configurations list them.
_COUNTS = re.compile(r"layers?$|blocks$|experts$")


def build_config(architecture: Mapping[str, Any], *, vocab_size: int | None = None) -> PretrainedConfig:
    """Make a transformers configuration.

    Args:
        architecture: `model_type`, any field of that type's configuration, and for `nemotron_h`
            optionally `pattern` in place of the list of layers (`archbench.models.patterns`).
        vocab_size: Entries of the tokenizer; taken where `architecture` does not say.

    Returns:
        The configuration; transformers' defaults stand for every field not named.

    Raises:
        RequestError: the model type is not known (`archbench.models.known`) or has no such field, or its
            configuration or the pattern refuses a value.
    """
    from transformers import CONFIG_MAPPING

    fields = dict(architecture)
    model_type = fields.pop("model_type", None)
    check_known(model_type, "architecture")
    config_class = CONFIG_MAPPING[model_type]
    known = (
        set(inspect.signature(config_class.__init__).parameters)
        | set(config_class().to_dict())
        | set(config_class.attribute_map)
    ) - {"self", "kwargs"}
    if model_type == "nemotron_h" and "pattern" in fields:
        fields["layers_block_type"] = [KINDS[letter] for letter in expand_pattern(fields.pop("pattern"))]
    for field in fields:
        if field not in known:
            raise RequestError(
                f"architecture: '{model_type}' has no field '{field}'. "
                + did_you_mean(field, known, label="Its fields")
            )
    _check_counts(fields)
    if vocab_size is not None:
        fields.setdefault("vocab_size", vocab_size)
    try:
        config = config_class(**fields)
    except Exception as error:  # each configuration checks its fields in its own way, or divides by them
        raise RequestError(f"architecture: '{model_type}' refuses these fields: {stated(error)}") from error
    if why := why_not_causal(config.to_dict()):
        raise RequestError(f"architecture: {why}. A causal language model is expected.")
    return config


def read_config(folder: Path) -> PretrainedConfig:
    """The configuration in a model folder, which may be of any model type that is known.

    Args:
        folder: Holds `config.json`.

    Raises:
        RequestError: Its model type is none that is known.
        OSError, ValueError, KeyError, TypeError: It cannot be read.
    """
    from transformers import AutoConfig

    file = folder / CONFIG
    if (model_type := read_fields(file).get("model_type")) is not None:
        check_known(model_type, str(file))
    return AutoConfig.from_pretrained(folder, trust_remote_code=False)


def build_model(
    architecture: Mapping[str, Any], *, seed: int, vocab_size: int | None = None
) -> PreTrainedModel:
    """Build an untrained model in fp32 on the CPU.

    Args:
        architecture: As for `build_config`.
        seed: The weights are a function of the architecture and this seed; torch's global random
            state is left as it was.
        vocab_size: As for `build_config`.

    Returns:
        A causal language model with random weights, in training mode.

    Raises:
        RequestError: as `build_config`, or the fields do not fit together, or the weights take more than this
            machine's memory.
    """
    import torch
    from transformers import AutoModelForCausalLM

    config = build_config(architecture, vocab_size=vocab_size)
    check_fits(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
        except Exception as error:
            raise not_built(config, error) from error
    return model.train()


def _check_counts(fields: Mapping[str, Any]) -> None:
    """Refuse more layers or experts than could be gone through one by one, in nested fields too."""
    for field, value in fields.items():
        if isinstance(value, Mapping):
            _check_counts(value)
        elif isinstance(value, int) and value > MOST_LAYERS and _COUNTS.search(str(field)):
            raise RequestError(
                f"architecture: {field} is {value:,}; at most {MOST_LAYERS:,} of them are built. Look for "
                "digits too many."
            )
