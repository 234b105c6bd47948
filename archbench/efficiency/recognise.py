"""What the parts of a transformers model are, told from their weights' names and shapes.

Nothing here asks for a model by name: a new architecture made of known parts is understood as it is, and a
part that is not known is said to be unknown. Sizes are in elements (numbers), not bytes.

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

The Mamba-1 and Mamba-2 states are those of Gu & Dao 2023 (arXiv 2312.00752) and Dao & Gu 2024
(arXiv 2405.21060) as transformers' caches hold them, a whole kernel of inputs for the convolution.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

_FUSED = ("query_key_value", "c_attn", "qkv_proj", "Wqkv", "att_proj", "in_proj_qkv")
_OUTPUT = ("o_proj", "out_proj", "dense", "c_proj", "Wo", "wo", "attn_out")
_MLP = re.compile(r"mlp|feedforward|feed_forward|ffn", re.IGNORECASE)
_ATTENTION = re.compile(r"(attention|attn)\d?$", re.IGNORECASE)
_NO_PLAIN_ATTENTION = re.compile(r"lightning|linear|delta|retention|latent|sparse|mla|kda", re.IGNORECASE)
"""Attention that keeps something other than keys and values, though its projections look alike."""


@dataclass(frozen=True)
class Part:
    """One recognised part of a layer.

    Attributes:
        kind: What it is; see the table above.
        kv_width: Elements of keys and values kept per token.
        window: Tokens whose keys and values are kept; all where None.
        attended_width: Query heads × head dimension: what a query multiplies each key and value by.
        state: Elements of recurrent state that do not grow with the context, convolution included.
        scan_flops: Additions and multiplications of the recurrence per token, projections left out.
    """

    kind: str
    kv_width: int = 0
    window: int | None = None
    attended_width: int = 0
    state: int = 0
    scan_flops: int = 0


def recognise(module: nn.Module, config: Any) -> Part | None:
    """Tell what a module is.

    Args:
        module: A module of a transformers model; its weights need not be in memory.
        config: The model's (text) configuration.

    Returns:
        The part, or None where it is a container of parts, a norm, or nothing known.
    """
    name = type(module).__name__
    children: dict[str, Any] = dict(module.named_children())
    if "A_log" in module._parameters:
        return _state_space(module, children)
    if "ShortConv" in name and "conv" in children:
        return Part("short_conv", state=_conv_state(children["conv"]))
    if "rg_lru" in children and "conv_1d" in children:
        conv = children["conv_1d"]
        width = conv.weight.shape[0]
        # Per element of the state: two gates of which the products are projections; a·h + √(1 - a²)·x.
        return Part("rg_lru", state=width + width * (conv.weight.shape[-1] - 1), scan_flops=5 * width)
    if name == "RwkvSelfAttention":
        width = int(children["key"].weight.shape[0])
        return Part("rwkv", state=4 * width, scan_flops=12 * width)
    if name == "RwkvFeedForward":
        return Part("rwkv_ffn", state=int(children["key"].weight.shape[1]))
    if _ATTENTION.search(name):
        return None if _NO_PLAIN_ATTENTION.search(name) else _attention(module, children, config)
    if any(has_experts(one) for one in (module, *children.values())):
        return Part("moe")
    if _MLP.search(name) and children:
        return Part("mlp")
    return None


def has_experts(module: nn.Module) -> bool:
    """Whether a module is a set of experts: one stacked tensor per weight, or a list of blocks."""
    name = type(module).__name__
    if name == "ModuleList":
        return any("expert" in type(one).__name__.lower() for one in module.children())
    return name.endswith("Experts") and bool(module._parameters)


def _state_space(module: Any, children: dict[str, Any]) -> Part | None:
    conv = children.get("conv1d")
    if conv is None:
        return None
    conv_state, a_log = _conv_state(conv), module.A_log
    if hasattr(module, "head_k_dim") and hasattr(module, "head_v_dim"):
        state = module.num_v_heads * module.head_k_dim * module.head_v_dim
        # Gated delta rule, per element: decay (1), read kᵀS (2), write kβ(v - ·)ᵀ (2), output qᵀS (2).
        return Part("gated_delta", state=state + conv_state, scan_flops=7 * state)
    if a_log.dim() == 1 and hasattr(module, "ssm_state_size"):
        heads = a_log.shape[0]
        inner = children["in_proj"].weight.shape[0] - conv.weight.shape[0] - heads
        state = inner * module.ssm_state_size
        # Per element: ā·h (1), x Bᵀ (1), their sum (1), product with C and sum (2); ā is one number a head.
        return Part("mamba2", state=state + conv_state, scan_flops=5 * state)
    if a_log.dim() >= 2 and ("x_proj" in children or "x_proj_weight" in module._parameters):
        state = a_log.numel()
        # As for Mamba-2, and ā = exp(Δ A) differs from element to element (2 more).
        return Part("mamba", state=state + conv_state, scan_flops=7 * state)
    return None


def _conv_state(conv: Any) -> int:
    return int(conv.weight.shape[0] * conv.weight.shape[-1])


def _attention(module: Any, children: dict[str, Any], config: Any) -> Part | None:
    """Attention whose cache is plain keys and values; anything else is left unknown."""
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
