"""Recurrences with a vector for a state: RWKV-4's two blocks, and RecurrentGemma's gated recurrence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archbench.models.protocol import Part

if TYPE_CHECKING:
    from torch import nn


def describe(module: nn.Module, children: dict[str, Any]) -> Part | None:
    """The part that a module is, where it is one of these."""
    if "rg_lru" in children and "conv_1d" in children:
        conv = children["conv_1d"]
        width = conv.weight.shape[0]
        # Per element of the state: two gates of which the products are projections; a·h + √(1 - a²)·x.
        return Part("rg_lru", state=width + width * (conv.weight.shape[-1] - 1), scan_flops=5 * width)
    name = type(module).__name__
    if name == "RwkvSelfAttention":
        width = int(children["key"].weight.shape[0])
        return Part("rwkv", state=4 * width, scan_flops=12 * width)
    if name == "RwkvFeedForward":
        return Part("rwkv_ffn", state=int(children["key"].weight.shape[1]))
    return None
