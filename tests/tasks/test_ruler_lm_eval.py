"""RULER through lm-eval: models whose scores are known, and the same score as `archbench run`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from archbench.draw import Draw
from archbench.errors import RequestError
from archbench.paths import shared
from archbench.tasks.ruler.entry import RulerEntry
from archbench.tasks.ruler.subtasks import TASKS
from archbench.tasks.ruler.vocabulary import draw_letters, draw_number
from tests.doubles import Double
from tests.evaluation import evaluate_variant
from tests.tasks.ruler_files import NEEDLE, read, write_hotpotqa, write_squad


class Reader(Double):
    """Answers from the prompt alone."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        super().__init__()
        self._answer = answer
        self.rooms: set[int] = set()

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        for request in requests:
            settings = dict(request.args[1])
            self.rooms.add(settings.pop("max_gen_toks"))
            assert settings == {"until": [], "do_sample": False}
        return [self._answer(request.args[0]) for request in requests]


@pytest.fixture
def entry(tmp_path: Path, tokenizer_folder: Callable[[str], str]) -> RulerEntry:
    return RulerEntry(
        lengths=[1024],
        samples=3,
        seed=2,
        tokenizer=tokenizer_folder("bpe"),
        squad=write_squad(tmp_path / "squad.json"),
        hotpotqa=write_hotpotqa(tmp_path / "hotpotqa.json"),
    )


def first_needle(prompt: str) -> str:
    found = NEEDLE.search(prompt)
    return f" {found[2]}" if found else ""


def guess(prompt: str) -> str:
    draw = Draw(prompt)
    return " ".join([draw_number(draw), draw_letters(draw, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", 5)])


def test_one_who_reads_the_context_is_always_right(entry: RulerEntry) -> None:
    (variant,) = entry.variants()
    lm = Reader(read)
    found = evaluate_variant(lm, variant, limit=None, seed=0)
    matches = ("string_match", "string_match_all", "string_match_part")
    assert found.metrics == ("first_in_line", "in_line", *matches)
    assert {row["answer_form"] for row in found.rows} == {"answer"}
    assert len(found.rows) == 3 * 13
    assert len({row["item"] for row in found.rows}) == 39
    assert [row["string_match"] for row in found.rows] == [1.0] * 39
    assert list(dict.fromkeys(row["subject"] for row in found.rows)) == list(TASKS)
    assert {row["category"] for row in found.rows} == {one.category for one in TASKS.values()}
    assert {128, 50, 32} < lm.rooms
    for row in found.rows:
        assert isinstance(row["form"], str)
        assert isinstance(row.get("depth", 0), int)


def test_one_who_takes_the_first_needle_and_one_who_guesses(entry: RulerEntry) -> None:
    (variant,) = entry.model_copy(update={"samples": 20}).variants()
    rows = evaluate_variant(Reader(first_needle), variant, limit=None, seed=0).rows
    means: dict[str, list[float]] = {}
    for row in rows:
        means.setdefault(row["subject"], []).append(row["string_match"])
    scores = {task: sum(values) / len(values) for task, values in means.items()}
    assert scores["niah_single_1"] == scores["niah_single_2"] == scores["niah_single_3"] == 1
    assert scores["niah_multivalue"] == scores["niah_multiquery"] == 0.25
    assert 0.05 <= scores["niah_multikey_1"] <= 0.5
    assert scores["niah_multikey_2"] <= 0.2
    assert scores["vt"] == scores["cwe"] == scores["fwe"] == 0
    rows = evaluate_variant(Reader(guess), variant, limit=None, seed=0).rows
    assert sum(row["string_match"] for row in rows) == 0


def test_plain_lm_eval_gives_the_same_score(entry: RulerEntry) -> None:
    (variant,) = entry.variants()

    def now_and_then(prompt: str) -> str:
        return read(prompt) if Draw(prompt).below(2) else first_needle(prompt)

    ours = evaluate_variant(Reader(now_and_then), variant, limit=None, seed=0)
    manager = TaskManager(
        include_path=str(shared("tasks")),
        include_defaults=False,
        metadata={name: value for name, value in variant.work.metadata.items() if value is not None},
    )
    theirs = simple_evaluate(
        Reader(now_and_then), tasks=["archbench_ruler"], task_manager=manager, bootstrap_iters=0
    )["results"]
    for task in TASKS:
        rows = [row for row in ours.rows if row["subject"] == task]
        for metric in ours.metrics:
            mean = sum(row[metric] for row in rows) / len(rows)
            assert theirs[f"archbench_ruler_{task}"][f"{metric},none"] == pytest.approx(mean)
    assert 0 < sum(row["string_match"] for row in ours.rows) < 39


def test_tasks_say_what_they_need(tokenizer_folder: Callable[[str], str]) -> None:
    def load(task: str, **metadata: Any) -> Any:
        manager = TaskManager(include_path=str(shared("tasks")), include_defaults=False, metadata=metadata)
        return manager.load([f"archbench_ruler_{task}"])["tasks"]

    with pytest.raises(RequestError, match=r'--metadata \'{"length": 4096}\''):
        load("vt")
    with pytest.raises(RequestError, match=r"'sampels' is not a setting .* Did you mean 'samples'"):
        load("vt", length=1024, sampels=8)
    with pytest.raises(RequestError, match="need a tokenizer"):
        load("vt", length=1024, max_length=2048, dtype="float32")
    with pytest.raises(RequestError, match="qa_2 needs a file of HotpotQA"):
        load("qa_2", length=1024, tokenizer=tokenizer_folder("bpe"))
    (task,) = load("vt", length=1024, samples=2, pretrained=tokenizer_folder("bpe")).values()
    assert len(task.test_docs()) == 2


@pytest.mark.slow
def test_archbench_run_and_report(tmp_path: Path) -> None:
    """End to end, files next to the suite, on a model trained on shorter contexts than these."""
    import yaml

    from archbench.reporting import build_report
    from archbench.runner.execute import run_suite
    from archbench.suite import load_suite
    from tests.runner.tiny import LLAMA, save_model

    for seed, name in enumerate(("one", "two")):
        save_model(tmp_path / name, LLAMA, seed=seed)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("It rained all day. We stayed in and read.", encoding="utf-8")
    suite = {
        "name": "ruler",
        "members": {name: {"path": str(tmp_path / name)} for name in ("one", "two")},
        "allow_unmatched": True,
        "tasks": {
            "ruler": {
                "kind": "ruler",
                "tasks": ["niah_single_2", "niah_multikey_1", "fwe"],
                "lengths": [768, 896],
                "samples": 2,
                "essays": "texts",
            }
        },
    }
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(suite), encoding="utf-8")
    results = run_suite(load_suite(tmp_path / "suite.yaml"), tmp_path / "run", quiet=True)
    items = results.items()
    assert len(items) == 2 * 2 * 3 * 2
    assert (items["prompt_tokens"] < items["length"]).all()
    report = build_report(results, tmp_path / "report")
    names = {path.name for path in (*report.tables, *report.figures)}
    assert {"ruler.md", "ruler_tasks.csv", "ruler_depths.svg", "ruler.png"} <= names
