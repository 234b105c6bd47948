"""Mamba-2's scan in plain torch, laid out for CPUs: the same function as transformers' reference, sooner.

The recurrence, per head, with state h of shape [head_dim, state]:

    h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_tᵀ        y_t = h_t C_t + D x_t

is cut into chunks of Q steps. Within a chunk it is a masked attention without softmax, Y = (C Bᵀ ∘ L) X with
L_ij = exp(Σ_{j<k≤i} dt_k A); between chunks only the state passes on (Dao & Gu 2024, arXiv 2405.21060,
section 6, "block decomposition"). The reference computes the same with B and C repeated for every head
and the heads last in memory; here the groups' B and C are shared by their heads and every product is one
batched matrix product over contiguous blocks.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import torch
import torch.nn.functional as F

_MODULES = ("mamba2", "nemotron_h")
"""transformers models whose mixer calls a module-level `mamba2_chunk_scan` with these arguments."""


def chunk_scan(
    hidden_states: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    chunk_size: int,
    D: torch.Tensor | None = None,
    dt_bias: torch.Tensor | None = None,
    initial_states: torch.Tensor | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = (0.0, float("inf")),
    return_final_states: bool = False,
    **_: Any,
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """Scan whole sequences; arguments and results are those of transformers' `mamba2_chunk_scan`.

    Args:
        hidden_states: x, shape [batch, length, heads, head_dim].
        dt: Step sizes before bias and softplus, shape [batch, length, heads].
        A: Negative decay rates, shape [heads].
        B: Input maps, shape [batch, length, groups, state].
        C: Output maps, shape [batch, length, groups, state].
        chunk_size: Q, steps in a chunk.
        D: Skip weights, shape [heads].
        dt_bias: Added to `dt`, shape [heads].
        initial_states: State before the first step, shape [batch, heads, head_dim, state]; zero if None.
        dt_softplus: Whether `dt` goes through a softplus.
        dt_limit: Bounds that `dt` is clamped to.
        return_final_states: Whether to return the state after the last step too.

    Returns:
        y, shape [batch, length, heads, head_dim] in fp32; with `return_final_states` also the state.
    """
    batch, length, heads, width = hidden_states.shape
    groups, state = B.shape[2:]
    if dt_bias is not None:
        dt = dt + dt_bias.to(dt.dtype)
    if dt_softplus:
        dt = F.softplus(dt)
    dt = dt.clamp(*dt_limit).float()
    inputs = hidden_states.float()
    size = min(chunk_size, length)
    # Steps added at the end have dt = 0: they neither decay the state nor add to it.
    extra = -length % size
    x, B, C = (F.pad(t.float(), (0, 0, 0, 0, 0, extra)) for t in (inputs, B, C))
    dt = F.pad(dt, (0, 0, 0, extra))
    chunks = (length + extra) // size
    per_group = heads // groups

    # From here on: b batch, c chunk, g group, r head within the group, q step, p head_dim, n state.
    dt = dt.reshape(batch, chunks, size, groups, per_group).permute(0, 1, 3, 4, 2)
    # Differences of long sums cancel: they are taken in fp64, or the decays would be off by |sum| x 1e-7.
    log_decay = (dt * A.float().reshape(groups, per_group, 1)).double().cumsum(-1)
    x = x.reshape(batch, chunks, size, groups, per_group, width).permute(0, 1, 3, 4, 2, 5) * dt[..., None]
    B = B.reshape(batch, chunks, size, groups, 1, state).permute(0, 1, 3, 4, 2, 5)
    C = C.reshape(batch, chunks, size, groups, 1, state).permute(0, 1, 3, 4, 2, 5)

    between = log_decay[..., :, None] - log_decay[..., None, :]
    future = torch.ones(size, size, dtype=torch.bool, device=x.device).triu(1)
    weights = (C @ B.mT) * between.float().masked_fill(future, -torch.inf).exp()
    y = weights @ x

    to_end = (log_decay[..., -1:] - log_decay).float().exp()
    added = (x * to_end[..., None]).mT @ B
    kept = log_decay[..., -1].float().exp()[..., None, None]
    shape = (batch, groups, per_group, width, state)
    current = x.new_zeros(shape) if initial_states is None else initial_states.float().reshape(shape)
    before = []
    for c in range(chunks):
        before.append(current)
        current = current * kept[:, c] + added[:, c]
    y = y + (C @ torch.stack(before, 1).mT) * log_decay.float().exp()[..., None]

    y = y.permute(0, 1, 4, 2, 3, 5).reshape(batch, length + extra, heads, width)[:, :length]
    if D is not None:
        y = y + D[:, None] * inputs
    # Some callers (falcon_h1) take a view of it.
    y = y.contiguous()
    if return_final_states:
        return y, current.reshape(batch, heads, width, state)
    return y


def use_fast_scan() -> bool:
    """Put `chunk_scan` in the place of transformers' torch reference, where no CUDA kernel is installed.

    Returns:
        Whether it was put there; False where `mamba_ssm` is installed, whose kernels are faster still.
    """
    if importlib.util.find_spec("mamba_ssm") is not None:
        return False
    for name in _MODULES:
        module = importlib.import_module(f"transformers.models.{name}.modeling_{name}")
        if not callable(getattr(module, "mamba2_chunk_scan", None)):
            return False
    for name in _MODULES:
        module = importlib.import_module(f"transformers.models.{name}.modeling_{name}")
        module.mamba2_chunk_scan = chunk_scan  # type: ignore[attr-defined]
    return True
