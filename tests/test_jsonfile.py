"""JSON from strangers is read within bounds, or refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from archbench.formats import json_file as jsonfile


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 3000 + b"]" * 3000, "nested more than"),
        (b"[" * 300_000 + b"]" * 300_000, "nested more than"),
        (b'{"a": 1, "a": 2}', "the key 'a' comes twice"),
        (b'{"a": NaN}', "NaN"),
        (b"\xff\xfe{}", "not text in UTF-8"),
        (b'{"a": ', "Expecting value"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        jsonfile.read_json(path)


def test_large_files_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    path.write_text("[1, 2, 3]")
    assert jsonfile.read_json(path) == [1, 2, 3]
    monkeypatch.setattr(jsonfile, "MOST_BYTES", 5)
    with pytest.raises(ValueError, match="9 bytes"):
        jsonfile.read_json(path)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"\xef\xbb\xbf{}")
    assert jsonfile.read_json(path) == {}
