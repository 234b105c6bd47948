"""Members of `init: random` that this machine could not build are refused with the plan, at their line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from archbench.errors import RequestError
from archbench.models.build import build_config, build_model
from archbench.models.checks import memory
from archbench.results.store import Store
from archbench.runner.plan import make_plan
from archbench.suite import load_suite
from tests.runner.tiny import LLAMA, MAMBA, save_questions, save_tokenizer


@pytest.fixture
def suite(here: Path) -> Path:
    save_tokenizer(here / "tokenizer")
    save_questions(here / "mmlu")
    return here / "suite.yaml"


def plan(suite: Path, architecture: dict[str, Any]) -> None:
    control = {"init": "random", "tokenizer": "./tokenizer", "architecture": architecture}
    suite.write_text(
        f"name: x\nmembers:\n  control: {control}\ntasks:\n  mmlu: {{kind: mmlu, data: ./mmlu, shots: [0]}}\n"
    )
    make_plan(load_suite(str(suite)), Store(suite.parent / "out"))


def test_a_small_one_is_planned(suite: Path) -> None:
    plan(suite, LLAMA)


@pytest.mark.parametrize(
    ("architecture", "part"),
    [
        (LLAMA | {"hidden_size": 10**7}, "bytes of memory"),
        (LLAMA | {"hidden_size": 10**12}, "'llama'"),
        (LLAMA | {"hidden_size": 10**30}, "'llama'"),
        (LLAMA | {"vocab_size": 10**13}, "has 320,000,000,00"),
        (LLAMA | {"num_hidden_layers": 10**12}, "num_hidden_layers is 1,000,000,000,000; at most 10,000"),
        (LLAMA | {"num_attention_heads": 0}, "'llama' refuses these fields: ZeroDivisionError"),
        (MAMBA | {"state_size": 10**13}, "'mamba2'"),
    ],
)
def test_what_no_machine_could_build_is_refused(suite: Path, architecture: dict[str, Any], part: str) -> None:
    with pytest.raises(RequestError) as error:
        plan(suite, architecture)
    assert part in str(error.value)
    assert str(error.value).startswith(f"{suite}, line 3: ")
    assert "\n" not in str(error.value)
    assert not (suite.parent / "out").exists()


def test_the_bound_is_the_machines_own(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 4 * build_model(LLAMA, seed=0, vocab_size=257).num_parameters()
    monkeypatch.setattr(memory, "machine_memory", lambda: needed // 2)
    with pytest.raises(RequestError, match=rf"parameters.* {needed // 2:,} bytes of memory"):
        plan(suite, LLAMA)
    monkeypatch.setattr(memory, "machine_memory", lambda: None)
    plan(suite, LLAMA)


@pytest.mark.parametrize(
    "architecture",
    [
        {"model_type": "mixtral", "num_local_experts": 10**9},
        {"model_type": "qwen3_5", "text_config": {"num_hidden_layers": 10**9}},
        {"model_type": "nemotron_h", "pattern": {"block": "M" * 1000, "repeat": 10_000}},
        {"model_type": "nemotron_h", "pattern": "M" * 10_001},
    ],
)
def test_more_layers_or_experts_than_could_be_gone_through_are_refused(architecture: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="at most 10,000"):
        build_config(architecture)
