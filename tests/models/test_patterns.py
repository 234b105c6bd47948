"""Layer patterns: the rule's published results, its properties, and how they are written in YAML."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archbench.errors import RequestError
from archbench.models.build import build_config
from archbench.models.patterns import allocate, expand_pattern

# Megatron-LM's rule as run on these arguments; the first row is also the pattern printed in the paper.
PUBLISHED = [
    (56, "M-M-M--M-M*-M-M-M-M--M*-M-M-M-M-M*--M-M-M-M-M*-M--M-M-M-", [10, 22, 33, 45]),
    (48, "M-M-M--M-*M-M-M-M--*M-M-M-M-*M--M-M-M-*M-M--M-M-", [9, 19, 28, 38]),
    (24, "M-M-M--*M-M-M-M-*M--M-M-", [7, 16]),
    (12, "M-M-M-*-M-M-", [6]),
]


@pytest.mark.parametrize(("layers", "pattern", "attention_at"), PUBLISHED)
def test_the_rule_gives_what_was_published(layers: int, pattern: str, attention_at: list[int]) -> None:
    found = allocate(layers, attention=0.08, mlp=0.5)
    assert found == pattern
    assert [at for at, letter in enumerate(found) if letter == "*"] == attention_at


def test_the_8b_hybrid_has_its_published_mix() -> None:
    found = allocate(56, attention=0.08, mlp=0.5)
    assert (found.count("*"), found.count("M"), found.count("-")) == (4, 24, 28)


def test_a_transformer_is_not_made_by_the_rule() -> None:
    with pytest.raises(RequestError, match=r"-\*-\*.*does not begin with Mamba.*repeat: 28"):
        allocate(56, attention=0.5, mlp=0.5)


@given(st.integers(1, 120), st.floats(0, 0.5), st.floats(0, 0.5))
def test_counts_are_the_rounded_shares_and_attention_is_spread(layers: int, share: float, mlp: float) -> None:
    try:
        found = allocate(layers, share, mlp)
    except RequestError:
        return
    assert len(found) == layers
    assert found[0] == "M"
    assert (found.count("*"), found.count("-")) == (round(layers * share), round(layers * mlp))
    cuts = [len(part) for part in found.split("*")]
    assert max(cuts) - min(cuts) <= 1


@pytest.mark.parametrize(
    ("pattern", "written_out"),
    [
        ("M-*E", "M-*E"),
        ({"layers": 12, "attention": 0.08, "mlp": 0.5}, "M-M-M-*-M-M-"),
        ({"layers": 3}, "MMM"),
        ({"block": "M-M-*-M-", "repeat": 4}, "M-M-*-M-" * 4),
        ({"block": "*-"}, "*-"),
    ],
)
def test_every_way_to_write_a_pattern(pattern: Any, written_out: str) -> None:
    assert expand_pattern(pattern) == written_out
    layers = build_config({"model_type": "nemotron_h", "pattern": pattern}).layers_block_type
    assert len(layers) == len(written_out)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("MX", "'X'"),
        ("", "one letter a layer"),
        (7, "one letter a layer"),
        ({"layers": 4, "atention": 0.5}, "Did you mean 'attention'?"),
        ({"block": "M", "layers": 4}, "'layers'"),
        ({"block": "M", "repeat": 0}, "how often"),
        ({"block": "MQ", "repeat": 2}, "'Q'"),
        ({"repeat": 2}, "needs a block"),
        ({"attention": 0.5}, "number of layers"),
        ({"layers": "many"}, "pattern.layers is 'many'"),
        ({"layers": True}, "expected a number"),
        ({"layers": 4, "attention": 1.5}, "shares, 0 to 1"),
        ({"layers": 4, "attention": 0.75, "mlp": 0.5}, "more than 4"),
    ],
)
def test_wrong_patterns_are_refused(pattern: Any, said: str) -> None:
    with pytest.raises(RequestError) as caught:
        expand_pattern(pattern)
    assert said in str(caught.value)
