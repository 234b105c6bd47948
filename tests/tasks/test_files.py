"""Files that are read as rows or texts: what cannot be read in one way only is refused with its place."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archbench.errors import RequestError
from archbench.formats.text import read_text
from archbench.tasks.files.alike import folded, look_alike
from archbench.tasks.files.names import read_names
from archbench.tasks.files.rows import read_rows
from archbench.tasks.ruler.haystacks import essay_sentences
from archbench.tasks.ruler.qa_data import read_qa_file


def refused(read: Callable[[], Any], *expected: str) -> None:
    with pytest.raises(RequestError) as caught:
        read()
    assert "\n" not in str(caught.value)
    for part in expected:
        assert part in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "question,answer,question\na,b,c\n", ["column 'question' 2 times"]),
        ("a.jsonl", '{"a": 1}\n{"a": 1, "b": 2, "a": 1}\n', ["line 2", "key 'a' comes twice"]),
        ("a.jsonl", '{"a": {"b": 1, "b": 2}}', ["line 1", "key 'b' comes twice"]),
        ("a.json", '[{"a": 1, "a": 2}]', ["a.json: the key 'a' comes twice"]),
        ("a.csv", "answer, answer\nA,B\n", ["columns 'answer' and ' answer'", "white space"]),
        ("a.csv", "a b,ab\n1,2\n", ["columns 'a b' and 'ab'"]),
        ("a.csv", "id,i\u200bd\n1,2\n", ["columns 'id' and 'i\\u200bd'", "invisible characters"]),
        ("a.jsonl", '{"answer": 1, "answer ": 2}', ["line 1", "keys 'answer' and 'answer '"]),
        ("a.jsonl", '{"a": 1}\n{" a": 2}', ["a.jsonl has the columns 'a' and ' a'"]),
        ("a.json", '[{"a": {"b": 1, "\\tb": 2}}]', ["keys 'b' and '\\tb'"]),
        ("a.jsonl", '{"a": 1}\n[1]\n', ["line 2", "object", "list"]),
        ("a.csv", "a,b\n1,2\n3\n", ["line 3", "1 cells", "2 columns"]),
        ("a.csv", "a,b\n1,2,\n", ["line 2", "3 cells"]),
        ("a.csv", "", ["is empty"]),
        ("a.csv", "a,b\n", ["is empty"]),
        ("a.json", "[]", ["is empty"]),
        ("a.jsonl", '{"a": "\0"}', ["NUL bytes", "line 1"]),
    ],
)
def test_rows_that_cannot_be_read_in_one_way_only(
    name: str, text: str, expected: list[str], tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    refused(lambda: read_rows(tmp_path / name), name, *expected)


def test_a_parquet_column_that_comes_twice(tmp_path: Path) -> None:
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "a.parquet")
    refused(lambda: read_rows(tmp_path / "a.parquet"), "a.parquet", "'a'")


TWINS = pa.struct([("text", pa.string()), ("text", pa.string())])
ALIKE = pa.struct([("text", pa.string()), (" text", pa.string())])


@pytest.mark.parametrize("wrap", [lambda kind: kind, pa.list_, lambda kind: pa.struct([("of", kind)])])
@pytest.mark.parametrize(("kind", "message"), [(TWINS, "text' 2 times"), (ALIKE, "and 'a.")])
def test_fields_of_a_parquet_struct_that_come_twice(
    wrap: Callable[[pa.DataType], pa.DataType], kind: pa.DataType, message: str, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"a": pa.nulls(2, wrap(kind))}), tmp_path / "a.parquet")
    refused(lambda: read_rows(tmp_path / "a.parquet"), "a.parquet", message)


def test_parquet_columns_that_look_the_same(tmp_path: Path) -> None:
    pq.write_table(pa.table({"answer": [1], " answer": [2], "Answer": [3]}), tmp_path / "a.parquet")
    refused(lambda: read_rows(tmp_path / "a.parquet"), "columns 'answer' and ' answer'")


@settings(deadline=None, max_examples=60)
@given(
    st.text(st.characters(max_codepoint=0xFF, whitelist_categories=["L", "N"]), min_size=1, max_size=8),
    st.data(),
)
def test_names_look_alike_wherever_the_space_is(name: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(name)))
    space = data.draw(st.sampled_from([" ", "\t", "\u00a0", "\u2009", "\u200b", "\ufeff", "\n"]))
    assert look_alike(["other", name, name[:at] + space + name[at:]]) is not None
    assert look_alike(["other " + name, name, space, ""]) is None
    assert folded([f" {name}\t\n{name} ", 1]) == [folded(f"{name.swapcase()} {name}"), 1]


@pytest.mark.parametrize("other", ["ada  byron", "Ada\u00a0Byron"])
def test_names_that_differ_in_white_space_or_case_alone(other: str, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text(f"Ada Byron\nBen\n{other}\n", encoding="utf-8")
    refused(lambda: read_names(tmp_path / "names.txt"), "names.txt", "'Ada Byron' and", "white space or case")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt"])
def test_other_encodings_are_refused_wherever_text_is_read(name: str, encoding: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(json.dumps({"question": "Où?"}, ensure_ascii=False).encode(encoding))
    if name != "a.txt":
        refused(lambda: read_rows(file), name, "UTF-8")
        return
    refused(lambda: read_text(file), name, "UTF-8")
    refused(lambda: read_names(file), name, "UTF-8")
    refused(lambda: essay_sentences(tmp_path), name, "UTF-8")
    refused(lambda: read_qa_file("squad", str(file)), name, "UTF-8")


def test_a_wrong_byte_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,2\n3,\xe9\n")
    refused(lambda: read_rows(tmp_path / "a.csv"), "line 3", "0xe9")


def test_keys_that_come_twice_in_a_file_of_questions(tmp_path: Path) -> None:
    (tmp_path / "squad.json").write_text('{"data": [], "data": []}')
    refused(lambda: read_qa_file("squad", str(tmp_path / "squad.json")), "squad.json", "'data' comes twice")


def test_an_empty_essay_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One. Two.")
    (tmp_path / "b.txt").write_text(" \n")
    refused(lambda: essay_sentences(tmp_path), "b.txt", "none in it")


def test_a_cell_may_be_of_any_length(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    text = 'x "quoted", ' * 20_000
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["question"], [text]])
    assert read_rows(tmp_path / "a.csv") == [("line 2", {"question": text})]
    assert csv.field_size_limit() == limit


def test_columns_without_a_name_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b,,\n1,2,,\n")
    ((_, row),) = read_rows(tmp_path / "a.csv")
    assert (row["a"], row["b"]) == ("1", "2")


_TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)


@settings(deadline=None, max_examples=60)  # a busy machine is no failure
@given(rows=st.lists(st.tuples(_TEXTS, _TEXTS), min_size=1, max_size=5), mark=st.booleans())
def test_any_text_arrives_as_it_was_written(
    rows: list[tuple[str, str]], mark: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    encoding = "utf-8-sig" if mark else "utf-8"
    wanted = [{"a": first, "b": second} for first, second in rows]
    with (folder / "a.csv").open("w", encoding=encoding, newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows])
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in wanted)
    (folder / "a.jsonl").write_text(lines, encoding=encoding, newline="")
    (folder / "a.json").write_text(json.dumps(wanted), encoding=encoding)
    pq.write_table(pa.Table.from_pylist(wanted), folder / "a.parquet")
    for suffix in ("csv", "jsonl", "json", "parquet"):
        assert [row for _, row in read_rows(folder / f"a.{suffix}")] == wanted
