"""Our scan equals transformers' reference, forward, backward, with and without a given state."""

from __future__ import annotations

import pytest
import torch
from transformers.models.mamba2.modeling_mamba2 import mamba2_chunk_scan as reference

from archbench.models.kernels import ssd
from archbench.models.kernels.ssd import chunk_scan


def arguments(length: int, heads: int, groups: int, seed: int = 0) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=rng).requires_grad_()

    return {
        "hidden_states": normal(2, length, heads, 6),
        "dt": normal(2, length, heads),
        "A": (-torch.rand(heads, generator=rng) * 3).requires_grad_(),
        "B": normal(2, length, groups, 5),
        "C": normal(2, length, groups, 5),
        "D": normal(heads),
        "dt_bias": normal(heads),
        "initial_states": normal(2, heads, 6, 5),
    }


def recurrence(
    hidden_states: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor,
    dt_bias: torch.Tensor,
    initial_states: torch.Tensor | None = None,
    **_: object,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The definition, one step after another."""
    batch, length, heads, width = hidden_states.shape
    dt = torch.nn.functional.softplus(dt + dt_bias)
    B, C = (tensor.repeat_interleave(heads // B.shape[2], 2) for tensor in (B, C))
    state = hidden_states.new_zeros(batch, heads, width, B.shape[3])
    if initial_states is not None:
        state = initial_states
    outputs = []
    for t in range(length):
        added = (dt[:, t, :, None] * hidden_states[:, t])[..., None] * B[:, t, :, None]
        state = state * torch.exp(dt[:, t] * A)[..., None, None] + added
        outputs.append((state * C[:, t, :, None]).sum(-1) + D[:, None] * hidden_states[:, t])
    return torch.stack(outputs, 1), state


@pytest.mark.parametrize(("length", "chunk"), [(1, 8), (7, 8), (8, 8), (37, 8), (64, 16)])
@pytest.mark.parametrize(("heads", "groups"), [(4, 1), (4, 2), (3, 3)])
@pytest.mark.parametrize("with_state", [False, True])
def test_forward_and_backward_equal_the_definition_and_the_reference(
    length: int, chunk: int, heads: int, groups: int, with_state: bool
) -> None:
    results = []
    for scan, dtype in ((recurrence, torch.float64), (reference, torch.float32), (chunk_scan, torch.float32)):
        given = {
            name: tensor.detach().to(dtype).requires_grad_()
            for name, tensor in arguments(length, heads, groups).items()
            if with_state or name != "initial_states"
        }
        y, state = scan(**given, chunk_size=chunk, dt_softplus=True, return_final_states=True)
        (y.sin().sum() + state.cos().sum()).backward()
        results.append([y, state, *(tensor.grad for tensor in given.values())])
    for exact, theirs, ours in zip(*results, strict=True):
        # Gradients reach the hundreds here, and fp32 is 1e-7 of that: the bound goes with the tensor's scale.
        bound = 1e-5 * max(1.0, exact.abs().max().item())
        assert (ours - exact).abs().max() <= bound
        # The reference's own distance from the definition is up to 2e-5 here.
        assert (ours - theirs).abs().max() <= bound + (theirs - exact).abs().max()


@pytest.mark.parametrize("border", [1, 8, 11, 20])
@pytest.mark.parametrize(("heads", "groups"), [(4, 1), (4, 2)])
def test_a_border_cuts_a_scan_into_two_with_the_gradients_of_both(
    border: int, heads: int, groups: int
) -> None:
    steps = ("hidden_states", "dt", "B", "C")
    results = []
    for together in (True, False):
        given = arguments(21, heads, groups)
        initial = given.pop("initial_states")
        if together:
            starts = torch.zeros(2, 21, dtype=torch.bool)
            starts[:, border] = True
            y = chunk_scan(**given, chunk_size=8, dt_softplus=True, initial_states=initial, starts=starts)
        else:
            parts = (slice(0, border), initial), (slice(border, 21), None)
            y = torch.cat([
                chunk_scan(
                    **{k: v[:, part] if k in steps else v for k, v in given.items()},
                    chunk_size=8, dt_softplus=True, initial_states=state,
                )
                for part, state in parts
            ], 1)  # fmt: skip
        y.sin().sum().backward()
        results.append([y, initial.grad, *(tensor.grad for tensor in given.values())])
    for theirs, ours in zip(*results, strict=True):
        assert (ours - theirs).abs().max() <= 1e-5 * max(1.0, theirs.abs().max().item())


def test_chunks_of_any_length_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    given = arguments(70, 4, 1)
    results = []
    for chunk in (3, 16, 64):
        monkeypatch.setattr(ssd, "_CPU_CHUNK", chunk)
        results.append(chunk_scan(**given, chunk_size=256, dt_softplus=True))
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], atol=1e-5, rtol=1e-5)
