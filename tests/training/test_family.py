"""A whole family, trained in seconds: shared material, a folder that suites can use, matched members."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

import archbench
from archbench.data.microworld import World, evaluation_set
from archbench.data.microworld.quiz import FORMATS, Question, description, render
from archbench.errors import RequestError
from archbench.registry import Family, audit_family, families
from archbench.runner.match import files_at_hand, full_recipe
from archbench.training import train_family
from tests.training.test_train import HYBRID, LLAMA

FAMILY = {
    "name": "tiny",
    "title": "Two models of one layer",
    "tokenizer": "tiny/tokenizer",
    "items": {"mmlu": "tiny/quiz", "phonebook": "tiny/names.txt", "perplexity": "tiny/text.txt"},
    "recipe": {
        "tokens": 4096,
        "sequence_length": 128,
        "batch_sequences": 4,
        "corpus": {"people": 24},
        "validation_windows": 4,
    },
    "members": {
        "llama": {"path": "tiny/llama", "architecture": LLAMA},
        "hybrid": {"path": "tiny/hybrid", "architecture": HYBRID},
    },
}


def family(folder: Path, **changes: object) -> Family:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(FAMILY | changes, sort_keys=False))
    return families([folder])["tiny"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    results = train_family(family(tmp_path_factory.mktemp("declared")), out=out)
    assert [result.member for result in results] == ["llama", "hybrid"]
    assert len({result.data for result in results}) == 1, "all members read the same batches"
    return out


def test_what_training_leaves_is_a_families_folder_that_a_suite_runs_on(
    trained: Path, tmp_path: Path
) -> None:
    suite = {
        "name": "s",
        "families": ["tiny"],
        "tasks": {"mmlu": {"kind": "mmlu", "data": "tiny", "shots": [0], "formats": ["cloze"], "limit": 3}},
        "allow_unmatched": True,
    }
    results = archbench.run(suite, tmp_path / "run", families=[trained], quiet=True)
    assert sorted(results.scores()["member"]) == ["hybrid", "llama"]


def test_training_again_takes_what_is_there_and_another_budget_does_not(trained: Path) -> None:
    steps: list[int] = []
    again = train_family(
        families([trained])["tiny"], out=trained, report=lambda m, step, n, loss: steps.append(step)
    )
    assert not steps
    assert [result.outcome for result in again] == ["finished", "finished"]
    train_family(
        families([trained])["tiny"],
        out=trained.parent / "shorter",
        members=["llama"],
        tokens=1024,
        report=lambda m, step, n, loss: steps.append(step),
    )
    assert steps == [1, 2]


def test_a_finished_member_is_not_trained_over_unasked(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(trained, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    changed = [families([out])["tiny"], family(tmp_path / "other", recipe=FAMILY["recipe"] | {"seed": 1})]
    for one, tokens, told in ((changed[0], 1024, r"\(tokens\)"), (changed[1], None, r"\(seed\)")):
        with pytest.raises(RequestError, match=rf"'llama' that was trained .*{told}.*--restart"):
            train_family(one, out=out, members=["llama"], tokens=tokens)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    train_family(changed[0], out=out, members=["llama"], tokens=1024, restart=True)
    assert json.loads((out / "tiny/llama/training.json").read_text())["steps"] == 2


def test_the_table_of_runs_keeps_members_that_were_trained_before(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "out")
    train_family(families([trained])["tiny"], out=tmp_path / "out", members=["hybrid"])
    table = (tmp_path / "out/tiny/runs.csv").read_text()
    assert "llama" in table
    assert "hybrid" in table


def test_questions_that_ship_are_those_of_the_world(trained: Path) -> None:
    rows = [json.loads(line) for line in (trained / "tiny/quiz/test.jsonl").read_text().splitlines()]
    _, test = evaluation_set(World(people=24))
    assert [(r["question"], tuple(r["choices"]), r["answer"]) for r in rows] == [
        (q.stem, q.choices, q.answer) for q in test
    ]


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("shots", [0, 5])
def test_training_quizzes_look_exactly_like_evaluation_prompts(
    trained: Path, layout: str, shots: int
) -> None:
    from lm_eval.tasks import TaskManager

    from archbench.paths import shared

    manager = TaskManager(
        include_path=str(shared("tasks")),
        include_defaults=False,
        metadata={"data": str(trained / "tiny" / "quiz")},
    )
    task = manager.load([f"archbench_mmlu_{layout}"])["tasks"][f"archbench_mmlu_{layout}"]
    dev, test = evaluation_set(World(people=24))
    for doc, question in list(zip(task.test_docs(), test, strict=True))[::37]:
        asked = [shot for shot in dev if shot.subject == question.subject][:shots]
        turns = ["".join(render(each, layout)) for each in [*asked, question]]
        expected = description(question.subject) + "\n\n" + "\n\n".join(turns)
        context = task.fewshot_context(doc, num_fewshot=shots)
        gold = task.doc_to_choice(doc)[task.doc_to_target(doc)]
        assert f"{context} {gold}" == expected


@pytest.mark.parametrize(
    ("changes", "asked", "said"),
    [
        ({"recipe": None}, None, "has no recipe"),
        ({}, ["lama"], "Did you mean 'llama'"),
        ({"recipe": {"tokens": "many"}}, None, "tokens"),
        ({"tokenizer": "/elsewhere"}, None, "a folder relative to its file"),
        (
            {"members": {"llama": {"path": "tiny/llama", "architecture": LLAMA | {"hiden_size": 8}}}},
            None,
            r"tiny\.yaml, line \d+.*member 'llama'.*'hidden_size'",
        ),
    ],
)
def test_what_cannot_be_trained_is_told(
    tmp_path: Path, changes: dict[str, object], asked: list[str] | None, said: str
) -> None:
    with pytest.raises(RequestError, match=said):
        train_family(family(tmp_path / "f", **changes), out=tmp_path / "out", members=asked)
    assert not (tmp_path / "out").exists()


def test_the_description_follows_the_real_mmlu() -> None:
    assert (
        description("recall_4")
        == "The following are multiple choice questions (with answers) about recall 4."
    )
    assert Question("trade", "What?", ("a", "b", "c", "d"), 0).choices[0] == "a"


@pytest.mark.slow
def test_a_smoke_training_of_the_shipped_family_learns_and_is_matched(tmp_path: Path) -> None:
    results = train_family(families()["microworld"], out=tmp_path, tokens=200_000)
    for result in results:
        assert result.validation_loss is not None
        assert result.validation_loss < 5, "guessing evenly is 7.05, the logarithm of the vocabulary"
    found = families([tmp_path])["microworld"]
    files = {name: files_at_hand(found, name) for name in found.members}
    assert audit_family(found, files, recipe=full_recipe(found)).verdict == "matched"
