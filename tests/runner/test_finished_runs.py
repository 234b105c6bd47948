"""A finished run given again: nothing to do, nothing written; and runs whose folders are damaged go on."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import archbench
from archbench.errors import RequestError
from archbench.results.store import Store
from tests.command import call
from tests.runner.test_run import content

_watched: list[tuple[Path, list[str]]] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    """Note whatever would change a watched folder."""
    if not _watched or event not in _CHANGES:
        return
    if event == "open":
        mode, flags = arguments[1], arguments[2]
        writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        if not (any(one in (mode or "") for one in "wax+") or (flags or 0) & writes):
            return
    folder, seen = _watched[-1]
    for path in arguments[:2]:
        if isinstance(path, str | bytes | os.PathLike) and Path(os.fsdecode(path)).is_relative_to(folder):
            seen.append(f"{event} {os.fsdecode(path)}")


_CHANGES = {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.utime", "sqlite3.connect"}
sys.addaudithook(_note)


@contextmanager
def changes(folder: Path) -> Iterator[list[str]]:
    """What is done to a folder."""
    _watched.append((folder.resolve(), []))
    try:
        yield _watched[-1][1]
    finally:
        _watched.pop()


def one_cell(shelf: Path) -> dict[str, Any]:
    """A suite of two models and one cell each."""
    mmlu = {"kind": "mmlu", "data": str(shelf / "mmlu"), "formats": ["standard"], "shots": [0]}
    return content(shelf, tasks={"mmlu": mmlu})


@pytest.fixture(scope="module")
def made_once(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that the tests copy."""
    folder = tmp_path_factory.mktemp("made") / "run"
    archbench.run(one_cell(shelf), folder, quiet=True)
    return folder


@pytest.fixture
def finished(made_once: Path, here: Path) -> Path:
    """A finished run."""
    return shutil.copytree(made_once, here / "run")


def test_the_hook_sees_what_is_written(finished: Path) -> None:
    with changes(finished) as seen:
        (finished / "x").write_text("")
        Store(finished).write_manifest({})
    assert [one.partition(" ")[0] for one in seen if one.endswith(("/x", "/manifest.json"))] == [
        "open",
        "os.rename",
    ]


def test_with_nothing_to_do_nothing_is_written(shelf: Path, finished: Path) -> None:
    with changes(finished) as seen:
        results = archbench.run(one_cell(shelf), finished, quiet=True)
        archbench.load_results(finished).scores()
    assert seen == []
    assert len(results.scores()) == 2
    assert results.manifest["finished"]


