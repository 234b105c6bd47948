"""The manifest's schema, manifests that are damaged, and runs that older versions have written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archbench.errors import RequestError, RunError
from archbench.report.settings import recorded_settings
from archbench.report.words.sharing import sharing_lines, sharing_warnings
from archbench.results.frames import load_results
from archbench.results.store import Store
from tests.results.synthetic import header, make_run, rows, share
from tests.results.test_store import DAMAGES

OLD = Path(__file__).parent / "old_run"
KEYS = ("members", "conditions", "cells", "match", "seed", "name", "versions", "hardware", "suite", "command")
WRONG: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def run(folder: Path) -> Path:
    """A run of two members and two conditions."""
    conditions = {
        "standard-5shot": {"format": "standard", "shots": 5},
        "cloze-0shot": {"format": "cloze", "shots": 0},
    }
    make_run(folder, {"a": share(0.6), "b": share(0.3)}, n=8, conditions=conditions)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; its manifest is whatever the last test left."""
    return run(tmp_path_factory.mktemp("finished"))


def test_a_run_of_an_older_version_is_read() -> None:
    results = load_results(OLD)
    assert results.warnings == []
    assert results.members == ["attention", "recurrence"]
    assert results.scores()["n"].tolist() == [12, 12]
    assert results.manifest["suite"]["tasks"]["mmlu"]["kind"] == "mmlu"
    assert results.manifest["members"][0]["exactness"]["level"] == "chunk", "keys that the schema lacks stay"
    assert results.manifest == {
        key: value
        for key, value in json.loads((OLD / "manifest.json").read_text(encoding="utf-8")).items()
        if key not in ("format", "schema_version")
    }


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(KEYS), WRONG, min_size=1, max_size=3))
def test_any_shape_of_any_key_is_read_and_written_again(finished: Path, wrong: dict[str, Any]) -> None:
    path = finished / "manifest.json"
    known = {"format": "archbench run", "schema_version": 1, "name": "x", "seed": 3}
    path.write_text(json.dumps({**known, **wrong}), encoding="utf-8")
    results = load_results(finished)
    assert set(results.scores()["member"]) <= {"a", "b"}
    results.differences()
    repr(results)
    recorded_settings(results.manifest, results.members)
    if "cells" not in results.manifest:
        assert {"a", "b"} <= set(results.members)
    for key in wrong:
        assert key in results.manifest or any(f"'{key}'" in one for one in results.warnings), key
    Store(finished).write_manifest({"name": "new"})
    assert load_results(finished).warnings == []


@pytest.mark.parametrize("key", ["members", "conditions", "cells", "suite", "match"])
@pytest.mark.parametrize("wrong", [None, "x", 3, {"a": 1}, [None], [{"name": ""}], [[]]])
def test_a_key_of_the_wrong_shape_is_taken_from_the_headers(tmp_path: Path, key: str, wrong: Any) -> None:
    run(tmp_path)
    whole = load_results(tmp_path)
    path = tmp_path / "manifest.json"
    fits = (key, wrong) in (("suite", {"a": 1}), ("match", []))
    path.write_text(json.dumps({**json.loads(path.read_text()), key: wrong}))
    results = load_results(tmp_path)
    assert (results.warnings == []) == fits
    assert fits or f"its key '{key}' is unusable" in results.warnings[0]
    assert results.members == whole.members
    assert results.scores().equals(whole.scores()) or key == "conditions"
    assert len(results.scores()) == len(whole.scores())


@pytest.mark.parametrize("content", [*DAMAGES, b'{"name": "an app"}', b'{"format": "archbench run"}'])
def test_a_damaged_manifest_is_rebuilt_and_kept_when_it_is_replaced(tmp_path: Path, content: bytes) -> None:
    run(tmp_path)
    (tmp_path / "manifest.json").write_bytes(content)
    results = load_results(tmp_path)
    assert f"{tmp_path / 'manifest.json'} is damaged: " in results.warnings[0]
    assert results.members == ["a", "b"]
    assert len(results.scores()) == 4
    Store(tmp_path).write_manifest({"name": "new"})
    assert (tmp_path / "manifest.json.broken").read_bytes() == content
    assert load_results(tmp_path).manifest == {"name": "new"}


def test_what_headers_hold_of_the_members_is_filled_in_and_the_rest_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_manifest({"members": [{"name": "b", "fingerprint": "f"}, {"name": "a"}]})
    for member, sharing in (("a", "none"), ("b", "chunk"), ("c", None)):
        for at in (2, 1):
            about = {"family": "pair" if member == "b" else None, "sharing": sharing if at == 2 else "steps"}
            times = dict.fromkeys(("started", "finished"), f"2026-01-0{at}T03:04:05Z")
            labels = {"format": "cloze", "shots": at}
            head = header(member, variant=f"cloze-{at}shot", labels=labels, **about, **times)
            store.write_cell(head, rows([1, 0, 1, 1]))
    assert load_results(tmp_path).manifest["members"] == [{"name": "b", "fingerprint": "f"}, {"name": "a"}]
    (tmp_path / "manifest.json").write_text("{")
    results = load_results(tmp_path)
    assert results.manifest["members"] == [
        {"name": "a", "sharing": {"level": "none", "reason": ""}},
        {"name": "b", "family": "pair", "sharing": {"level": "chunk", "reason": ""}},
        {"name": "c", "sharing": {"level": "steps", "reason": ""}},
    ]
    for lost in ("parameters, fingerprints", "training lengths", "versions", "machine", "seed 0", "audit"):
        assert lost in results.warnings[0]
    assert "a holds no prefixes: no reason is recorded" in " ".join(sharing_warnings(results))
    assert "b: whole prefixes" in " ".join(sharing_lines(results))


