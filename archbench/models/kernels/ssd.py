"""Mamba-2's scan in plain torch, laid out for CPUs: the same function as transformers' reference, faster.

The recurrence, per head, with state h of shape [head_dim, state]:

    h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_tᵀ        y_t = h_t C_t + D x_t

is cut into chunks of Q steps. Within a chunk it is a masked attention without softmax, Y = (C Bᵀ ∘ L) X with
L_ij = exp(Σ_{j<k≤i} dt_k A); between chunks only the state passes on (Dao & Gu 2024, arXiv 2405.21060,
section 6, "block decomposition"). The reference computes the same with B and C repeated for every head, the
heads last in memory, and everything kept for the backward pass. Here the heads of a group share its B and C,
so that what passes through states is one matrix product a chunk for all of them, on inputs as they lie in
memory; the backward pass is written out, so that only what is of the inputs' size or smaller is kept for it.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

_CPU_CHUNK = 32
"""The result does not depend on the chunk; on CPUs short ones are fastest."""


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
    starts: torch.Tensor | None = None,
    **_: Any,
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """Scan whole sequences; arguments and results are those of transformers' `mamba2_chunk_scan`.

    Args:
        hidden_states: x, shape [batch, length, heads, head_dim].
        dt: Step sizes before bias and softplus, shape [batch, length, heads].
        A: Negative decay rates, shape [heads].
        B: Input maps, shape [batch, length, groups, state].
        C: Output maps, shape [batch, length, groups, state].
        chunk_size: Q, steps in a chunk; on a CPU at most 32.
        D: Skip weights, shape [heads].
        dt_bias: Added to `dt`, shape [heads].
        initial_states: State before the first step, shape [batch, heads, head_dim, state]; zero if None.
        dt_softplus: Whether `dt` goes through a softplus.
        dt_limit: Bounds that `dt` is clamped to.
        return_final_states: Whether to return the state after the last step too.
        starts: Where the state before a step counts as zero, booleans of shape [batch, length].

    Returns:
        y, shape [batch, length, heads, head_dim] in fp32; with `return_final_states` also the state.
    """
    batch, length, heads, width = hidden_states.shape
    if dt_bias is not None:
        dt = dt + dt_bias.to(dt.dtype)
    if dt_softplus:
        dt = F.softplus(dt)
    if dt_limit != (0.0, float("inf")):
        dt = dt.clamp(*dt_limit)
    inputs = hidden_states.float()
    if initial_states is None:
        initial_states = inputs.new_zeros(batch, heads, width, B.shape[3])
    size = min(chunk_size, length, _CPU_CHUNK if inputs.device.type == "cpu" else chunk_size)
    # Steps added at the end have dt = 0: they neither decay the state nor add to it.
    extra = -length % size
    x, B, C = inputs, B.float(), C.float()
    dt = dt.float()
    if extra:
        x, B, C = (F.pad(tensor, (0, 0, 0, 0, 0, extra)) for tensor in (x, B, C))
        dt = F.pad(dt, (0, 0, 0, extra))
        starts = None if starts is None else F.pad(starts, (0, extra))
    with torch.autocast(x.device.type, enabled=False):
        y, last = _Scan.apply(  # type: ignore[no-untyped-call]
            x, dt, A.float(), B, C, initial_states.float(), starts, size
        )
    if extra:
        y = y[:, :length].contiguous()
    if D is not None:
        y = y + D[:, None] * inputs
    return (y, last) if return_final_states else y


class _Scan(torch.autograd.Function):
    """y and the last state, without the skip; `dt` as it enters the recurrence, the length in whole chunks.

    Inside, batch and chunk are one dimension, steps of a chunk the next. Where a group's heads are taken
    together, its heads and their head_dims are one dimension too, and states are [heads · head_dim, state].
    """

    @staticmethod
    def forward(
        ctx: Any, x: Any, dt: Any, A: Any, B: Any, C: Any, initial: Any, starts: Any, size: int
    ) -> Any:
        batch, length, heads, width = x.shape
        groups, per_group = B.shape[2], heads // B.shape[2]
        decays = _Decays(dt, A, starts, size)
        x, dt, B, C = (tensor.reshape(-1, size, *tensor.shape[2:]) for tensor in (x, dt, B, C))
        inputs = x * dt[..., None]
        to_end = inputs * decays.to_end[..., None]
        y = torch.empty_like(inputs)
        before = []
        last = torch.empty_like(initial)
        for g, own in _groups(groups, per_group):
            added = to_end[:, :, own].flatten(2).mT @ B[:, :, g]
            states = added.view(batch, -1, per_group, width, B.shape[3])
            current = initial[:, own]
            # `states` becomes what was there before each chunk.
            for c in range(states.shape[1]):
                following = torch.addcmul(states[:, c], current, decays.kept[:, c, own])
                states[:, c] = current
                current = following
            last[:, own] = current
            states = states.flatten(0, 1).flatten(1, 2)
            before.append(states)
            y[:, :, own] = (C[:, :, g] @ states.mT).unflatten(2, (per_group, width))
        from_states = y.mul_(decays.from_start[..., None])
        y = torch.empty_like(inputs)
        similar = [C[:, :, g] @ B[:, :, g].mT for g in range(groups)]
        for h in range(heads):
            within = (similar[h // per_group] * decays.between[h]) @ inputs[:, :, h]
            torch.add(from_states[:, :, h], within, out=y[:, :, h])
        ctx.save_for_backward(x, dt, A, B, C, from_states, *similar, *before)
        ctx.decays, ctx.batch = decays, batch
        return y.view(batch, length, heads, width), last

    @staticmethod
    def backward(ctx: Any, dy: Any, dlast: Any) -> Any:
        x, dt, A, B, C, from_states, *by_group = ctx.saved_tensors
        decays: _Decays = ctx.decays
        chunks, _, heads, width = x.shape
        groups, per_group = B.shape[2], heads // B.shape[2]
        similar, before = by_group[:groups], by_group[groups:]
        dy = dy.reshape(x.shape)
        inputs = x * dt[..., None]
        weighted = dy * decays.from_start[..., None]
        dinputs, dB, dC = torch.empty_like(x), torch.empty_like(B), torch.empty_like(C)
        dinitial = torch.empty_like(dlast)
        # By the logarithm of the decay from a chunk's beginning to each of its steps. What is added here and
        # taken off there cancels in the sums below, in fp64 without a trace.
        dlog = (from_states * dy).sum(3).double()
        dkept = x.new_empty(chunks, heads)
        for (g, own), states in zip(_groups(groups, per_group), before, strict=True):
            dstates = (weighted[:, :, own].flatten(2).mT @ C[:, :, g]).view(
                ctx.batch, -1, per_group, width, B.shape[3]
            )
            carry = dlast[:, own]
            # `dstates` becomes the gradient by the state after each chunk.
            for c in reversed(range(dstates.shape[1])):
                earlier = torch.addcmul(dstates[:, c], carry, decays.kept[:, c, own])
                dstates[:, c] = carry
                carry = earlier
            dinitial[:, own] = carry
            dstates = dstates.flatten(0, 1).flatten(1, 2)
            heads_apart = (per_group, width)
            by_head = (chunks, per_group, -1)
            dkept[:, own] = torch.linalg.vecdot(states.view(by_head), dstates.view(by_head))
            to_states = (B[:, :, g] @ dstates.mT).unflatten(2, heads_apart)
            dinputs[:, :, own] = to_states * decays.to_end[:, :, own, None]
            end = (dinputs[:, :, own] * inputs[:, :, own]).sum(3)
            dlog[:, :, own] -= end
            dlog[:, -1, own] += end.sum(1)
            dC[:, :, g] = weighted[:, :, own].flatten(2) @ states
            ended = inputs[:, :, own] * decays.to_end[:, :, own, None]
            dB[:, :, g] = ended.flatten(2) @ dstates
            dsimilar = torch.zeros_like(similar[g])
            for h in range(own.start, own.stop):
                between = decays.between[h]
                weights = similar[g] * between
                dinputs[:, :, h] += weights.mT @ dy[:, :, h]
                dweights = dy[:, :, h] @ inputs[:, :, h].mT
                dsimilar.addcmul_(dweights, between)
                changes = dweights.mul_(weights)
                changes.diagonal(dim1=1, dim2=2).zero_()
                dlog[:, :, h] += changes.sum(2) - changes.sum(1)
            dC[:, :, g] += dsimilar @ B[:, :, g]
            dB[:, :, g] += dsimilar.mT @ C[:, :, g]
        dlog[:, -1] += dkept * decays.kept.flatten(0, 1)[:, :, 0, 0]
        # Step j takes part in the decay to every later step of its chunk.
        drates = dlog.flip(1).cumsum(1).flip(1).float()
        ddt = (dinputs * x).sum(3).addcmul_(drates, A)
        dA = (drates * dt).sum((0, 1))
        dx = dinputs.mul_(dt[..., None])
        dx, ddt, dB, dC = (tensor.view(ctx.batch, -1, *tensor.shape[2:]) for tensor in (dx, ddt, dB, dC))
        return dx, ddt, dA, dB, dC, dinitial, None, None


class _Decays:
    """How much of a state is left between the steps of a chunk.

    Attributes:
        from_start: From the chunk's beginning to a step, shape [batch · chunks, Q, heads].
        to_end: From a step to the chunk's end, same shape.
        kept: From the chunk's beginning to its end, shape [batch, chunks, heads, 1, 1].
        between: For each head from step j to step i, shape [batch · chunks, i, j]; zero for j > i and across
            starts.
    """

    def __init__(self, dt: torch.Tensor, A: torch.Tensor, starts: torch.Tensor | None, size: int) -> None:
        batch, _, heads = dt.shape
        rates = (dt.detach() * A.detach()).view(-1, size, heads)
        # Differences of long sums cancel: they are taken in fp64, or the decays would be off by |sum| x 1e-7.
        log = rates.double().cumsum(1)
        self.from_start = log.float().exp_()
        self.to_end = (log[:, -1:] - log).float().exp_()
        apart = torch.ones(size, size, dtype=torch.bool, device=dt.device).triu(1)
        if starts is not None:
            document = starts.reshape(-1, size).cumsum(1)
            apart = apart | (document[:, :, None] != document[:, None, :])
            self.from_start.masked_fill_((document > 0)[:, :, None], 0.0)
            self.to_end.masked_fill_((document != document[:, -1:])[:, :, None], 0.0)
        self.kept = self.from_start[:, -1].reshape(batch, -1, heads, 1, 1)
        self.between = [
            (one[:, :, None] - one[:, None, :]).float().masked_fill_(apart, -torch.inf).exp_()
            for one in log.unbind(2)
        ]


def _groups(groups: int, per_group: int) -> list[tuple[int, slice]]:
    """Each group with its heads."""
    return [(g, slice(g * per_group, (g + 1) * per_group)) for g in range(groups)]