@pytest.fixture
def read_only(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run whose folder nothing can be written to, though this user may be root."""
    real_open, real_mkdir, real_replace = Path.open, os.mkdir, os.replace

    def refuse(path: Any) -> None:
        if Path(path).resolve().is_relative_to(finished.resolve()):
            raise OSError(30, "Read-only file system")

    def opened(self: Path, mode: str = "r", *args: Any, **more: Any) -> Any:
        if mode != "rb" and mode != "r":
            refuse(self)
        return real_open(self, mode, *args, **more)

    def made(path: Any, *args: Any, **more: Any) -> None:
        if not Path(path).exists():
            refuse(path)
        real_mkdir(path, *args, **more)

    def replaced(source: Any, target: Any) -> None:
        refuse(target)
        real_replace(source, target)

    monkeypatch.setattr(Path, "open", opened)
    monkeypatch.setattr(os, "mkdir", made)
    monkeypatch.setattr(os, "replace", replaced)
    return finished


def test_a_finished_run_on_a_read_only_disk(shelf: Path, read_only: Path, here: Path) -> None:
    assert len(archbench.run(one_cell(shelf), read_only, quiet=True).scores()) == 2
    told = call("report", read_only)
    assert told.exit_code == 2
    assert "Read-only file system" in told.output
    assert "--out DIR" in told.output
    assert call("report", read_only, "--out", here / "report").exit_code == 0
    assert (here / "report" / "report.md").is_file()


def test_what_a_manifest_lacks_does_not_stop_a_read_only_run(
    shelf: Path, finished: Path, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    path = finished / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "finished": None}))
    request.getfixturevalue("read_only")
    assert len(archbench.run(one_cell(shelf), finished, quiet=True).scores()) == 2
    assert "nothing is lost" in caplog.text


def test_other_cells_on_a_read_only_disk_are_an_error(shelf: Path, read_only: Path) -> None:
    one = one_cell(shelf)
    del one["members"]["recurrence"]
    with pytest.raises(RequestError, match="Read-only file system"):
        archbench.run(one, read_only, quiet=True)
    one["tasks"]["mmlu"]["shots"] = [0, 2]
    with pytest.raises(RequestError, match=r"cannot be written.*Read-only file system"):
        archbench.run(one, read_only, quiet=True)


@pytest.mark.parametrize("broken", ['{"members": null}', "", '{"format": "archbench run", "cells": "x"}'])
def test_a_run_goes_on_after_its_manifest_was_damaged(
    shelf: Path, finished: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    (finished / "manifest.json").write_text(broken)
    next(finished.rglob("recurrence/*.json")).unlink()
    results = archbench.run(one_cell(shelf), finished, quiet=True)
    assert "manifest.json is damaged" in caplog.text
    assert results.warnings == []
    assert results.members == ["attention", "recurrence"]
    assert len(results.scores()) == 2
    assert (finished / "manifest.json.broken").read_text() == broken


def test_a_lost_manifest_is_written_anew_with_what_the_cells_hold(shelf: Path, finished: Path) -> None:
    before = {one["name"]: one for one in archbench.load_results(finished).manifest["members"]}
    (finished / "manifest.json").unlink()
    for results in [archbench.run(one_cell(shelf), finished, quiet=True) for _ in range(2)]:
        assert results.warnings == []
        for one in results.manifest["members"]:
            known = before[one["name"]]
            assert one["sharing"]["level"] == known["sharing"]["level"]
            assert one.keys() & {"fingerprint", "parameters"} == set()
            assert "its fingerprint and its number of parameters are not recorded" in one["remarks"][-1]
    next(finished.rglob("recurrence/*.json")).unlink()
    results = archbench.run(one_cell(shelf), finished, quiet=True)
    first, second = results.manifest["members"]
    assert first["remarks"]
    assert second == before["recurrence"], "it was loaded again"


def test_a_foreign_header_is_left_out_and_a_damaged_cell_redone(shelf: Path, finished: Path) -> None:
    header = next(finished.rglob("recurrence/*.json"))
    header.write_text("{")
    (header.parent / "notes.json").write_text("{}")
    results = archbench.run(one_cell(shelf), finished, quiet=True)
    (warning,) = results.warnings
    assert "recurrence/notes.json is left out" in warning
    assert len(results.scores()) == 2


def test_a_cell_of_a_newer_version_is_not_replaced_unasked(shelf: Path, finished: Path) -> None:
    header = next(finished.rglob("recurrence/*.json"))
    header.write_text(json.dumps({**json.loads(header.read_text()), "schema_version": 9}))
    with pytest.raises(RequestError, match=r"1 finished cell.*newer archbench.*recurrence.*--overwrite"):
        archbench.run(one_cell(shelf), finished, quiet=True)
    assert len(archbench.run(one_cell(shelf), finished, quiet=True, overwrite=True).scores()) == 2


@pytest.mark.parametrize("damage", ["garbage", "folder", "newer"])
def test_kept_answers_that_cannot_be_used_are_one_error(shelf: Path, finished: Path, damage: str) -> None:
    path = finished / "requests.sqlite"
    for one in finished.glob("requests.sqlite*"):
        one.unlink()
    if damage == "garbage":
        path.write_bytes(b"x" * 5000)
    elif damage == "folder":
        path.mkdir()
    else:
        with sqlite3.connect(path) as file:
            file.execute("PRAGMA user_version = 99")
        file.close()
    assert len(archbench.run(one_cell(shelf), finished, quiet=True).scores()) == 2, "they are not needed"
    next(finished.rglob("recurrence/*.json")).unlink()
    with pytest.raises(archbench.errors.RunError, match=r"requests.sqlite.*delete the file"):
        archbench.run(one_cell(shelf), finished, quiet=True)
