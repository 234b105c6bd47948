"""Short convolutions: the gated ones of LFM2 that are a layer's mixer, and those inside other mixers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archbench.models.protocol import Part

if TYPE_CHECKING:
    from torch import nn


def describe(module: nn.Module, children: dict[str, Any]) -> Part | None:
    """The part that a module is, where it is a short convolution."""
    if "ShortConv" in type(module).__name__ and "conv" in children:
        return Part("short_conv", state=kept_inputs(children["conv"]))
    return None


def kept_inputs(conv: Any) -> int:
    """Inputs that transformers' caches keep for a convolution: a whole kernel of them."""
    return int(conv.weight.shape[0] * conv.weight.shape[-1])
