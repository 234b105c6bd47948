"""Weights that were changed after training are caught, whatever their header says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from archbench.formats.safetensors import read_header, tensor_places
from archbench.identity import weights_digest
from archbench.registry import families
from archbench.registry.evidence import RECIPE_FIELDS
from archbench.training.publish import publish_choice
from archbench.training.result import TrainResult, read_result
from tests.registry.test_audit import audited, copy, differing, trained

__all__ = ["copy", "trained"]


def edit_record(folder: Path, **fields: Any) -> None:
    file = folder / "training.json"
    record = json.loads(file.read_text(encoding="utf-8")) | fields
    file.write_text(json.dumps({k: v for k, v in record.items() if v != "gone"}), encoding="utf-8")


def zero(folder: Path, name: str) -> None:
    """Overwrite one tensor's bytes in place: header, metadata and size stay as they are."""
    file = folder / "model.safetensors"
    header, place = read_header(file), tensor_places(file)[name]
    with file.open("r+b") as stream:
        stream.seek(place.start)
        stream.write(bytes(place.end - place.start))
    assert read_header(file) == header
    with safe_open(file, "pt") as opened:
        assert not opened.get_tensor(name).any()


def names(folder: Path) -> list[str]:
    return sorted(tensor_places(folder / "model.safetensors"))


@pytest.mark.parametrize("at", [0, -1])
def test_a_tensor_zeroed_under_its_old_header_is_caught_and_the_file_named(copy: Path, at: int) -> None:
    assert audited(copy).verdict == "matched"
    zero(copy / "a", [one for one in names(copy / "a") if "norm" not in one][at])
    found = audited(copy)
    assert found.verdict == "unmatched"
    assert differing(found) == {("a", one) for one in (*RECIPE_FIELDS, "architecture")}
    (problem,) = found.problems
    assert problem.startswith("a: ")
    assert "the tensors in model.safetensors are not those that training left" in problem
    assert str(json.loads((copy / "a" / "training.json").read_text())["weights"])[:12] in problem


def test_another_members_record_is_of_other_weights(copy: Path) -> None:
    weights = json.loads((copy / "b" / "training.json").read_text(encoding="utf-8"))["weights"]
    edit_record(copy / "a", weights=weights)
    assert audited(copy).verdict == "unmatched"


@pytest.mark.parametrize("value", ["", 0, [], "x"])
def test_a_digest_that_is_none_is_not_believed(copy: Path, value: Any) -> None:
    edit_record(copy / "a", weights=value)
    assert audited(copy).verdict == "unmatched"


@pytest.mark.parametrize("value", [None, "gone"])
def test_a_record_of_an_older_version_is_accepted_and_that_is_said(copy: Path, value: Any) -> None:
    edit_record(copy / "a", weights=value)
    found = audited(copy)
    assert (found.verdict, found.problems) == ("matched", [])
    (note,) = found.notes
    assert note.startswith("a: training.json has no digest of the weights")
    assert audited(copy).as_dict()["notes"] == [note]


def test_the_record_of_a_training_is_of_its_weights(trained: Path) -> None:
    for name in ("a", "b"):
        assert read_result(trained / name).weights == weights_digest(trained / name)


def test_the_chosen_run_of_a_sweep_has_the_digest_of_its_own_weights(copy: Path) -> None:
    """From a run of an older version, too, whose record has none."""
    (copy / "a" / "runs").mkdir()
    run = copy / "a" / "runs" / "one"
    (copy / "b").rename(run)
    result: TrainResult = read_result(run).model_copy(update={"chosen": "runs/one", "weights": None})
    publish_choice(copy / "a", result)
    assert read_result(copy / "a").weights == weights_digest(run) == weights_digest(copy / "a")


def test_what_ships_is_what_was_trained() -> None:
    family = families()["microworld"]
    for member in family.members.values():
        folder = family.folder / str(member.path)
        assert read_result(folder).weights == weights_digest(folder)
