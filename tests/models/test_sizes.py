"""Sizes: published figures, the caches that transformers really keeps, and what is not known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from archbench.efficiency.sizes import Sizes, architecture_sizes, model_sizes
from archbench.errors import RequestError
from archbench.models.build import build_model
from archbench.models.protocol import Part

GIB = 2**30
WIDE = {"vocab_size": 256_000, "hidden_size": 4096, "tie_word_embeddings": False}
NEMOTRON_H = WIDE | {
    "model_type": "nemotron_h", "intermediate_size": 16384, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "mamba_num_heads": 128, "mamba_head_dim": 64,
    "ssm_state_size": 128, "n_groups": 8, "conv_kernel": 4,
}  # fmt: skip
# The four 8B models of Waleffe et al. 2024 (arXiv 2406.07887), each in a transformers class with exactly its
# weights. (`nemotron_h` squares a ReLU where the study's hybrid has GELU: no parameter hangs on that.)
STUDY: dict[str, dict[str, Any]] = {
    "transformer": WIDE
    | {
        "model_type": "nemotron", "num_hidden_layers": 32, "intermediate_size": 16384,
        "num_attention_heads": 32, "num_key_value_heads": 32,
    },
    "mamba": WIDE
    | {
        "model_type": "mamba", "num_hidden_layers": 56, "state_size": 128, "expand": 2, "conv_kernel": 4,
        "time_step_rank": 256,
    },
    "mamba2": NEMOTRON_H | {"pattern": "M" * 56},
    "hybrid": NEMOTRON_H | {"pattern": {"layers": 56, "attention": 0.08, "mlp": 0.5}},
}  # fmt: skip


def study(name: str) -> Sizes:
    return architecture_sizes(STUDY[name])


@pytest.mark.parametrize(
    ("name", "parameters", "kv_per_token", "state", "layers"),
    [
        ("transformer", 8_540_135_424, 524_288, 0, {"attention": 32, "mlp": 32}),
        ("mamba", 8_148_783_104, 0, 56 * 8192 * (128 + 4) * 2, {"mamba": 56}),
        ("mamba2", 8_236_999_680, 0, 122_028_032, {"mamba2": 56}),
        ("hybrid", 8_654_517_248, 16_384, 52_297_728, {"attention": 4, "mamba2": 24, "mlp": 28}),
    ],
)
def test_the_8b_models(
    name: str, parameters: int, kv_per_token: int, state: int, layers: dict[str, int]
) -> None:
    found = study(name)
    assert found.parameters == found.active == parameters
    assert (found.kv_bytes(1), found.state_bytes()) == (kv_per_token, state)
    assert found.layers == layers
    assert found.embedding == 2 * 256_000 * 4096
    # Two a weight that is not looked up, and a few per cent for the recurrences.
    matrices = found.inference_flops(0)
    assert matrices is not None
    assert 2 * (parameters - 256_000 * 4096) == pytest.approx(matrices, rel=0.04)


@pytest.mark.parametrize(
    ("architecture", "gib"),
    [
        ({"model_type": "llama"}, 128),
        ({"model_type": "mistral", "sliding_window": None}, 32),
        ({"model_type": "mixtral"}, 32),
        ({"model_type": "jamba"}, 4),
    ],
    ids=["llama-2-7b", "mistral-7b", "mixtral", "jamba"],
)
def test_the_jamba_papers_caches_at_256k(architecture: dict[str, Any], gib: int) -> None:
    # Table 1 of arXiv 2403.19887: 256K is 262,144 tokens and its GB are GiB; Mistral's window is left out.
    assert architecture_sizes(architecture).kv_bytes(262_144) == gib * GIB


def test_experts_are_used_in_part() -> None:
    found = architecture_sizes({"model_type": "mixtral"})
    assert (found.parameters, found.active) == (46_702_792_704, 12_879_925_248)


SMALL = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}
GQA = SMALL | {"num_key_value_heads": 2, "num_hidden_layers": 4}
MAMBA2 = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1}
CACHED: list[dict[str, Any]] = [
    {"model_type": "llama"} | GQA,
    {"model_type": "qwen3", "head_dim": 16} | GQA,
    {"model_type": "gpt2", "vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4},
    {"model_type": "gpt_neox", "num_hidden_layers": 2} | SMALL,
    {"model_type": "falcon", "num_hidden_layers": 2, "vocab_size": 64, "hidden_size": 32,
     "num_attention_heads": 4},
    {"model_type": "gemma3_text", "head_dim": 8, "sliding_window": 8} | GQA,
    {"model_type": "mistral", "sliding_window": 8} | GQA,
    {"model_type": "mixtral", "num_local_experts": 4} | GQA,
    {"model_type": "mamba", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8},
    {"model_type": "falcon_mamba", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2,
     "state_size": 8},
    {"model_type": "mamba2", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8,
     "num_heads": 4, "head_dim": 16, "n_groups": 2},
    {"model_type": "jamba", "attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 4,
     "mamba_d_state": 8, "use_mamba_kernels": False} | GQA,
    {"model_type": "nemotron_h", "pattern": "M*-M", "head_dim": 8, "mamba_num_heads": 4, "mamba_head_dim": 16,
     "ssm_state_size": 8, "n_groups": 2} | {k: v for k, v in GQA.items() if k != "num_hidden_layers"},
    {"model_type": "bamba", "attn_layer_indices": [1]} | MAMBA2 | GQA,
    {"model_type": "falcon_h1", "mamba_d_ssm": 64} | MAMBA2 | GQA,
    {"model_type": "qwen3_next", "head_dim": 8, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
     "linear_num_key_heads": 2, "linear_num_value_heads": 4, "num_experts": 4, "num_experts_per_tok": 2,
     "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16} | GQA,
    {"model_type": "delta_rule", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_heads": 2,
     "head_dim": 8, "intermediate_size": 48},
    {"model_type": "min_gru", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "expand": 2,
     "intermediate_size": 0},
    {"model_type": "lfm2", "layer_types": ["conv", "full_attention", "conv", "conv"]} | GQA,
]  # fmt: skip


def numbers(value: object, seen: set[int]) -> int:
    """Elements of all floating-point tensors that an object holds."""
    if id(value) in seen:
        return 0
    seen.add(id(value))
    if isinstance(value, torch.Tensor):
        return value.numel() if value.is_floating_point() else 0
    if isinstance(value, dict):
        return sum(numbers(one, seen) for one in value.values())
    if isinstance(value, list | tuple):
        return sum(numbers(one, seen) for one in value)
    return numbers(vars(value), seen) if "cache" in type(value).__module__ else 0


@pytest.mark.parametrize("architecture", CACHED, ids=lambda one: str(one["model_type"]))
def test_transformers_keeps_what_is_said(architecture: dict[str, Any]) -> None:
    model = build_model(architecture, seed=0).eval()
    sizes = model_sizes(model)
    assert sizes.unknown == ()
    assert sizes.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert sum(sizes.by_kind.values()) == sizes.parameters
    for length in (5, 24):
        with torch.no_grad():
            out = model(input_ids=torch.ones(3, length, dtype=torch.long), use_cache=True)
        cache = out.get("past_key_values", None) or out.get("cache_params")
        state, keys = sizes.state_bytes(batch=3), sizes.kv_bytes(length, batch=3)
        assert state is not None
        assert keys is not None
        held = numbers(cache, set()) * 2
        if "sliding_window" in architecture and length > 8:
            # transformers drops the oldest token before the next one comes: a window of 8 holds 7.
            held = round(held * keys / _full(sizes, length, 3, 7))
        assert held == state + keys


def _full(sizes: Sizes, length: int, batch: int, window: int) -> int:
    return sum(
        part.kv_width * (length if part.window is None else min(length, window)) * batch * 2
        for part in sizes.parts
    )


def test_what_is_not_known_is_none_and_never_zero() -> None:
    for model_type in ("xlstm", "deepseek_v3"):
        found = architecture_sizes({"model_type": model_type})
        assert found.unknown
        assert found.kv_bytes(10) is found.state_bytes() is found.inference_flops(10) is None
        assert found.parameters > 1e9


def test_shared_layers_count_once_and_work_often() -> None:
    zamba = architecture_sizes(
        {"model_type": "zamba2", "num_mem_blocks": 1, "num_hidden_layers": 4}
        | {"layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"]}
    )
    assert zamba.layers["attention"] == 2
    assert zamba.by_kind["attention"] < 0.5 * zamba.parameters
    flops = zamba.inference_flops(0)
    assert flops is not None
    assert flops > 2 * zamba.non_embedding


def part(**more: int) -> Sizes:
    parts = (Part("attention", kv_width=4, attended_width=2, **more),)
    return Sizes(100, 100, 0, {}, {}, parts, 200, (), ())


def test_flops_by_hand() -> None:
    assert part().inference_flops(10) == 200 + 4 * 2 * 10
    assert part().training_flops(9) == 3 * (200 + 4 * 2 * 5)
    assert part(window=4).inference_flops(10) == 200 + 4 * 2 * 4
    # Tokens of a window of 9 attend to 1, 2, 3, 4, 4, 4, 4, 4, 4 tokens.
    assert part(window=4).training_flops(9) == 3 * round(200 + 8 * 30 / 9)
    assert part(window=4).kv_bytes(10, batch=2, dtype="float32") == 4 * 4 * 2 * 4


class Growing:
    """A part that declares what attention of the same width keeps and costs, and a state of three numbers."""

    kind = "growing"

    def state_size(self, tokens: int) -> int:
        return 3 + 4 * tokens

    def step_flops(self, tokens: float) -> float:
        return 8 * tokens


@given(st.integers(1, 10**5))
def test_what_a_part_declares_counts_like_what_is_recognised(length: int) -> None:
    declared = Sizes(100, 100, 0, {}, {}, (Growing(),), 200, (), ())
    recognised = part(state=3)
    assert declared.state_bytes() == recognised.state_bytes() == 6
    assert declared.kv_bytes(length) == recognised.kv_bytes(length)
    assert declared.inference_flops(length) == recognised.inference_flops(length)
    assert declared.training_flops(length) == recognised.training_flops(length)


@given(st.integers(1, 10**6), st.integers(1, 64))
def test_caches_grow_with_the_context_and_the_batch(context: int, batch: int) -> None:
    sizes = part()
    one, more = sizes.kv_bytes(context), sizes.kv_bytes(context + 1, batch=batch)
    assert one is not None
    assert more is not None
    assert more > one
    assert sizes.kv_bytes(context, batch=batch) == batch * one


def test_a_dtype_that_there_is_not() -> None:
    with pytest.raises(RequestError, match="Did you mean 'float16'"):
        part().kv_bytes(1, dtype="flaot16")
