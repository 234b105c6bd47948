"""How long an input a model takes, and the error for a longer one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from archbench.errors import RunError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

UNLIMITED = sys.maxsize
"""What lm-eval gets for a model without a longest input (it wants a number)."""

_CONTEXT_FIELDS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length")
# What transformers 5.23 calls layers whose state has one size. Any other name may have attention in
# it, such as `hybrid` in falcon_h1 and zamba2.
_WITHOUT_ATTENTION = frozenset(
    {"linear_attention", "mamba", "mamba2", "conv", "recurrent", "mlp", "moe", "dense", "sparse"}
)
_RECURRENT_TYPES = frozenset({"mamba", "mamba2", "falcon_mamba", "rwkv", "xlstm"})


class TooLongError(RunError):
    """An input does not fit into the model's context; nothing was truncated and nothing forwarded."""


def context_limit(config: PretrainedConfig) -> int | None:
    """Longest input, in tokens, that a model's config allows.

    Args:
        config: A transformers config; of a composite model, its text part counts.

    Returns:
        The number of positions, or None for a model that has no attention layer at all (its state has the
        same size after any number of tokens, whatever number its config carries) and for a config
        that names no limit.
    """
    config = config.get_text_config()
    layers = getattr(config, "layer_types", None) or getattr(config, "layers_block_type", None)
    if config.model_type in _RECURRENT_TYPES or (layers and not any(map(_attends, layers))):
        return None
    for field in _CONTEXT_FIELDS:
        value = getattr(config, field, None)
        if isinstance(value, int) and value > 0:
            return value
    return None


def _attends(layer: str) -> bool:
    return layer not in _WITHOUT_ATTENTION


def too_long(what: str, tokens: int, limit: int, name: str) -> TooLongError:
    """The error for one input that is longer than the model's context.

    Args:
        what: Which request, and what its tokens are made of.
        tokens: Its length in tokens.
        limit: The longest that fits.
        name: The model's name.
    """
    return TooLongError(
        f"{what} has {tokens} tokens, but {name} takes at most {limit} (its context, or else "
        "engine.max_length). Prompts are never truncated: use "
        "fewer or shorter examples, leave this length out for this model, set max_length if it takes more, "
        "or leave such items out for every member, counted: engine.too_long=exclude (from Python: too_long)."
    )
