"""Our selective scan and convolution equal transformers' reference, forward and backward."""

from __future__ import annotations

import pytest
import torch
from transformers.models.mamba.modeling_mamba import causal_conv1d_fn
from transformers.models.mamba.modeling_mamba import mamba_selective_scan as reference

from archbench.models.kernels import selective
from archbench.models.kernels.convolution import causal_convolution
from archbench.models.kernels.selective import selective_scan


def arguments(length: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=rng, dtype=dtype).requires_grad_()

    return {
        "hidden_states": normal(2, 6, length),
        "dt": normal(2, 6, length),
        "A": (-torch.rand(6, 5, generator=rng, dtype=dtype) * 3).requires_grad_(),
        "B": normal(2, 5, length),
        "C": normal(2, 5, length),
        "D": normal(6),
        "z": normal(2, 6, length),
        "delta_bias": normal(6),
    }


def close(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Within 1e-5 of the tensor's scale."""
    return bool((ours - theirs).abs().max() <= 1e-5 * max(1.0, theirs.abs().max().item()))


@pytest.mark.parametrize("length", [1, 2, 7, 33])
@pytest.mark.parametrize("chunk", [1, 60, 300, 10**6])
@pytest.mark.parametrize("without", [(), ("D", "z", "delta_bias")])
def test_forward_and_backward_equal_the_reference(
    length: int, chunk: int, without: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selective, "_CHUNK_ELEMENTS", chunk)
    results = []
    for scan in (reference, selective_scan):
        given = arguments(length)
        for name in without:
            del given[name]
        y, state = scan(**given, delta_softplus=True, return_last_state=True)
        (y.sin().sum() + state.cos().sum()).backward()
        results.append([y, state, *(tensor.grad for tensor in given.values())])
    assert all(close(ours, theirs) for theirs, ours in zip(*results, strict=True))


@pytest.mark.parametrize("cut", [1, 4, 10])
def test_a_scan_goes_on_from_a_state_with_the_gradients_of_the_whole(cut: int) -> None:
    results = []
    for parts in ([slice(0, 11)], [slice(0, cut), slice(cut, 11)]):
        given, outputs, state = arguments(11), [], None
        for part in parts:
            piece = {k: v if k in ("A", "D", "delta_bias") else v[..., part] for k, v in given.items()}
            y, state = selective_scan(
                **piece, delta_softplus=True, return_last_state=True, initial_state=state
            )
            outputs.append(y)
        whole = torch.cat(outputs, -1)
        (whole.sin().sum() + state.cos().sum()).backward()
        results.append([whole, *(tensor.grad for tensor in given.values())])
    assert all(close(ours, theirs) for theirs, ours in zip(*results, strict=True))


def test_gradients_equal_finite_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selective, "_CHUNK_ELEMENTS", 180)
    starts = torch.tensor([[0, 0, 1, 0, 1, 0, 0], [0, 1, 0, 0, 0, 0, 1]], dtype=torch.bool)
    given = arguments(7, dtype=torch.float64)
    state = torch.randn(2, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def scan(*tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        *rest, initial = tensors
        return selective_scan(
            **dict(zip(given, rest, strict=True)), initial_state=initial, starts=starts,
            delta_softplus=True, return_last_state=True,
        )  # fmt: skip

    assert torch.autograd.gradcheck(scan, (*given.values(), state.requires_grad_()))


@pytest.mark.parametrize(("length", "taps"), [(1, 4), (3, 4), (20, 4), (9, 2)])
@pytest.mark.parametrize("activation", ["silu", None])
def test_the_convolution_equals_the_reference(length: int, taps: int, activation: str | None) -> None:
    results = []
    for convolve in (causal_conv1d_fn, causal_convolution):
        rng = torch.Generator().manual_seed(0)
        given = [
            torch.randn(*shape, generator=rng).requires_grad_() for shape in ((2, 3, length), (3, taps), (3,))
        ]
        y = convolve(*given, activation=activation)
        y.sin().sum().backward()
        results.append([y, *(tensor.grad for tensor in given)])
    assert all(close(ours, theirs) for theirs, ours in zip(*results, strict=True))


@pytest.mark.parametrize("border", [1, 3, 5, 8])
def test_borders_cut_scan_and_convolution_into_independent_pieces(border: int) -> None:
    starts = torch.zeros(2, 9, dtype=torch.bool)
    starts[:, border] = True
    whole = arguments(9)
    pieces = [
        {k: v if k in ("A", "D", "delta_bias") else v[..., part] for k, v in whole.items()}
        for part in (slice(0, border), slice(border, 9))
    ]
    apart = torch.cat([selective_scan(**piece) for piece in pieces], -1)
    assert close(selective_scan(**whole, starts=starts), apart)
    taps = torch.randn(6, 4, generator=torch.Generator().manual_seed(3))
    apart = torch.cat([causal_convolution(piece["hidden_states"], taps) for piece in pieces], -1)
    assert close(causal_convolution(whole["hidden_states"], taps, starts=starts), apart)
