"""What the parts of a model are: as they declare it, or for transformers' own by their weights and shapes.

Nothing here looks for a model by name: a new architecture made of known parts is understood as it is, and a
part that is not known is said to be unknown. Sizes are in elements (numbers), not bytes. An architecture that
declares its parts (`archbench.models.protocol`) needs no line here; these are the tables for the others:

| kind | recognised by | kept between tokens, per sequence |
|---|---|---|
| `attention` | query, key and value projections, apart or fused | keys and values of past tokens |
| `mamba` | `A_log` per channel, `conv1d` | one state of the size of `A_log`; conv channels × kernel |
| `mamba2` | `A_log` per head, `ssm_state_size` | heads × head_dim × state; conv channels × kernel |
| `gated_delta` | `head_k_dim`, `head_v_dim` | value heads × head_k_dim × head_v_dim; conv channels × kernel |
| `short_conv` | a class of that name with one convolution | conv channels × kernel |
| `rg_lru` | a gated linear recurrence behind a convolution | its width; conv channels × (kernel - 1) |
| `rwkv`, `rwkv_ffn` | RWKV-4's two blocks | 4 × width, width |
| `mlp`, `moe` | feed-forward blocks, dense or with experts | nothing |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archbench.efficiency.parts import attention, feed_forward, recurrent, short_conv, state_space
from archbench.models.protocol import DeclaresPart

if TYPE_CHECKING:
    from torch import nn


def recognise(module: nn.Module, config: Any) -> DeclaresPart | None:
    """Say what a module is.

    Args:
        module: A module of a model; its weights need not be in memory.
        config: The model's (text) configuration.

    Returns:
        The part, or None where it is a container of parts, a norm, or nothing known.
    """
    if isinstance(module, DeclaresPart):
        return module
    children: dict[str, Any] = dict(module.named_children())
    # Decays of its own make a state-space layer, whatever the class is called.
    if "A_log" in module._parameters:
        return state_space.describe(module, children)
    for describe in (short_conv.describe, recurrent.describe):
        if (part := describe(module, children)) is not None:
            return part
    if attention.is_attention(module):
        return attention.describe(module, children, config)
    return feed_forward.describe(module, children)
