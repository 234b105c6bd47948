"""A tokenizer's folder says one thing: what is read is part of its identity, and gives the same ids each time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archbench.errors import RequestError
from archbench.models.load import load_tokenizer
from archbench.runner.identity import tokenizer_identity
from tests.runner.tiny import save_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tokenizer(tmp_path / "words")


def edit(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def add_version(folder: Path, name: str, normalizer: dict[str, Any] | None) -> None:
    """Have another file than tokenizer.json read."""
    rules = json.loads((folder / "tokenizer.json").read_text())
    (folder / name).write_text(json.dumps(rules | {"normalizer": normalizer}))
    edit(folder / "tokenizer_config.json", fast_tokenizer_files=[name])


parts = st.text("x._-", max_size=3)
names = st.builds(
    lambda before, version, after: f"{before}tokenizer.{version}.json{after}",
    parts,
    st.sampled_from(["4", "4.0", "4.0.0", "v", "99"]),
    st.sampled_from(["", ".bak", ".json", "x"]),
)


@given(name=names)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_version_of_a_tokenizer_that_is_read_is_part_of_its_identity(folder: Path, name: str) -> None:
    """transformers takes any name with `tokenizer.VERSION.json` somewhere in it."""
    found = []
    for at, normalizer in enumerate((None, {"type": "Lowercase"})):
        copy = shutil.copytree(folder, folder.parent / f"copy{at}")
        try:
            add_version(copy, name, normalizer)
            found.append((load_tokenizer(copy)("THE")["input_ids"], tokenizer_identity(copy)))
        except RequestError as error:
            assert "fast_tokenizer_files" in str(error) or "Invalid version" in str(error)
        finally:
            shutil.rmtree(copy)
    if found:
        (first, one), (second, other) = found
        assert first == second or one != other


@pytest.mark.parametrize(
    "name",
    ["x-tokenizer.4.0.0.json", "mytokenizer.4.0.json", ".tokenizer.4.0.json", "tokenizer.4.json.bak"],
)
def test_a_version_that_is_no_part_of_the_identity_is_refused(folder: Path, name: str) -> None:
    add_version(folder, name, {"type": "Lowercase"})
    for use in (load_tokenizer, tokenizer_identity):
        with pytest.raises(RequestError, match=f"fast_tokenizer_files names '{name}', which transformers may"):
            use(folder)


def test_a_version_that_does_not_exist_is_refused(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", fast_tokenizer_files=["tokenizer.json", "tokenizer.4.0.0.json"])
    with pytest.raises(RequestError, match=r"names 'tokenizer.4.0.0.json', which does not exist"):
        load_tokenizer(folder)
    shutil.copy(folder / "tokenizer.json", folder / "tokenizer.4.0.0.json")
    assert load_tokenizer(folder)("a")["input_ids"]
