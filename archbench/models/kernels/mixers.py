"""Mamba layers that train fast without CUDA kernels, and that can begin anew at the borders of documents.

transformers' mixers call functions of their own modules for the scan and the convolution. While `fast_mixers`
is open, archbench's functions stand in their place: the same results within rounding, several times faster on
a CPU (docs/training.md), and able to begin a state anew.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch

from archbench.models.kernels.convolution import causal_convolution
from archbench.models.kernels.selective import selective_scan
from archbench.models.kernels.ssd import chunk_scan

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_OURS: dict[str, Callable[..., Any]] = {
    "mamba_selective_scan": selective_scan,
    "mamba2_chunk_scan": chunk_scan,
    "causal_conv1d_fn": causal_convolution,
}
_FUSED = ("mamba_inner_fn", "mamba2_split_conv1d_scan_combined")
"""Kernels for a whole layer; where one returns None, the mixer calls the functions above one by one."""


@dataclass
class Borders:
    """Where the current sequences begin anew.

    Attributes:
        starts: Steps whose past counts as nothing, booleans of shape [batch, length]; None for nowhere.
    """

    starts: torch.Tensor | None = None


@contextlib.contextmanager
def fast_mixers(model: PreTrainedModel, *, resets: bool = False) -> Iterator[Borders]:
    """Let a model's Mamba layers use archbench's scans, for as long as the context is open.

    Args:
        model: On the device that it is going to run on. One without Mamba layers stays as it is.
        resets: Whether `starts` of what is yielded will be set. CUDA kernels know no borders: where they are
            installed and the model is on a GPU, they stay in place only without it.

    Yields:
        The borders, which hold for every forward and backward pass until they are set again.
    """
    borders = Borders()
    on_gpu = model.device.type == "cuda"
    kernels = on_gpu and importlib.util.find_spec("mamba_ssm") is not None and not resets
    with contextlib.ExitStack() as stack:
        for module in {sys.modules[type(part).__module__] for part in model.modules()}:
            for name, ours in _OURS.items():
                # On a GPU the library's convolution is as good.
                plain = kernels or (name == "causal_conv1d_fn" and on_gpu and not resets)
                if hasattr(module, name) and not plain:
                    stack.enter_context(mock.patch.object(module, name, _with_borders(ours, borders)))
            for name in _FUSED:
                if hasattr(module, name) and not kernels:
                    stack.enter_context(mock.patch.object(module, name, _no_kernel))
        yield borders


def _with_borders(function: Callable[..., Any], borders: Borders) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs, starts=borders.starts)

    return called


def _no_kernel(*args: Any, **kwargs: Any) -> None:
    """What a kernel returns that is not there. A mock of its own would keep every call's tensors."""
