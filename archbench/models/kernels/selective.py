"""Mamba-1's selective scan in plain torch: transformers' reference, many times faster.

The recurrence, per channel, with a state h of `state` numbers (Gu & Dao 2023, arXiv 2312.00752, equation 2a):

    h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t        y_t = C_t · h_t + D x_t

The reference lets autograd record every step: thousands of small tensors, kept until the backward pass. Here
time comes first in memory and a step is one multiply-add in place; all else is done for a chunk of steps at
a time that stays in the processor's cache. Only the states between chunks are kept; the backward pass
computes those within a chunk again and runs the adjoint recurrence g_t = C_t dy_t + exp(dt_{t+1} A) g_{t+1}
over it.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

_CHUNK_ELEMENTS = 2**18
"""Numbers in a chunk's states: one megabyte in fp32."""


def selective_scan(
    hidden_states: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None = None,
    z: torch.Tensor | None = None,
    delta_bias: torch.Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
    initial_state: torch.Tensor | None = None,
    starts: torch.Tensor | None = None,
    **_: Any,
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """Scan whole sequences; arguments and results are those of transformers' `mamba_selective_scan`.

    Args:
        hidden_states: x, shape [batch, channels, length].
        dt: Step sizes before bias and softplus, shape [batch, channels, length].
        A: Negative decay rates, shape [channels, state].
        B: Input maps, shape [batch, state, length].
        C: Output maps, shape [batch, state, length].
        D: Skip weights, shape [channels].
        z: The gate; the output is multiplied by its SiLU. Shape [batch, channels, length].
        delta_bias: Added to `dt`, shape [channels].
        delta_softplus: Whether `dt` goes through a softplus.
        return_last_state: Whether to return the state after the last step too.
        initial_state: State before the first step, shape [batch, channels, state]; zero if None.
        starts: Where the state before a step counts as zero, booleans of shape [batch, length].

    Returns:
        y, shape [batch, channels, length], in fp32 (fp64 for fp64); with `return_last_state` also the state.
    """
    exact = torch.promote_types(hidden_states.dtype, torch.float32)
    x, dt = hidden_states.to(exact), dt.to(exact)
    if delta_bias is not None:
        dt = dt + delta_bias.to(exact)[:, None]
    if delta_softplus:
        dt = F.softplus(dt)
    if initial_state is None:
        initial_state = x.new_zeros(*x.shape[:2], A.shape[1])
    with torch.autocast(x.device.type, enabled=False):
        y, last = _Scan.apply(  # type: ignore[no-untyped-call]
            x, dt, A.to(exact), B.to(exact), C.to(exact), initial_state.to(exact), starts
        )
    if D is not None:
        y = y + x * D[:, None]
    if z is not None:
        y = y * F.silu(z)
    return (y, last) if return_last_state else y


class _Scan(torch.autograd.Function):
    """y and the last state, without skip and gate; `dt` as it enters the recurrence.

    Inside: t step, b batch, n state, d channel, in this order in memory.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, dt: Any, A: Any, B: Any, C: Any, initial: Any, starts: Any) -> Any:
        x, dt, B, C = (tensor.detach().permute(2, 0, 1).contiguous() for tensor in (x, dt, B, C))
        A, state = A.detach().mT.contiguous(), initial.detach().mT.contiguous()
        starts = None if starts is None else starts.mT[:, :, None, None]
        inputs = x * dt
        y = torch.empty_like(x)
        before = []
        for part in _chunks(len(x), state.numel()):
            before.append(state)
            _, states = _states(
                dt[part], A, B[part], inputs[part], state, None if starts is None else starts[part]
            )
            torch.matmul(C[part].unsqueeze(2), states, out=y[part].unsqueeze(2))
            state = states[-1].clone()
        ctx.save_for_backward(x, dt, A, B, C, *before)
        ctx.starts = starts
        return y.permute(1, 2, 0), state.mT

    @staticmethod
    def backward(ctx: Any, dy: Any, dlast: Any) -> Any:
        x, dt, A, B, C, *before = ctx.saved_tensors
        dy, carry = dy.permute(2, 0, 1).contiguous(), dlast.mT
        inputs = x * dt
        dinputs, ddt, dA, dB, dC = (torch.empty_like(tensor) for tensor in (x, dt, A, B, C))
        dA.zero_()
        chunks = _chunks(len(x), carry.numel())
        for part, state in zip(reversed(chunks), reversed(before), strict=True):
            starts = None if ctx.starts is None else ctx.starts[part]
            decay, states = _states(dt[part], A, B[part], inputs[part], state, starts)
            # What the loss changes with each state, later steps counted: from the last step to the first.
            adjoint = C[part].unsqueeze(3) * dy[part].unsqueeze(2)
            for step, factor in zip(reversed(adjoint.unbind()), reversed(decay.unbind()), strict=True):
                step.add_(carry)
                carry = step * factor
            torch.matmul(states, dy[part].unsqueeze(3), out=dC[part].unsqueeze(3))
            torch.matmul(adjoint, inputs[part].unsqueeze(3), out=dB[part].unsqueeze(3))
            torch.matmul(B[part].unsqueeze(2), adjoint, out=dinputs[part].unsqueeze(2))
            exponent = decay.mul_(adjoint)
            exponent[1:].mul_(states[:-1])
            exponent[0].mul_(state)
            torch.sum(exponent * A, 2, out=ddt[part])
            dA += exponent.mul_(dt[part].unsqueeze(2)).sum((0, 1))
        ddt.addcmul_(dinputs, x)
        gradients = (dinputs.mul_(dt), ddt, dB, dC)
        dx, ddt, dB, dC = (tensor.permute(1, 2, 0) for tensor in gradients)
        return dx, ddt, dA.mT, dB, dC, carry.mT, None


def _chunks(length: int, state: int) -> list[slice]:
    size = max(1, min(length, _CHUNK_ELEMENTS // max(1, state)))
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def _states(
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    inputs: torch.Tensor,
    state: torch.Tensor,
    starts: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Decays and states of a chunk's steps, both [t, b, n, d]."""
    decay = (dt.unsqueeze(2) * A).exp_()
    if starts is not None:
        decay.masked_fill_(starts, 0.0)
    states = B.unsqueeze(3) * inputs.unsqueeze(2)
    for step, factor in zip(states.unbind(), decay.unbind(), strict=True):
        state = step.addcmul_(factor, state)
    return decay, states
