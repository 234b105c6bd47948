"""Layers with decays `A_log`: Mamba, Mamba-2 and the gated delta rule, as transformers' caches hold them.

The states are those of Gu & Dao 2023 (arXiv 2312.00752), Dao & Gu 2024 (arXiv 2405.21060) and Yang et al.
2025 (arXiv 2412.06464).
"""

from __future__ import annotations

from typing import Any

from archbench.efficiency.parts.short_conv import kept_inputs
from archbench.models.protocol import Part


def describe(module: Any, children: dict[str, Any]) -> Part | None:
    """The part that a module with `A_log` is; None where it is none of the three."""
    conv = children.get("conv1d")
    if conv is None:
        return None
    inputs, a_log = kept_inputs(conv), module.A_log
    if hasattr(module, "head_k_dim") and hasattr(module, "head_v_dim"):
        state = module.num_v_heads * module.head_k_dim * module.head_v_dim
        # Gated delta rule, per element: decay (1), read kᵀS (2), write kβ(v - ·)ᵀ (2), output qᵀS (2).
        return Part("gated_delta", state=state + inputs, scan_flops=7 * state)
    if a_log.dim() == 1 and hasattr(module, "ssm_state_size"):
        heads = a_log.shape[0]
        inner = children["in_proj"].weight.shape[0] - conv.weight.shape[0] - heads
        state = inner * module.ssm_state_size
        # Per element: ā·h (1), x Bᵀ (1), their sum (1), product with C and sum (2); ā is one number a head.
        return Part("mamba2", state=state + inputs, scan_flops=5 * state)
    if a_log.dim() >= 2 and ("x_proj" in children or "x_proj_weight" in module._parameters):
        state = a_log.numel()
        # As for Mamba-2, and ā = exp(Δ A) differs from element to element (2 more).
        return Part("mamba", state=state + inputs, scan_flops=7 * state)
    return None
