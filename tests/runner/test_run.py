"""Whole runs on tiny models: what is written, what is run again, and what survives a failure."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy
import pytest
from safetensors.numpy import save_file

import archbench
from archbench.errors import RequestError
from archbench.results.store import Store
from archbench.runner import cells
from archbench.runner.plan import make_plan
from archbench.suite import load_suite
from tests.runner.tiny import LLAMA, save_model


def content(shelf: Path, **more: Any) -> dict[str, Any]:
    """A suite of two models, two formats and two numbers of shots."""
    return {
        "name": "tiny",
        "members": {"attention": str(shelf / "llama"), "recurrence": str(shelf / "mamba")},
        "tasks": {
            "mmlu": {
                "kind": "mmlu",
                "data": str(shelf / "mmlu"),
                "formats": ["standard", "cloze"],
                "shots": [0, 2],
            }
        },
        "engine": {"device": "cpu"},
        "allow_unmatched": True,
    } | more


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which cells were evaluated and which members loaded, in order."""
    done: list[str] = []
    evaluate, load = cells.evaluate_variant, cells.load_member

    def spy_evaluate(lm: Any, variant: Any, **more: Any) -> Any:
        done.append(variant.name)
        return evaluate(lm, variant, **more)

    def spy_load(member: Any, *args: Any, **more: Any) -> Any:
        done.append(f"load {member.resolved.name}")
        return load(member, *args, **more)

    monkeypatch.setattr(cells, "evaluate_variant", spy_evaluate)
    monkeypatch.setattr(cells, "load_member", spy_load)
    return done


CELLS = ["standard-0shot", "standard-2shot", "cloze-0shot", "cloze-2shot"]
EVERYTHING = ["load attention", *CELLS, "load recurrence", *CELLS]


def test_a_run_and_its_repetition(shelf: Path, here: Path, evaluated: list[str]) -> None:
    results = archbench.run(content(shelf), quiet=True)
    assert evaluated == EVERYTHING
    assert results.members == ["attention", "recurrence"]
    assert [condition.variant for condition in results.conditions] == CELLS
    assert all(header.status == "complete" and header.items == 12 for header in results.headers)
    assert all(header.tokens_forwarded and header.tokens_requested for header in results.headers)
    before = {path: path.read_bytes() for path in (here / "results/tiny/cells").rglob("*.*")}

    evaluated.clear()
    again = archbench.run(content(shelf), quiet=True)
    assert evaluated == [], "nothing is missing, so nothing is loaded"
    assert {path: path.read_bytes() for path in (here / "results/tiny/cells").rglob("*.*")} == before
    assert again.manifest["members"] == results.manifest["members"]


def test_rows_are_items(shelf: Path, here: Path) -> None:
    results = archbench.run(content(shelf), quiet=True)
    rows = results.items(member="attention")
    assert len(rows) == 4 * 12
    assert set(rows["subject"]) == {"anatomy", "philosophy"}
    assert set(rows["category"]) == {"STEM", "humanities"}
    for column in ("choice_tokens", "prompt_tokens", "margin", "acc", "acc_norm", "acc_token"):
        assert rows[column].notna().all(), column
    theirs = results.items(member="recurrence")
    assert list(rows["prompt_hash"]) == list(theirs["prompt_hash"])
    assert list(rows["loglikelihoods"].map(list)) != list(theirs["loglikelihoods"].map(list))
    # Letters are one token each, so per-token and plain predictions are the same.
    letters = rows[rows["format"] == "standard"]
    assert (letters["acc"] == letters["acc_token"]).all()


def test_a_run_computes_with_the_threads_asked_for_and_only_it(shelf: Path, here: Path) -> None:
    import torch

    before = torch.get_num_threads()
    results = archbench.run(content(shelf) | {"engine": {"threads": before + 1}}, quiet=True)
    assert results.manifest["hardware"]["threads"] == before + 1
    assert torch.get_num_threads() == before


def test_the_manifest_says_what_was_compared(shelf: Path, here: Path) -> None:
    manifest = archbench.run(content(shelf), quiet=True).manifest
    assert manifest["name"] == "tiny"
    assert manifest["match"] == [
        "attention, recurrence: NOT matched: no family declares them matched with anything"
    ]
    assert manifest["verdict"] == "unmatched"
    assert [one["parameters"] > 5000 and len(one["fingerprint"]) for one in manifest["members"]] == [64, 64]
    assert {"archbench", "python", "torch", "transformers", "lm_eval"} <= set(manifest["versions"])
    assert manifest["hardware"]["cores"] >= 1
    assert manifest["hardware"]["memory_bytes"] > 10**8
    assert manifest["suite"]["tasks"]["mmlu"]["shots"] == [0, 2]
    assert manifest["finished"] > manifest["started"]
    store = Store(here / "results/tiny")
    assert {(*header.id, header.key) for header in store.headers()} == {
        (cell["member"], cell["task"], cell["variant"], cell["key"]) for cell in manifest["cells"]
    }


