"""Attention with plain keys and values: all of them, or those in a window."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from archbench.models.protocol import Part

if TYPE_CHECKING:
    from torch import nn

_FUSED = ("query_key_value", "c_attn", "qkv_proj", "Wqkv", "att_proj", "in_proj_qkv")
_OUTPUT = ("o_proj", "out_proj", "dense", "c_proj", "Wo", "wo", "attn_out")
_ATTENTION = re.compile(r"(attention|attn)\d?$", re.IGNORECASE)
_NO_PLAIN_ATTENTION = re.compile(r"lightning|linear|delta|retention|latent|sparse|mla|kda", re.IGNORECASE)
"""Attention that keeps something other than keys and values, though its projections look alike."""


def is_attention(module: nn.Module) -> bool:
    """Whether a module is called attention, of whatever kind."""
    return bool(_ATTENTION.search(type(module).__name__))


def describe(module: Any, children: dict[str, Any], config: Any) -> Part | None:
    """The part that attention is whose cache is plain keys and values; anything else is left unknown."""
    if _NO_PLAIN_ATTENTION.search(type(module).__name__):
        return None
    output = next((children[name] for name in _OUTPUT if name in children), None)
    if output is None or any("lora" in name or "_a_proj" in name or "latent" in name for name in children):
        return None
    attended = _width(output, inputs=True)
    if "k_proj" in children and "v_proj" in children:
        kept = _width(children["k_proj"]) + _width(children["v_proj"])
    elif fused := next((children[name] for name in _FUSED if name in children), None):
        kept = _width(fused) - attended
    else:
        return None
    if getattr(module, "is_kv_shared_layer", False):
        kept = 0
    return Part("attention", kv_width=kept, window=_window(module, config), attended_width=attended)


def _width(linear: Any, *, inputs: bool = False) -> int:
    """Features that a projection gives, or takes; transformers' Conv1D (GPT-2) stores them transposed."""
    gives, takes = linear.weight.shape
    if type(linear).__name__ == "Conv1D":
        gives, takes = takes, gives
    return int(takes if inputs else gives)


def _window(module: Any, config: Any) -> int | None:
    """Tokens that a layer's cache holds at most, by the rule of transformers' `DynamicCache`."""
    if (size := getattr(config, "attention_window_size", None)) is not None:
        return int(size)
    sliding = getattr(config, "sliding_window", None)
    chunk = getattr(config, "attention_chunk_size", None)
    kinds, index = getattr(config, "layer_types", None), getattr(module, "layer_idx", None)
    if kinds is not None and index is not None and index < len(kinds):
        size = {"sliding_attention": sliding, "chunked_attention": chunk}.get(kinds[index])
    else:
        size = sliding if sliding is not None else chunk
    return None if size is None else int(size)
