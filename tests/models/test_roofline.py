"""Predicted decoding: by hand, and against what the study of 8B models says of its hybrid."""

from __future__ import annotations

import itertools

import pytest

from archbench.efficiency.roofline import H100, Hardware, decoding_step, speedups
from archbench.efficiency.sizes import Sizes, architecture_sizes
from archbench.errors import RequestError
from archbench.models.protocol import Part
from tests.models.test_sizes import STUDY

CONTEXTS = [0, 1024, 4096, 16_384, 65_536, 131_072, 1_048_576]


def small(**more: object) -> Sizes:
    fields = {
        "parts": (Part("attention", kv_width=4, attended_width=2), Part("mamba", state=10, scan_flops=7))
    }
    known: dict[str, object] = {
        "parameters": 100, "active": 100, "embedding": 30, "by_kind": {"embedding": 20, "head": 10},
        "layers": {}, "matmul_flops": 160, "routed": (), "unknown": (),
    }  # fmt: skip
    return Sizes(**(known | fields | more))  # type: ignore[arg-type]


def test_a_step_by_hand() -> None:
    slow = Hardware("slow memory", bandwidth=10.0, peak=1e9)
    step = decoding_step(small(), 5, batch=3, hardware=slow)
    assert step.weight_bytes == (100 - 20) * 2
    assert step.cache_bytes == 3 * 2 * (4 * 5 + 4 + 2 * 10)
    assert step.flops == 3 * (160 + 4 * 2 * 5 + 7)
    assert (step.bound, step.seconds) == ("memory", (160 + 264) / 10)
    bound = decoding_step(small(), 5, batch=3, hardware=Hardware("slow units", bandwidth=1e9, peak=10.0))
    assert (bound.bound, bound.seconds) == ("compute", 621 / 10)


def test_a_batch_reads_more_experts() -> None:
    experts = small(routed=((40, 0.25),), by_kind={"embedding": 20})
    read = [decoding_step(experts, 1, batch=batch).weight_bytes / 2 for batch in (1, 2, 1000)]
    assert read == pytest.approx([100 - 30, 100 - 40 * 0.75**2, 100])


def test_what_is_not_known_is_not_predicted() -> None:
    with pytest.raises(RequestError, match="xLSTMLayer"):
        decoding_step(small(unknown=("xLSTMLayer",)), 1)


def test_the_8b_hybrid_is_up_to_8_times_faster() -> None:
    """The abstract's "up to 8×" is the limit of 32 attention layers against 4 with the same 8 KV heads."""
    hybrid = architecture_sizes(STUDY["hybrid"])
    grouped = architecture_sizes(STUDY["transformer"] | {"num_key_value_heads": 8})
    curve = speedups(hybrid, grouped, CONTEXTS)
    assert all(a < b for a, b in itertools.pairwise(curve))
    assert curve[0] == pytest.approx(0.72, abs=0.01)
    assert 6.0 < curve[-2] < 6.6, "128K tokens, the longest context of the study"
    assert 7.5 < curve[-1] < 8.0
    assert speedups(hybrid, grouped, [10**9]) == pytest.approx([8.0], abs=0.01)
    # With the 32 KV heads that the released Transformer has, the same roofline gives 8× before 16K tokens.
    released = architecture_sizes(STUDY["transformer"])
    assert speedups(hybrid, released, [16_384])[0] > 8
    assert speedups(hybrid, released, [10**9]) == pytest.approx([32.0], abs=0.1)
    assert decoding_step(hybrid, 4096, batch=32, hardware=H100).bound == "memory"