def test_only_what_a_change_touches_is_run_again(shelf: Path, here: Path) -> None:
    work = here / "shelf"
    shutil.copytree(shelf, work)
    archbench.run(content(work), quiet=True)
    everything = [f"{member} {variant}" for member in ("attention", "recurrence") for variant in CELLS]

    def missing(**more: Any) -> list[str]:
        plan = make_plan(load_suite(content(work, **more)), Store(here / "results/tiny"))
        return [f"{cell.id.member} {cell.id.variant}" for cell in plan.missing]

    assert missing() == []
    assert missing(engine={"device": "cpu", "batch_tokens": 64}) == [], "the batch size changes no answer"
    assert missing(report={"confidence": 0.9}) == []
    more_shots = content(work)["tasks"]
    more_shots["mmlu"]["shots"] = [0, 1, 2]
    new = ["standard-1shot", "cloze-1shot"]
    assert missing(tasks=more_shots) == [
        f"{member} {one}" for member in ("attention", "recurrence") for one in new
    ]
    assert missing(seed=1) == everything
    assert missing(engine={"device": "cpu", "dtype": "bfloat16"}) == everything
    assert missing(engine={"device": "cpu", "max_length": 1000}) == everything
    # Another data set in the same folder, and back.
    test = work / "mmlu/test.jsonl"
    text = test.read_text(encoding="utf-8")
    test.write_text(text.replace("What is 0", "What was 0"), encoding="utf-8")
    assert missing() == everything
    test.write_text(text, encoding="utf-8")
    assert missing() == []
    # Another model, and another tokenizer, under the same name.
    save_model(work / "llama", LLAMA, seed=1)
    assert missing() == [one for one in everything if one.startswith("attention")]
    save_model(work / "llama", LLAMA, seed=0)
    assert missing() == []
    tokenizer = work / "mamba/tokenizer.json"
    tokenizer.write_text(tokenizer.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert missing() == [one for one in everything if one.startswith("recurrence")]


def test_finished_cells_of_other_settings_are_not_replaced_unasked(
    shelf: Path, here: Path, evaluated: list[str]
) -> None:
    suite = content(shelf)
    suite["tasks"]["mmlu"] |= {"formats": ["cloze"], "shots": [0]}
    archbench.run(suite, quiet=True)
    before = {path: path.read_bytes() for path in (here / "results").rglob("*.*") if path.is_file()}
    plan = make_plan(load_suite(suite, ["mmlu.limit=2"]), Store(here / "results/tiny"))
    assert [cell.state for cell in plan.cells] == ["replaced", "replaced"]
    evaluated.clear()
    with pytest.raises(RequestError, match=r"2 finished cells of other settings.*--out DIR.*--overwrite"):
        archbench.run(suite, overrides=["mmlu.limit=2"], quiet=True)
    after = {path: path.read_bytes() for path in (here / "results").rglob("*.*") if path.is_file()}
    assert (evaluated, after) == ([], before)
    results = archbench.run(suite, overrides=["mmlu.limit=2"], quiet=True, overwrite=True)
    assert {header.status for header in results.headers} == {"complete"}
    assert all(header.items < 12 for header in results.headers)


def test_a_run_that_is_killed_goes_on(
    shelf: Path,
    here: Path,
    evaluated: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spied = cells.evaluate_variant

    def killed(lm: Any, variant: Any, **more: Any) -> Any:
        if len(evaluated) == 3:
            raise KeyboardInterrupt
        return spied(lm, variant, **more)

    monkeypatch.setattr(cells, "evaluate_variant", killed)
    with pytest.raises(KeyboardInterrupt):
        archbench.run(content(shelf))
    assert "Stopped. Finished cells are kept in results/tiny" in capsys.readouterr().err
    assert [header.variant for header in Store(here / "results/tiny").headers()] == [
        "standard-0shot",
        "standard-2shot",
    ]
    assert Store(here / "results/tiny").manifest["finished"] is None
    monkeypatch.setattr(cells, "evaluate_variant", spied)
    evaluated.clear()
    results = archbench.run(content(shelf), quiet=True)
    assert evaluated == ["load attention", *CELLS[2:], "load recurrence", *CELLS]
    assert all(one["fingerprint"] for one in results.manifest["members"])


def test_a_cell_that_fails_is_told_and_tried_again(
    shelf: Path, here: Path, evaluated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spied = cells.evaluate_variant

    def failing(lm: Any, variant: Any, **more: Any) -> Any:
        if variant.name == "cloze-0shot":
            raise ValueError("out of\n luck")
        return spied(lm, variant, **more)

    monkeypatch.setattr(cells, "evaluate_variant", failing)
    results = archbench.run(content(shelf), quiet=True)
    failed = [header for header in results.headers if header.status == "failed"]
    assert [(header.member, header.variant) for header in failed] == [
        ("attention", "cloze-0shot"),
        ("recurrence", "cloze-0shot"),
    ]
    assert failed[0].error == "ValueError: out of luck"
    monkeypatch.setattr(cells, "evaluate_variant", spied)
    evaluated.clear()
    results = archbench.run(content(shelf), quiet=True)
    assert evaluated == ["load attention", "cloze-0shot", "load recurrence", "cloze-0shot"]
    assert {header.status for header in results.headers} == {"complete"}


def test_a_model_that_cannot_be_loaded_leaves_the_others_alone(
    shelf: Path, here: Path, evaluated: list[str]
) -> None:
    broken = here / "broken"
    shutil.copytree(shelf / "llama", broken)
    save_file({"a": numpy.zeros(1)}, broken / "model.safetensors")
    suite = content(shelf)
    suite["members"] = {"broken": str(broken), "fine": str(shelf / "mamba")}
    results = archbench.run(suite, quiet=True)
    assert evaluated == ["load broken", "load fine", *CELLS]
    states = {header.member: header.status for header in results.headers}
    assert states == {"broken": "failed", "fine": "complete"}


def test_prompts_that_are_too_long_fail_their_cell_only(shelf: Path, here: Path) -> None:
    results = archbench.run(content(shelf, engine={"device": "cpu", "max_length": 250}), quiet=True)
    failed = {header.variant for header in results.headers if header.status == "failed"}
    assert failed == {"standard-2shot"}
    assert "at most 250" in next(
        header.error or "" for header in results.headers if header.status == "failed"
    )


def test_an_untrained_control_is_a_member(shelf: Path, here: Path, evaluated: list[str]) -> None:
    suite = content(shelf)
    control = {"init": "random", "architecture": LLAMA, "tokenizer": str(shelf / "llama")}
    suite["members"] = {"control": control}
    results = archbench.run(suite, quiet=True)
    assert {header.status for header in results.headers} == {"complete"}
    evaluated.clear()
    archbench.run(suite, quiet=True)
    assert evaluated == []
    suite["members"] = {"control": control | {"seed": 1}}
    archbench.run(suite, quiet=True, overwrite=True)
    assert evaluated == ["load control", *CELLS]


def test_a_plan_evaluates_and_writes_nothing(shelf: Path, here: Path) -> None:
    plan = make_plan(load_suite(content(shelf)), Store(here / "out"))
    assert len(plan.cells) == len(plan.missing) == 8
    assert len({cell.key for cell in plan.cells}) == 8
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"members": {}}, "names no models to evaluate"),
        ({"report": {"baseline": "atention"}}, "Did you mean 'attention'?"),
        ({"engine": {"device": "cuda:99"}}, "no device 'cuda:99'. It has: cpu"),
        ({"families": ["nothing"]}, "no family 'nothing'"),
        ({"tasks": {"q": {"kind": "mmlu", "data": "./nowhere"}}}, "no such folder"),
    ],
)
def test_a_request_that_cannot_be_run_writes_nothing(
    shelf: Path, here: Path, change: dict[str, Any], part: str
) -> None:
    with pytest.raises(RequestError) as error:
        archbench.run(content(shelf, **change), quiet=True)
    assert part in str(error.value)
    assert list(here.iterdir()) == []


