"""YAML with line numbers: positions, double keys, circles, and that nothing but plain data comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from archbench.errors import RequestError
from archbench.formats.yaml_file import Origin, dotted, parse_yaml, read_yaml

TEXT = """\
name: a
tasks:
  mmlu:
    shots:
      - 0
      - 5
engine: {dtype: float32,
         device: cpu}
"""


def test_every_value_knows_its_line() -> None:
    document = parse_yaml(TEXT, source="s.yaml")
    expected = {
        ("name",): 1,
        ("tasks", "mmlu", "shots"): 4,
        ("tasks", "mmlu", "shots", 1): 6,
        ("engine", "device"): 8,
        ("tasks", "mmlu", "no", "such"): 3,
    }
    assert {path: document.where(path).line for path in expected} == expected


def test_override_replaces_what_was_below_it() -> None:
    document = parse_yaml(TEXT, source="s.yaml")
    document.set(("tasks", "mmlu", "shots"), [1], Origin("--set mmlu.shots=[1]"))
    document.set(("report", "style", "font"), "serif", Origin("--set x"))
    assert document.value["tasks"]["mmlu"]["shots"] == [1]
    assert document.value["report"] == {"style": {"font": "serif"}}
    assert str(document.where(("tasks", "mmlu", "shots", 0))) == "--set mmlu.shots=[1]"
    assert str(document.where(("name",))) == "s.yaml, line 1"


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", 4, "'b.c' is there twice"),
        ("a: [1\nb: 2\n", 2, "not valid YAML"),
        ("a: b: c\n", 1, "not valid YAML"),
        ("\ta: b\n", 1, "not valid YAML"),
        ("a: &x\n  - *x\n", 1, "part of"),
        ("1: 2\n", 1, 'write "1"'),
        ("ok: 1\n10: 2\n", 2, 'write "10"'),
        ("? [a, b]\n: 2\n", 1, "the key of several parts"),
        ('ok: 1\na: "\\ud83d"\n', 2, r"U+D83D, a surrogate"),
        ('ok: 1\n"\\udcff": a\n', 2, r"U+DCFF, a surrogate"),
        ("a: {1: b, 0x1: c}\n", 1, 'write "1"'),
        (
            "a: !!python/object/apply:os.system [id]\n",
            1,
            "os.system is not supported",
        ),
    ],
)
def test_wrong_yaml_names_the_line(text: str, line: int, told: str) -> None:
    with pytest.raises(RequestError) as error:
        parse_yaml(text, source="s.yaml")
    assert str(error.value).startswith(f"s.yaml, line {line}: ")
    assert told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n- b\n", "just text", "a: \x00"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match=r"^s\.yaml"):
        parse_yaml(text, source="s.yaml")


@pytest.mark.parametrize("text", ["a: b\n\u2028c: d", "a: 'b\x85c'", "a: |\n  b\u2029c\n"])
def test_what_ends_a_line_in_some_yaml_only_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match=r"^s\.yaml: .* line [12] holds U\+(0085|2028|2029)"):
        parse_yaml(text, source="s.yaml")
    assert parse_yaml('a: "b\\Nc"', source="s.yaml").value == {"a": "b\x85c"}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(RequestError, match="UTF-8"):
        read_yaml(tmp_path / "latin.yaml")
    with pytest.raises(RequestError, match="cannot be read"):
        read_yaml(tmp_path)


def test_merged_keys_keep_their_own_lines() -> None:
    document = parse_yaml("base: &base\n  a: 1\nmine:\n  <<: *base\n  b: 2\n", source="s.yaml")
    assert document.value["mine"] == {"a": 1, "b": 2}
    assert document.where(("mine", "a")).line == 2


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abcé ", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abcxyz", min_size=1), inner, max_size=3)
    ),
)


@given(st.dictionaries(st.text("abcxyz", min_size=1), plain, min_size=1))
def test_values_are_those_of_safe_load(value: dict[str, Any]) -> None:
    text = yaml.safe_dump(value)
    document = parse_yaml(text, source="s.yaml")
    assert document.value == yaml.safe_load(text)
    assert all(1 <= (origin.line or 0) <= text.count("\n") + 1 for origin in document.origins.values())


def test_dotted_paths_read_as_users_write_them() -> None:
    assert dotted(("tasks", "mmlu", "shots", 1)) == "tasks.mmlu.shots[1]"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 010", 10),
        ("a: 1:30", "1:30"),
        ("a: yes", "yes"),
        ("a: on", "on"),
        ("a: 0o17", 15),
        ("a: 0x1f", 31),
        ("a: 1_000", 1000),
        ("a: 1_", "1_"),
        ("a: .5", 0.5),
        ("a: 1e3", 1000.0),
        ("a: 2026-11-27", "2026-11-27"),
        ("a: True", True),
        ("a: ~", None),
        ("a: 'true'", "true"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = parse_yaml(text, source="x.yaml").value["a"]
    assert (found, type(found)) == (value, type(value))


def laughs(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (laughs(9), "100,000 values"),
        ("a: " + "[" * 3000 + "]" * 3000, "40 levels deep"),
        ("a: " + "{b: " * 3000 + "1" + "}" * 3000, "40 levels deep"),
        ("a: " + "9" * 5000, "5000 digits"),
        ("a: " + "x" * 2**21, "characters"),
        ("a: !!binary aGk=", "not supported"),
        ("a: !!set {b, c}", "not supported"),
    ],
)
def test_what_would_cost_too_much_is_refused_at_once(text: str, reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        parse_yaml(text, source="x.yaml")


def test_a_few_aliases_are_fine() -> None:
    assert parse_yaml(laughs(3), source="x.yaml").value["a1"] == [["x"] * 9] * 9
