"""The short causal convolution of Mamba layers in plain torch: transformers' reference, faster on a CPU.

    y_t = act(bias + Σ_k w_k x_{t-K+1+k}),   per channel, K taps (4 as a rule)

The mixers hold x with the channels last in memory and hand over a transposed view. The reference's library
call copies it into another order, and the activation's backward pass then meets two orders at once. A few
shifted multiply-adds need no other order.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.activations import ACT2FN


def causal_convolution(
    hidden_states: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    activation: str | None = None,
    starts: torch.Tensor | None = None,
    **_: Any,
) -> torch.Tensor:
    """Convolve; arguments and result are those of transformers' `causal_conv1d_fn`.

    Args:
        hidden_states: x, shape [batch, channels, length].
        weight: Taps, the last one for the step itself, shape [channels, K].
        bias: Shape [channels].
        activation: Name of the function applied at the end.
        starts: Steps that see nothing of what came before them, booleans of shape [batch, length].

    Returns:
        y, shape and dtype of `hidden_states`.
    """
    x = hidden_states.mT.to(weight.dtype)
    y = _Convolution.apply(x, weight, _visible(starts, weight.shape[1]))  # type: ignore[no-untyped-call]
    if bias is not None:
        y = y + bias
    if activation is not None:
        y = ACT2FN[activation](y)
    result: torch.Tensor = y.mT.to(hidden_states.dtype)
    return result


def _visible(starts: torch.Tensor | None, taps: int) -> list[torch.Tensor] | None:
    """For each distance back from 1, whether a step sees that far: [batch, length - back, 1]."""
    if starts is None:
        return None
    document = starts.cumsum(1)
    length = document.shape[1]
    return [
        (document[:, back:] == document[:, : length - back])[:, :, None]
        for back in range(1, min(taps, length))
    ]


class _Convolution(torch.autograd.Function):
    """The sum over taps, channels last."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, visible: Any) -> Any:
        taps, length = weight.mT.contiguous(), x.shape[1]
        y = x * taps[-1]
        for back in range(1, min(len(taps), length)):
            earlier = x[:, : length - back]
            if visible is not None:
                earlier = earlier * visible[back - 1]
            y[:, back:].addcmul_(earlier, taps[-1 - back])
        ctx.save_for_backward(x, taps)
        ctx.visible = visible
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        x, taps = ctx.saved_tensors
        length = x.shape[1]
        dx = dy * taps[-1]
        dtaps = torch.zeros_like(taps)
        dtaps[-1] = (dy * x).sum((0, 1))
        for back in range(1, min(len(taps), length)):
            later = dy[:, back:]
            if ctx.visible is not None:
                later = later * ctx.visible[back - 1]
            dx[:, : length - back].addcmul_(later, taps[-1 - back])
            dtaps[-1 - back] = (later * x[:, : length - back]).sum((0, 1))
        return dx, dtaps.mT, None
