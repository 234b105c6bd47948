"""Decays of linear recurrences between the steps of a chunk."""

from __future__ import annotations

import torch

CHUNK = 32
"""Steps computed at once; results do not depend on it."""


def decays(log_decay: torch.Tensor, starts: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """How much of a state is left between steps.

    Args:
        log_decay: Logarithm of what each step leaves, shape [batch, length, heads].
        starts: Steps before which the state counts as zero, booleans of shape [batch, length].

    Returns:
        γ, from the beginning to each step, shape [batch, heads, length, 1]; and Γ, from step j to step i,
        shape [batch, heads, i, j], zero for j > i. Both are zero across starts.
    """
    # Differences of long sums cancel: in fp32 they would be off by |sum| x 1e-7.
    log = log_decay.mT.double().cumsum(2)
    size = log.shape[2]
    apart = torch.ones(size, size, dtype=torch.bool, device=log.device).triu(1)
    from_start = log.exp().float()
    if starts is not None:
        document = starts.cumsum(1)[:, None]
        apart = apart | (document[..., :, None] != document[..., None, :])
        from_start = from_start.masked_fill(document > 0, 0.0)
    between = (log[..., :, None] - log[..., None, :]).masked_fill(apart, -torch.inf).exp().float()
    return from_start[..., None], between
