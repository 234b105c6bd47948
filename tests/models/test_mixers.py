"""Models train with archbench's scans, to the gradients that they have with transformers' own."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest
import torch

from archbench.models.build import build_model
from archbench.models.kernels.mixers import fast_mixers
from archbench.models.kernels.selective import selective_scan
from archbench.models.kernels.ssd import chunk_scan

_WIDTH: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2}
_HEADS = {"num_attention_heads": 2, "num_key_value_heads": 2}
MODELS: dict[str, dict[str, Any]] = {
    "mamba": {**_WIDTH, "model_type": "mamba", "state_size": 4},
    "falcon_mamba": {**_WIDTH, "model_type": "falcon_mamba", "state_size": 4, "intermediate_size": 32},
    "mamba2": {
        **_WIDTH, "model_type": "mamba2", "state_size": 4, "num_heads": 4, "head_dim": 8, "n_groups": 2,
        "chunk_size": 8,
    },
    "nemotron_h": {
        **_HEADS, "model_type": "nemotron_h", "pattern": "M-*-", "hidden_size": 16, "intermediate_size": 32,
        "head_dim": 8, "mamba_num_heads": 4, "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 2,
        "chunk_size": 8,
    },
    "jamba": {
        **_WIDTH, **_HEADS, "model_type": "jamba", "intermediate_size": 32, "mamba_d_state": 4,
        "num_experts": 1, "num_experts_per_tok": 1, "attn_layer_period": 2, "attn_layer_offset": 1,
        "mamba_dt_rank": 2,
    },
    "llama": {**_WIDTH, **_HEADS, "model_type": "llama", "intermediate_size": 32},
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_logits_and_gradients_are_those_of_the_reference(name: str) -> None:
    model = build_model(MODELS[name], seed=0, vocab_size=32)
    ids = torch.randint(0, 32, (2, 21), generator=torch.Generator().manual_seed(0))

    def results() -> list[torch.Tensor]:
        model.zero_grad()
        logits = model(input_ids=ids, use_cache=False).logits
        torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
        return [logits, *(p.grad.clone() for p in model.parameters() if p.grad is not None)]

    plain = results()
    with fast_mixers(model):
        ours = results()
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_the_scans_are_ours_inside_and_transformers_own_outside() -> None:
    for name, function, ours in (
        ("mamba", "mamba_selective_scan", selective_scan),
        ("mamba2", "mamba2_chunk_scan", chunk_scan),
    ):
        model = build_model(MODELS[name], seed=0, vocab_size=32)
        module = sys.modules[type(model).__module__]
        before = getattr(module, function)
        with fast_mixers(model):
            inside = getattr(module, function)
            assert ours in [cell.cell_contents for cell in inside.__closure__]
        assert getattr(module, function) is before


@pytest.mark.parametrize("name", [name for name in MODELS if name != "llama"])
def test_after_a_border_a_model_answers_as_if_nothing_had_come_before(name: str) -> None:
    model = build_model(MODELS[name], seed=0, vocab_size=32)
    ids = torch.randint(0, 32, (2, 21), generator=torch.Generator().manual_seed(0))
    starts = torch.zeros(2, 21, dtype=torch.bool)
    starts[:, 9] = True
    positions = torch.cat([torch.arange(9), torch.arange(12)])[None].expand(2, -1)
    attends = name in ("jamba", "nemotron_h")
    extra = {"position_ids": positions} if attends else {}
    with torch.no_grad(), fast_mixers(model, resets=True) as borders:
        alone = model(input_ids=ids[:, 9:], use_cache=False).logits
        borders.starts = starts
        packed = model(input_ids=ids, use_cache=False, **extra).logits[:, 9:]
    torch.testing.assert_close(packed, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_steps_leave_nothing_behind(name: str) -> None:
    model = build_model(MODELS[name], seed=0, vocab_size=32)
    ids = torch.zeros((1, 9), dtype=torch.long)

    def tensors() -> int:
        model(input_ids=ids, use_cache=False).logits.sum().backward()
        model.zero_grad()
        gc.collect()
        # By type: asking an instance of every object there is would wake up deprecated ones.
        return sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects())

    with fast_mixers(model):
        first = [tensors() for _ in range(2)][-1]
        assert [tensors() for _ in range(3)] == [first] * 3
