"""Our scan equals transformers' reference, forward, backward, with and without a given state."""

from __future__ import annotations

import pytest
import torch
from transformers.models.mamba2.modeling_mamba2 import mamba2_chunk_scan as reference

from archbench.models.build import build_model
from archbench.models.ssd import chunk_scan, use_fast_scan


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


@pytest.mark.parametrize(("length", "chunk"), [(1, 8), (7, 8), (8, 8), (37, 8), (64, 16)])
@pytest.mark.parametrize(("heads", "groups"), [(4, 1), (4, 2), (3, 3)])
@pytest.mark.parametrize("with_state", [False, True])
def test_forward_and_backward_equal_the_reference(
    length: int, chunk: int, heads: int, groups: int, with_state: bool
) -> None:
    results = []
    for scan in (reference, chunk_scan):
        given = arguments(length, heads, groups)
        if not with_state:
            del given["initial_states"]
        y, state = scan(**given, chunk_size=chunk, dt_softplus=True, return_final_states=True)
        (y.sin().sum() + state.cos().sum()).backward()
        results.append([y, state, *(tensor.grad for tensor in given.values())])
    for theirs, ours in zip(*results, strict=True):
        # Gradients reach the hundreds here, and fp32 is 1e-7 of that: the bound goes with the tensor's scale.
        assert (ours - theirs).abs().max() <= 1e-5 * max(1.0, theirs.abs().max().item())


def test_a_model_uses_it_and_gives_the_same_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    module = pytest.importorskip("transformers.models.nemotron_h.modeling_nemotron_h")
    monkeypatch.setattr(module, "mamba2_chunk_scan", reference)
    architecture = {
        "model_type": "nemotron_h", "pattern": "M-*-", "hidden_size": 16, "intermediate_size": 32,
        "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8, "mamba_num_heads": 4,
        "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 2, "chunk_size": 8,
    }  # fmt: skip
    model = build_model(architecture, seed=0, vocab_size=32).eval()
    ids = torch.arange(30)[None] % 32
    with torch.no_grad():
        plain = model(input_ids=ids, use_cache=False).logits
        assert use_fast_scan()
        assert module.mamba2_chunk_scan is chunk_scan
        torch.testing.assert_close(model(input_ids=ids, use_cache=False).logits, plain, atol=1e-5, rtol=1e-5)
