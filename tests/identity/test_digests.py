"""One formula: its value is pinned, since cells and trained weights are known by it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from archbench.identity import (
    content_digest,
    contents,
    digest,
    file_digest,
    model_contents,
    tokenizer_contents,
)
from archbench.registry import FamilyChoice, families, resolve_members
from archbench.runner.member.files import localize, member_identity


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_formula_is_sha256_of_canonical_json() -> None:
    value = {"b": [1, 2.5, None], "a": {"é": True}}
    text = r'{"a":{"\u00e9":true},"b":[1,2.5,null]}'
    assert digest(value) == sha256(text.encode()) == content_digest(text) == content_digest(text.encode())
    assert digest({"a": {"é": True}, "b": (1, 2.5, None)}) == digest(value)
    spaced = r'{"a": {"\u00e9": true}, "b": [1, 2.5, null]}'
    assert digest(value, spaces=True) == sha256(spaced.encode())
    # An address in memory, which is another one in each process, must not become a part of a key.
    with pytest.raises(TypeError):
        digest([object()])


def test_files_are_known_by_name_and_content(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder / "in").mkdir(parents=True)
        (tmp_path / folder / "in" / "a.txt").write_text("content")

    def known(folder: str) -> list[list[str]]:
        return contents(tmp_path / folder, sorted((tmp_path / folder).rglob("*.txt")))

    assert known("one") == known("two") == [["in/a.txt", sha256(b"content")]]
    (tmp_path / "two" / "in" / "a.txt").rename(tmp_path / "two" / "a.txt")
    assert known("one") != known("two")


def test_a_file_is_read_once_and_again_when_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    os.utime(file, ns=(1, 1))
    assert file_digest(file) == sha256(b"one")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", lambda *_: pytest.fail("read twice"))
        assert file_digest(file) == sha256(b"one")
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 2))
    assert file_digest(file) == sha256(b"two")


def test_the_members_of_finished_runs_keep_their_identity() -> None:
    """A value from before there was one formula: cells that are known by it are not evaluated again."""
    chosen = [FamilyChoice(name="microworld", members=["transformer"])]
    (member,) = resolve_members(chosen, {}, families(), where=lambda *key: ".".join(map(str, key)))
    weights, tokenizer = localize(member)
    assert weights is not None
    assert tokenizer is not None
    known = member_identity(member, weights, tokenizer)
    assert known == "9ba9d791b185c9eec92910dbb05473edfa1df34b284580843fdd17e16dd97f3f"
    assert known == digest([model_contents(weights), tokenizer_contents(tokenizer, weights)])
