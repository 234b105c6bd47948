"""The width solver: nearest dimensions, always ones that fit together."""

from __future__ import annotations

from typing import Any

import pytest

from archbench.efficiency.sizes import architecture_sizes
from archbench.efficiency.widths import solve_widths
from archbench.errors import RequestError

LLAMA: dict[str, Any] = {
    "model_type": "llama", "num_hidden_layers": 2, "vocab_size": 256, "tie_word_embeddings": True,
}  # fmt: skip
HEADS = {"hidden_size": 16, "num_attention_heads": 1, "num_key_value_heads": 1, "intermediate_size": 48}
HYBRID = {
    "model_type": "nemotron_h", "pattern": {"layers": 12, "attention": 0.08, "mlp": 0.5}, "vocab_size": 256,
    "head_dim": 16, "mamba_head_dim": 16, "ssm_state_size": 16, "n_groups": 1, "tie_word_embeddings": True,
}  # fmt: skip


def test_a_size_is_found_again() -> None:
    known = LLAMA | {name: 5 * step for name, step in HEADS.items()}
    found = solve_widths(LLAMA, architecture_sizes(known).parameters, [HEADS])
    assert (found.architecture, found.mismatch) == (known, 0)


@pytest.mark.parametrize("target", [40_000, 150_000, 333_333])
def test_the_neighbours_are_no_nearer(target: int) -> None:
    found = solve_widths(LLAMA, target, [HEADS])
    unit = found.architecture["num_attention_heads"]
    for other in (unit - 1, unit + 1):
        if other:
            near = architecture_sizes(LLAMA | {name: other * step for name, step in HEADS.items()})
            assert abs(near.parameters - target) >= abs(found.found - target)


@pytest.mark.parametrize("quantity", ["parameters", "non_embedding", "active", "flops"])
def test_a_hybrid_is_matched_with_a_transformer(quantity: Any) -> None:
    transformer = architecture_sizes(LLAMA | {name: 6 * step for name, step in HEADS.items()})
    wide = {"hidden_size": 16, "num_attention_heads": 1, "num_key_value_heads": 1, "mamba_num_heads": 2}
    target = transformer.inference_flops(64) if quantity == "flops" else getattr(transformer, quantity)
    stages = [wide | {"intermediate_size": 64}, {"intermediate_size": 4}]
    found = solve_widths(HYBRID, target, stages, quantity=quantity, context=64)
    assert abs(found.mismatch) < 0.02
    assert found.architecture["hidden_size"] == 16 * found.architecture["num_attention_heads"]
    assert found.architecture["pattern"] == HYBRID["pattern"]


@pytest.mark.parametrize(
    ("target", "stages", "quantity", "said"),
    [
        (0, [HEADS], "parameters", "must be positive"),
        (float("nan"), [HEADS], "parameters", "must be positive"),
        (
            4e6,
            [{"hidden_size": 48, "num_attention_heads": 4, "num_key_value_heads": 3}],
            "parameters",
            "heads of attention on",
        ),
        (1000, [{"hidden_size": 0}], "parameters", "at least 1"),
        (100, [HEADS], "parameters", "more than twice the target"),
        (1e9, [{"max_position_embeddings": 1}], "parameters", "hardly change"),
        (1e6, [{"hiden_size": 1}], "parameters", "Did you mean 'hidden_size'"),
        (1e6, [HEADS], "weight", "not one of"),
    ],
)
def test_what_cannot_be_solved(target: float, stages: list[dict[str, int]], quantity: Any, said: str) -> None:
    with pytest.raises(RequestError) as caught:
        solve_widths(LLAMA, target, stages, quantity=quantity)
    assert said in str(caught.value)