def test_scores_do_not_depend_on_what_else_is_run(shelf: Path, here: Path) -> None:
    alone = content(shelf)
    alone["tasks"]["mmlu"] |= {"formats": ["cloze"], "shots": [2]}
    one = archbench.run(alone, here / "one", quiet=True).items()
    all_ = archbench.run(content(shelf), here / "all", quiet=True).items()
    same = all_[all_["variant"] == "cloze-2shot"].reset_index(drop=True)
    assert json.loads(one.to_json(orient="records")) == json.loads(same.to_json(orient="records"))


def test_too_few_shots_say_what_to_set(shelf: Path, here: Path) -> None:
    work = here / "mmlu"
    shutil.copytree(shelf / "mmlu", work)
    rows = (work / "dev.jsonl").read_text().splitlines(keepends=True)
    (work / "dev.jsonl").write_text("".join(rows[:-1]))  # philosophy has one left
    task = {"kind": "mmlu", "data": str(work), "formats": ["cloze"], "shots": [0, 2, 5]}
    suite = content(shelf, tasks={"quiz": task})
    with pytest.raises(
        RequestError, match=r"'philosophy' has 1 .* for --set quiz\.shots=\[0, 1\]\."
    ) as error:
        make_plan(load_suite(suite), Store(here / "out"))
    told = str(error.value).rpartition("--set ")[2].rstrip(".")
    assert len(make_plan(load_suite(suite, [told]), Store(here / "out")).cells) == 4


def test_the_tokens_that_end_a_text_are_part_of_the_key(shelf: Path, here: Path) -> None:
    shutil.copytree(shelf / "llama", here / "llama")
    suite = load_suite(content(shelf, members={"llama": str(here / "llama")}))
    file = here / "llama" / "generation_config.json"
    before = [cell.key for cell in make_plan(suite, Store(here / "out")).cells]
    file.write_text(json.dumps(json.loads(file.read_text()) | {"eos_token_id": [0, 7]}))
    after = [cell.key for cell in make_plan(suite, Store(here / "out")).cells]
    assert not set(before) & set(after)