def test_text_that_cannot_be_written_is_damage(tmp_path: Path) -> None:
    path = run(tmp_path) / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "match": ["\ud800"]}))
    cell = tmp_path / "cells" / "b" / "mmlu.cloze-0shot.json"
    cell.write_text(json.dumps({**json.loads(cell.read_text()), "family": "\udfff"}))
    results = load_results(tmp_path)
    match, family = results.warnings
    assert "its key 'match' is unusable: it holds the text '\\ud800'" in match
    assert f"{cell} is left out" in family
    assert "U+DFFF, a surrogate" in family
    assert len(results.scores()) == 3
    with pytest.raises(RunError, match="'command' is unusable"):
        Store(tmp_path).write_manifest({"command": "archbench \udcff"})


def test_a_manifest_that_is_missing_or_a_folder_is_rebuilt(tmp_path: Path) -> None:
    run(tmp_path)
    path = tmp_path / "manifest.json"
    path.unlink()
    assert "is damaged: it is missing" in load_results(tmp_path).warnings[0]
    path.mkdir()
    assert "Is a directory" in load_results(tmp_path).warnings[0]
    Store(tmp_path).write_manifest({"name": "new"})
    assert load_results(tmp_path).warnings == []


@pytest.mark.parametrize("content", [*DAMAGES, b'{"name": "an app"}'])
def test_without_cells_the_file_is_another_programs_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    store = Store(tmp_path)
    for use in (lambda: store.manifest, lambda: store.write_manifest({}), store.check_writable):
        with pytest.raises(RequestError, match=r"manifest.json .*leaves this one alone"):
            use()
    assert path.read_bytes() == content


def test_a_manifest_of_a_newer_version_is_neither_read_nor_replaced(tmp_path: Path) -> None:
    run(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 9, "members": {}}))
    for use in (lambda: load_results(tmp_path), lambda: Store(tmp_path).write_manifest({})):
        with pytest.raises(RequestError, match=r"schema version 9.*Update archbench"):
            use()


def test_members_that_only_the_planned_cells_name_are_known(tmp_path: Path) -> None:
    run(tmp_path)
    cells = [
        {"member": member, "task": "mmlu", "variant": variant, "key": "k1"}
        for member in ("late", "a", "b")
        for variant in ("standard-5shot", "cloze-0shot", "choice_text-0shot")
    ]
    path = tmp_path / "manifest.json"
    whole = {**json.loads(path.read_text()), "cells": cells, "members": None, "conditions": None}
    path.write_text(json.dumps(whole))
    results = load_results(tmp_path)
    assert results.members == ["late", "a", "b"]
    assert "mmlu · choice_text-0shot is planned" in results.warnings[-1]


def test_what_breaks_the_schema_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"'members' is unusable \(at 0.name\)"):
        Store(tmp_path).write_manifest({"members": [{"nome": "a"}]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("report", "key"),
    [
        ("x", "report"),
        ({"confidence": 7}, "confidence"),
        ({"figure_formats": None}, "figure_formats"),
        ({"of_a_later_version": 1}, "of_a_later_version"),
        ({"baseline": "gone"}, "baseline"),
        ({"published": {"gone": "waleffe2024/mamba2-3.5T"}}, "published"),
    ],
)
def test_recorded_settings_that_cannot_be_used_are_left_out(report: Any, key: str) -> None:
    found, (warning,) = recorded_settings({"suite": {"report": report}}, ["a"])
    assert f"'{key}' is not used" in warning
    assert (found.baseline, found.confidence, found.published) == (None, 0.95, {})
    kept, none = recorded_settings({"suite": {"report": {"baseline": "a", "confidence": 0.9}}}, ["a"])
    assert (kept.baseline, kept.confidence, none) == ("a", 0.9, [])


@pytest.mark.parametrize("damage", ["truncated", "empty", "missing", "folder", "other"])
def test_items_that_cannot_be_read_are_set_aside(tmp_path: Path, damage: str) -> None:
    path = run(tmp_path) / "cells" / "a" / "mmlu.standard-5shot.parquet"
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage == "other":
        shutil.copy(path.with_name("mmlu.cloze-0shot.parquet"), path)
    elif damage != "missing":
        path.write_bytes(content[:-100] if damage == "truncated" else b"")
    results = load_results(tmp_path)
    (warning,) = results.warnings
    assert "The items of a · mmlu · standard-5shot cannot be used" in warning
    assert list(results.set_aside) == [("a", "mmlu", "standard-5shot")]
    assert len(results.scores()) == 3
    assert len(results.items()) == 3 * 8
    assert not Store(tmp_path).has(("a", "mmlu", "standard-5shot"), "k1")


def test_rows_without_a_header_are_no_cell(tmp_path: Path) -> None:
    (run(tmp_path) / "cells" / "a" / "mmlu.standard-5shot.json").unlink()
    results = load_results(tmp_path)
    assert (len(results.headers), results.warnings) == (3, [])
