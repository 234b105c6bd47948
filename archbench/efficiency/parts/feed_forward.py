"""Feed-forward blocks, dense or with experts: nothing is kept between tokens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from archbench.models.protocol import Part

if TYPE_CHECKING:
    from torch import nn

_MLP = re.compile(r"mlp|feedforward|feed_forward|ffn", re.IGNORECASE)


def describe(module: nn.Module, children: dict[str, Any]) -> Part | None:
    """The part that a module is, where it is a feed-forward block."""
    if any(has_experts(one) for one in (module, *children.values())):
        return Part("moe")
    if _MLP.search(type(module).__name__) and children:
        return Part("mlp")
    return None


def has_experts(module: nn.Module) -> bool:
    """Whether a module is a set of experts: one stacked tensor per weight, or a list of blocks."""
    name = type(module).__name__
    if name == "ModuleList":
        return any("expert" in type(one).__name__.lower() for one in module.children())
    return name.endswith("Experts") and bool(module._parameters)
