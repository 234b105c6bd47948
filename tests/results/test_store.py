"""The run's folder: round trips, names, torn pairs, and folders that cannot be used."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archbench.errors import RequestError, RunError
from archbench.results.header import CellId
from archbench.results.store import Store
from archbench.results.writing import plain, slug, write_atomic
from tests.results.synthetic import header, rows

DAMAGES = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"3",
    b"\xff\xfe\x00",
    b'{"a": NaN}',
    b'{"a": "\\ud800"}',
    b"[" * 100_000,
    b"[" * 500 + b"]" * 500,
)
"""What a file of JSON may have become."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "run")


def test_a_cell_comes_back_as_it_was_written(store: Store) -> None:
    written = store.write_cell(header(), rows([1, 0, 1, 1]))
    assert store.headers() == [written]
    items = store.items(written)
    assert items["acc"].tolist() == [1, 0, 1, 1]
    assert items["choices"][0].tolist() == [" A", " B", " C", " D"]
    assert items["acc_token"].isna().all()
    assert items["acc_token"].dtype == np.float64  # null throughout, and yet a number
    assert "choices" not in store.items(written, lists=False)


def test_rows_may_be_a_frame_and_carry_columns_of_their_own(store: Store) -> None:
    frame = pd.DataFrame(rows([1, 0])).assign(length=[512, 1024])
    written = store.write_cell(header(items=2), frame)
    assert store.items(written)["length"].tolist() == [512, 1024]


def test_a_cell_is_skipped_only_if_complete_whole_and_of_the_same_key(store: Store) -> None:
    cell = CellId("a", "mmlu", "standard-5shot")
    assert not store.has(cell, "k1")
    store.write_cell(header(), rows([1, 0, 1, 1]))
    assert store.has(cell, "k1")
    assert not store.has(cell, "k2")
    store.write_cell(header(status="failed", error="out of memory", items=0), [])
    assert not store.has(cell, "k1")
    assert not list(store.folder.rglob("*.parquet"))
    with pytest.raises(RunError, match="out of memory"):
        store.items(store.headers()[0])


def test_a_torn_pair_is_noticed(store: Store) -> None:
    written = store.write_cell(header(), rows([1, 0, 1, 1]))
    parquet = next(store.folder.rglob("*.parquet"))
    kept = parquet.read_bytes()
    other = Store(store.folder / "other").write_cell(header(), rows([0, 0, 0, 0]))
    parquet.write_bytes(next((store.folder / "other").rglob("*.parquet")).read_bytes())
    assert other.rows_sha256 != written.rows_sha256
    assert not store.has(written.id, "k1")
    with pytest.raises(RunError, match=r"does not hold the items.*only this cell is redone"):
        store.items(written)
    parquet.unlink()
    assert not store.has(written.id, "k1")
    with pytest.raises(RunError, match="No such file"):
        store.items(written)
    parquet.write_bytes(kept)
    assert store.has(written.id, "k1")


def test_killed_between_rows_and_header_the_cell_is_absent(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write_cell(header(), rows([1, 0, 1, 1]))
    replace = os.replace

    def killed(source: Any, target: Path) -> None:
        if target.suffix == ".json":
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        store.write_cell(header(key="k2"), rows([0, 0, 0, 0]))
    monkeypatch.undo()
    assert store.headers() == []
    assert not list(store.folder.rglob("*.tmp"))


def test_a_full_disk_leaves_no_half_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match=r"a · mmlu · standard-5shot.*No space left"):
        store.write_cell(header(), rows([1, 0, 1, 1]))
    assert [path for path in store.folder.rglob("*") if path.is_file()] == []
    with pytest.raises(RequestError, match="No space left"):
        store.write_manifest({})


def test_a_folder_that_cannot_be_made_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match=r"cannot be written to .*file"):
        Store(tmp_path / "file" / "run").check_writable()
    store = Store(tmp_path / "new")
    store.check_writable()
    assert [path for path in store.folder.rglob("*") if path.is_file()] == []


def test_a_folder_without_a_run_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"is not an archbench run.*archbench run"):
        _ = Store(tmp_path).manifest
    (tmp_path / "manifest.json").write_text('{"name": "an app"}')
    for use in (lambda: Store(tmp_path).manifest, lambda: Store(tmp_path).write_manifest({})):
        with pytest.raises(RequestError, match="was not written by archbench"):
            use()
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(RequestError, match="cannot be read"):
        _ = Store(tmp_path).manifest


def test_the_manifest_comes_back_and_may_hold_anything(store: Store) -> None:
    store.write_manifest({"name": "x", "at": Path("/p"), "loss": float("nan"), "n": np.int64(3)})
    assert store.manifest == {"name": "x", "at": "/p", "loss": None, "n": 3}


def test_a_newer_schema_is_named_as_such(store: Store) -> None:
    store.write_manifest({})
    path = store.folder / "manifest.json"
    path.write_text(path.read_text().replace('"schema_version": 3', '"schema_version": 4'))
    with pytest.raises(RequestError, match="Update archbench"):
        _ = store.manifest


