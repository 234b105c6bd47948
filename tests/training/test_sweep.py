"""Sweeps and seeds: every run recorded, the best rate kept, divergence an outcome like others."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

import archbench
from archbench.cli.app import app
from archbench.errors import RequestError
from archbench.formats.json_file import parse_json
from archbench.registry import families
from archbench.report.style import rendered
from archbench.runner.match import full_recipe
from archbench.training import train_family
from archbench.training.curves import Curve, loss_curves
from archbench.training.loop import train as training
from archbench.training.loop.objective import objective
from archbench.training.recipe import Recipe, Sweep, parse_recipe
from archbench.training.records import table
from archbench.training.result import Run
from archbench.training.sweep import choose, spreads
from tests.training.test_family import FAMILY, family

RECIPE: dict[str, Any] = {
    **FAMILY["recipe"],  # type: ignore[dict-item]
    "tokens": 2048,
    "sweep": {"learning_rate": [1e-2, 1e-5]},
    "seeds": [0, 1],
}
HOPELESS = 0.75


def run(rate: float, seed: int, loss: float | None) -> Run:
    return Run(
        folder=f"{rate}-{seed}", learning_rate=rate, seed=seed,
        outcome="diverged" if loss is None else "finished", validation_loss=loss,
    )  # fmt: skip


def test_the_rate_with_the_lowest_mean_is_kept_with_its_first_seed_not_its_luckiest() -> None:
    runs = [run(0.1, 0, 2.0), run(0.1, 1, 0.5), run(0.2, 0, 1.1), run(0.2, 1, 0.9), run(0.3, 0, 0.1)]
    assert choose(runs[:4]) == runs[2]
    assert choose(runs) == runs[4]
    assert choose(list(reversed(runs[:4]))) == runs[3]


def test_a_rate_at_which_runs_diverge_comes_last_and_all_diverged_leaves_nothing() -> None:
    runs = [run(0.1, 0, 0.1), run(0.1, 1, None), run(0.2, 0, 3.0), run(0.2, 1, 3.0)]
    assert choose(runs) == runs[2]
    assert choose(runs[1::-1]) == runs[0]
    assert choose([run(0.1, 0, None)]) is None
    first, second = spreads(runs)
    assert (first.losses, first.diverged, first.deviation) == ((0.1,), 1, None)
    assert (second.mean, second.deviation) == (3.0, 0.0)


def test_a_recipe_names_its_runs() -> None:
    recipe = Recipe(tokens=1, sweep=Sweep(learning_rate=(0.1, 0.2)), seeds=(3, 4))
    runs = recipe.runs()
    assert [(one.learning_rate, one.seed) for one in runs] == [(0.1, 3), (0.1, 4), (0.2, 3), (0.2, 4)]
    assert runs[0] == Recipe(tokens=1, learning_rate=0.1, seed=3)
    with pytest.raises(RequestError, match=r"seeds: .*listed twice"):
        parse_recipe({"tokens": 1, "seeds": [1, 1]}, "f.yaml")
    with pytest.raises(RequestError, match=r"sweep\.rate: extra"):
        parse_recipe({"tokens": 1, "sweep": {"rate": [1]}}, "f.yaml")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("swept")
    train_family(family(tmp_path_factory.mktemp("declared"), recipe=RECIPE), out=out, members=["llama"])
    return out


def test_every_run_is_recorded_and_the_best_is_the_member(swept: Path) -> None:
    member = swept / "tiny" / "llama"
    record = json.loads((member / "training.json").read_text())
    assert len(record["runs"]) == 4
    assert record["chosen"] == "runs/rate-0.01-seed-0", "a rate of 1e-5 learns nothing in so few steps"
    assert record["recipe_fields"]["sweep"] == {"learning_rate": [1e-2, 1e-5]}
    for run in record["runs"]:
        own = json.loads((member / run["folder"] / "training.json").read_text())
        assert own["validation_loss"] == run["validation_loss"]
        assert own["recipe_fields"]["learning_rate"] == run["learning_rate"]
        assert own["data"] == record["data"]
    with (
        safe_open(member / "model.safetensors", "pt") as kept,
        safe_open(member / record["chosen"] / "model.safetensors", "pt") as chosen,
    ):
        assert kept.metadata()["archbench_recipe"] == record["recipe"]
        assert chosen.metadata()["archbench_recipe"] != record["recipe"]
        for name in chosen.keys():  # noqa: SIM118 - not a dict
            assert torch.equal(kept.get_tensor(name), chosen.get_tensor(name))
    rows = list(csv.DictReader((swept / "tiny" / "runs.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["learning_rate"], row["seed"], row["chosen"]) for row in rows] == [
        ("0.01", "0", "1"), ("0.01", "1", "0"), ("1e-05", "0", "0"), ("1e-05", "1", "0"),
    ]  # fmt: skip
    assert (swept / "tiny" / "curves.png").stat().st_size > 5000
    assert b"</svg>" in (swept / "tiny" / "curves.svg").read_bytes()


def test_what_was_swept_is_not_trained_again_and_the_audit_believes_it(swept: Path) -> None:
    found = families([swept])["tiny"]
    steps: list[int] = []
    (again,) = train_family(
        found, out=swept, members=["llama"], report=lambda m, step, n, loss: steps.append(step)
    )
    assert not steps
    assert again.chosen == "runs/rate-0.01-seed-0"
    from archbench.registry.evidence import read_record, recipe_evidence
    from archbench.registry.weights import read_header

    folder = swept / "tiny" / "llama"
    record = read_record(folder)
    assert record is not None
    evidence, wrong = recipe_evidence(
        record, read_header(folder), recipe=full_recipe(found), architecture=None, tokenizer=None
    )
    assert wrong is None
    assert {one.status for one in evidence.values()} == {"verified"}
    text = table([again])
    assert "± " in text
    assert text.splitlines()[1].startswith("*  llama   0.01")


def test_divergence_of_one_rate_is_recorded_and_the_other_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def fragile(model: Any, recipe: Recipe, *args: Any, **kwargs: Any) -> Iterator[Callable[..., Any]]:
        with objective(model, recipe, *args, **kwargs) as loss:
            hopeless = recipe.learning_rate == HOPELESS
            yield (lambda windows: loss(windows) * torch.nan) if hopeless else loss

    monkeypatch.setattr(training, "objective", fragile)
    recipe = {**RECIPE, "tokens": 1024, "sweep": {"learning_rate": [HOPELESS, 1e-3]}, "seeds": [5]}
    file = family(tmp_path / "declared", recipe=recipe)
    (result,) = train_family(file, out=tmp_path / "out", members=["llama"])
    assert [run.outcome for run in result.runs] == ["diverged", "finished"]
    assert result.chosen == "runs/rate-0.001-seed-5"
    assert result.outcome == "finished"
    hopeless, kept = table([result]).splitlines()[1:3]
    assert hopeless.split() == ["llama", str(HOPELESS), "1", "1"], "one run, one diverged, no loss"
    assert kept.split()[:3] == ["*", "llama", "0.001"]
    rows = list(
        csv.DictReader((tmp_path / "out" / "tiny" / "runs.csv").read_text(encoding="utf-8").splitlines())
    )
    assert [row["outcome"] for row in rows] == ["diverged", "finished"]

    only = {**recipe, "sweep": {"learning_rate": [HOPELESS]}}
    family(tmp_path / "declared", recipe=only)
    options = [
        "--families",
        str(tmp_path / "declared"),
        "--out",
        str(tmp_path / "none"),
        "--members",
        "llama",
    ]
    told = CliRunner().invoke(app, ["train", "tiny", *options])
    assert told.exit_code == 1
    assert "diverged" in told.output
    assert not (tmp_path / "none" / "tiny" / "llama" / "model.safetensors").exists()


EXPLODES = 1e5


def test_a_rate_that_explodes_diverges_and_the_sweep_goes_on(tmp_path: Path) -> None:
    recipe = {**RECIPE, "tokens": 2048, "sweep": {"learning_rate": [EXPLODES, 1e-3]}, "seeds": [0]}
    family(tmp_path / "declared", recipe=recipe)
    options = ["--families", str(tmp_path / "declared"), "--out", str(tmp_path / "out")]
    told = CliRunner().invoke(app, ["train", "tiny", *options])
    assert told.exit_code == 0, told.output
    for member in ("llama", "hybrid"):
        folder = tmp_path / "out" / "tiny" / member
        record = parse_json((folder / "training.json").read_bytes())
        assert [run["outcome"] for run in record["runs"]] == ["diverged", "finished"]
        assert record["chosen"] == "runs/rate-0.001-seed-0"
        lost = folder / f"runs/rate-{EXPLODES:g}-seed-0"
        assert [path.name for path in lost.iterdir()] == ["training.json"], "no checkpoint, no state"
        assert parse_json((lost / "training.json").read_bytes())["outcome"] == "diverged"
    rows = (tmp_path / "out" / "tiny" / "runs.csv").read_text()
    assert "nan" not in rows.lower()
    assert "inf" not in rows.lower()


@pytest.mark.parametrize("sweeps", [False, True])
@pytest.mark.parametrize("as_json", [False, True])
def test_members_that_diverged_are_named_by_train_run_and_audit(
    tmp_path: Path, sweeps: bool, as_json: bool
) -> None:
    recipe: dict[str, Any] = {**RECIPE, "tokens": 2048, "learning_rate": EXPLODES}
    del recipe["sweep"], recipe["seeds"]
    if sweeps:
        recipe["sweep"] = {"learning_rate": [EXPLODES, 10 * EXPLODES]}
    family(tmp_path / "declared", recipe=recipe)
    out = tmp_path / "out"
    options = ["--families", str(tmp_path / "declared"), "--out", str(out), *(["--json"] if as_json else [])]
    told = CliRunner().invoke(app, ["train", "tiny", *options])
    assert told.exit_code == 1
    how = "all of 2 runs" if sweeps else r"after step \d"
    assert re.search(rf"diverged: llama \({how}\), hybrid \({how}\)\. A loss or a weight", told.stderr)
    if as_json:
        assert [one["outcome"] for one in parse_json(told.stdout)] == ["diverged", "diverged"]
    suite = {
        "name": "s",
        "families": ["tiny"],
        "tasks": {"mmlu": {"kind": "mmlu", "data": "tiny", "shots": [0], "formats": ["cloze"]}},
        "allow_unmatched": True,
    }
    with pytest.raises(RequestError, match=r"Its training diverged, as .*training\.json says"):
        archbench.run(suite, tmp_path / "run", families=[out], quiet=True)
    audit = CliRunner().invoke(app, ["audit", "tiny", "--families", str(out)])
    assert "diverged in training, so without a checkpoint: llama, hybrid" in " ".join(audit.output.split())


def test_curves_of_runs_that_left_nothing_can_be_drawn() -> None:
    empty = Curve("a", [], [], True, True)
    full = Curve("b", [(100, 3.0), (200, 2.0)], [(200, 2.1)], False, True)
    assert loss_curves([empty]) is None
    figure = loss_curves([empty, full])
    assert figure is not None
    assert rendered(figure, ("svg",))["svg"]


def test_a_sweep_that_was_stopped_goes_on_where_it_was(tmp_path: Path, swept: Path) -> None:
    seen: list[tuple[str, int]] = []

    def kill(member: str, step: int, steps: int, loss: float) -> None:
        seen.append((member, step))
        if len(seen) == 6:
            raise KeyboardInterrupt

    file = family(tmp_path / "declared", recipe=RECIPE)
    with pytest.raises(KeyboardInterrupt):
        train_family(file, out=tmp_path / "out", members=["llama"], report=kill)
    assert not (tmp_path / "out" / "tiny" / "llama" / "training.json").exists()
    again: list[str] = []
    (result,) = train_family(
        file, out=tmp_path / "out", members=["llama"], report=lambda m, *_: again.append(m)
    )
    assert "llama, rate 0.01, seed 0" not in again, "the run that was finished is not made again"
    straight = json.loads((swept / "tiny" / "llama" / "training.json").read_text())
    assert [run.validation_loss for run in result.runs] == [
        run["validation_loss"] for run in straight["runs"]
    ]
