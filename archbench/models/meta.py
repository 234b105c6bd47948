"""Models without weights: shapes alone, on torch's meta device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archbench.errors import RequestError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def meta_model(config: PretrainedConfig) -> PreTrainedModel:
    """A model without weights: shapes alone.

    Raises:
        RequestError: transformers cannot build a model from the configuration.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as hf_logging

    level = hf_logging.get_verbosity()
    hf_logging.set_verbosity_error()
    try:
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    except Exception as error:
        raise not_built(config, error) from error
    finally:
        hf_logging.set_verbosity(level)
    return model


def not_built(config: PretrainedConfig, error: Exception) -> RequestError:
    """The error for a configuration that transformers accepts and cannot build a model from."""
    return RequestError(
        f"architecture: no '{config.model_type}' can be built from these fields: {stated(error)}"
    )


def stated(error: Exception) -> str:
    """What an error of transformers says, on one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"