def test_another_cells_or_a_newer_header_is_left_out_and_never_counted(store: Store) -> None:
    written = store.write_cell(header(), rows([1, 0, 1, 1]))
    path = next(store.folder.rglob("*5shot.json"))
    store.write_cell(header("b"), rows([1, 0, 1, 1]))
    shutil.copytree(path.parent, path.parent.with_name("copy"))
    (path.parent / "notes.json").write_text('{"what": "my notes"}')
    (path.parent / "folder.json").mkdir()
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 7, "unknown": 1}))
    found, skipped = store.read_headers()
    assert [one.member for one in found] == ["b"]
    folder, newer, notes, copied = skipped
    assert re.search(r"a/folder.json is left out.*Is a directory", folder)
    assert re.search(r"a/mmlu.standard-5shot.json is left out: it has schema version 7.*Update", newer)
    assert re.search(r"a/notes.json is left out.*schema_version", notes)
    assert re.search(r"copy/mmlu.standard-5shot.json is left out.*the header of a · mmlu", copied)
    assert not store.has(written.id, "k1")
    assert store.holds_another(written.id, "k1"), "a run must not replace it unasked"


@pytest.mark.parametrize("content", DAMAGES)
def test_a_damaged_header_is_left_out_and_its_cell_redone(store: Store, content: bytes) -> None:
    written = store.write_cell(header(), rows([1, 0, 1, 1]))
    path = next(store.folder.rglob("*5shot.json"))
    path.write_bytes(content)
    found, (skipped,) = store.read_headers()
    assert found == []
    assert f"{path} is left out, since it is no cell's header" in skipped
    assert not store.has(written.id, "k1")
    assert not store.holds_another(written.id, "k1")
    store.write_cell(header(), rows([1, 0, 1, 1]))
    assert store.has(written.id, "k1")


def test_headers_with_more_keys_than_known_are_read(store: Store) -> None:
    written = store.write_cell(header(), rows([1, 0, 1, 1]))
    path = next(store.folder.rglob("*5shot.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "of_a_later_version": {"x": [1]}}))
    assert store.read_headers() == ([written], [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"item": "algebra/00000"}, "item 'algebra/00000' occurs twice"),
        ({"prompt_hash": None}, "'prompt_hash' is null for row 1"),
        ({"acc": 37.5}, "metric 'acc' of item 'physics/00001' is 37.5, not a score"),
        ({"loglikelihoods": "low"}, "column 'loglikelihoods' cannot be stored"),
    ],
)
def test_rows_that_break_the_schema_are_refused_whole(
    store: Store, change: dict[str, Any], message: str
) -> None:
    made = rows([1, 0, 1, 1])
    made[1] |= change
    with pytest.raises(RunError, match=message):
        store.write_cell(header(), made)
    assert not list(store.folder.rglob("*.*"))


def test_missing_rows_and_columns_are_refused(store: Store) -> None:
    with pytest.raises(RunError, match="counts 4 items, there are 3 rows"):
        store.write_cell(header(), rows([1, 0, 1]))
    with pytest.raises(RunError, match="column 'f1' is missing"):
        store.write_cell(header(metrics=("acc", "f1")), rows([1, 0, 1, 1]))


def test_headers_refuse_what_would_clash() -> None:
    with pytest.raises(ValueError, match="not among metrics"):
        header(metric="f1")
    with pytest.raises(ValueError, match="must not be called"):
        header(labels={"subject": "x"})
    with pytest.raises(ValueError, match="a failed cell has an error"):
        header(status="failed")


def test_what_lm_eval_reports_becomes_plain_data() -> None:
    assert header(lm_eval={"acc": np.float32(0.5), "stderr": float("nan"), "fn": len}).lm_eval == {
        "acc": 0.5,
        "stderr": None,
        "fn": "len",
    }
    assert plain({1: {2, 1}}) == {"1": [1, 2]}


@settings(deadline=None)  # a busy machine is no failure
@given(st.sets(st.text(max_size=90), min_size=2, max_size=8))
def test_slugs_are_safe_and_one_to_one(names: set[str]) -> None:
    made = {slug(name) for name in names}
    assert len({one.lower() for one in made}) == len(names)
    for one in made:
        assert one
        assert len(one) <= 75
        assert not one.startswith(".")
        assert not set('/\\:*?"<>| \0') & set(one)


def test_slugs_keep_plain_names_and_tell_near_ones_apart(store: Store) -> None:
    assert slug("mamba2-hybrid") == "mamba2-hybrid"
    assert slug("state-spaces/mamba-2.8b").startswith("state-spaces_mamba-2.8b~")
    assert len({slug(name) for name in ("A", "a", "a/b", "a_b", "../a", "", ".", "..")}) == 8
    for member, variant in (("../evil", "x"), ("a/b", "x.y"), ("A", "x"), ("a", "x")):
        store.write_cell(header(member, variant=variant), rows([1, 0, 1, 1]))
    assert {head.member for head in store.headers()} == {"../evil", "a/b", "A", "a"}
    assert len(list((store.folder / "cells").iterdir())) == 4


def test_atomic_files_replace_and_are_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_atomic(path, "one")
    write_atomic(path, b"two")
    assert path.read_text() == "two"
    assert path.stat().st_mode & 0o044 == 0o044 & ~_umask()
    assert list(path.parent.iterdir()) == [path]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
