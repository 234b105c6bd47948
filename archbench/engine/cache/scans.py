"""Scans of state-space layers: Mamba-1's from a state that is not zero, Mamba-2's on short inputs.

When several tokens follow a cached prefix, the mixers of `mamba`, `falcon_mamba` and `jamba` start their
scan from zero. The recurrence (Gu & Dao 2023, arXiv 2312.00752, equation 2a)

    h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t        y_t = C_t h_t + D x_t

is linear in the state, so what the initial state h_0 adds can be put on top of the scan that started from
zero: exp(A Σ_{s≤t} dt_s) h_0 to h_t, and C_t times that to y_t.

transformers' torch reference of Mamba-2's scan fills every row up to a whole chunk (64 to 256 tokens), so the
few tokens of an answer cost as much as a long prompt. `models/kernels/ssd.py` has the same function without.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import nn

from archbench.models.kernels.ssd import chunk_scan

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SCAN = "mamba_selective_scan"
_CHUNK_SCAN = "mamba2_chunk_scan"


@contextlib.contextmanager
def scanning_from_states(model: PreTrainedModel) -> Iterator[None]:
    """Make Mamba-1 mixers go on from their cached state inside the block, however many tokens follow."""
    mixers = [
        module
        for module in model.modules()
        if hasattr(module, "layer_idx")
        and hasattr(module, "A_log")
        and hasattr(sys.modules[type(module).__module__], _SCAN)
    ]
    if not mixers:
        yield
        return
    state: list[torch.Tensor | None] = [None]

    def remember(mixer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # `cache_params` before transformers 5.24.
        cache = kwargs.get("cache", kwargs.get("cache_params"))
        layer = None if cache is None else cache.layers[mixer.layer_idx]
        state[0] = layer.recurrent_states[0] if layer is not None and layer.has_previous_state[0] else None

    with contextlib.ExitStack() as stack:
        for module in {sys.modules[type(mixer).__module__] for mixer in mixers}:
            stack.enter_context(mock.patch.object(module, _SCAN, _from_state(getattr(module, _SCAN), state)))
        for mixer in mixers:
            handle = mixer.register_forward_pre_hook(remember, with_kwargs=True)
            stack.callback(handle.remove)
        yield


@contextlib.contextmanager
def scanning_short_inputs(model: PreTrainedModel) -> Iterator[None]:
    """Give Mamba-2 layers on a CPU, where there are no kernels, a scan that does not fill up chunks."""
    modules = {sys.modules[type(module).__module__] for module in model.modules()}
    with contextlib.ExitStack() as stack:
        if model.device.type == "cpu" and importlib.util.find_spec("mamba_ssm") is None:
            for module in modules:
                if hasattr(module, _CHUNK_SCAN):
                    stack.enter_context(mock.patch.object(module, _CHUNK_SCAN, chunk_scan))
        yield


def _from_state(scan: Any, state: list[torch.Tensor | None]) -> Any:
    """The scan with the contribution of `state` added.

    Shapes: hidden states, `dt` and `z` `[batch, channels, length]`, `A` `[channels, state]`, `B` and `C`
    `[batch, state, length]`, the state `[batch, channels, state]`.
    """

    def continued(
        hidden_states: torch.Tensor,
        dt: torch.Tensor,
        A: torch.Tensor,
        B: torch.Tensor,
        C: torch.Tensor,
        *args: Any,
        z: torch.Tensor | None = None,
        delta_bias: torch.Tensor | None = None,
        delta_softplus: bool = False,
        return_last_state: bool = False,
        **kwargs: Any,
    ) -> Any:
        before = state[0]
        options = {"z": z, "delta_bias": delta_bias, "delta_softplus": delta_softplus, **kwargs}
        result = scan(hidden_states, dt, A, B, C, *args, return_last_state=return_last_state, **options)
        if before is None:
            return result
        if delta_bias is not None:
            dt = dt + delta_bias.to(dt.dtype)[..., None]
        if delta_softplus:
            dt = F.softplus(dt)
        decay = torch.exp(A[None, :, None, :] * dt.float().cumsum(-1)[..., None])
        states = decay * before.float()[:, :, None, :]
        added = torch.einsum("bcls,bsl->bcl", states, C.float())
        if z is not None:
            added = added * F.silu(z.float())
        if not return_last_state:
            return result + added.to(result.dtype)
        output, last = result
        return output + added.to(output.dtype), last + states[:, :, -1].to(last.dtype)

    return continued
