"""`--set` never shortens or changes a value: what arrives is the text, or an error."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archbench.errors import RequestError
from archbench.formats.yaml_core import parse_value
from archbench.suite import Suite, load_suite

SUITE = {"name": "one", "members": {"a": {"hub": "b"}}, "tasks": {"q": {"kind": "mmlu", "data": "d"}}}
# As paths have them, and as YAML reads something into them.
PARTS = st.sampled_from(
    [
        *(
            "./data",
            "#2",
            " #",
            "# ",
            ": ",
            ":",
            "'",
            '"',
            ",",
            "[",
            "]",
            "{",
            "}",
            "&a ",
            "*a",
            "!!int ",
            "|",
        ),
        *(
            "|",
            ">",
            "%",
            "- ",
            "? ",
            "010",
            "1:30",
            "yes",
            "null",
            "~",
            "1e3",
            "0x1f",
            "...",
            "---",
            " ",
            "\n",
        ),
        *("\t", "2026-11-27", "ü", "漢字", "\u2028", "=", "<<", "\\", "`", "@", "$HOME", "true", ".5"),
    ]
)
TEXTS = st.one_of(st.lists(PARTS, min_size=1, max_size=5).map("".join), st.text(min_size=1, max_size=20))


def arrived(text: str, key: str) -> Suite | None:
    try:
        return load_suite(SUITE, [f"{key}={text}"])
    except RequestError as error:
        told = str(error)
    assert told.startswith((f"--set {key}={text}: ", "suite"))
    return None


@given(TEXTS)
def test_a_path_arrives_as_it_was_given_or_not_at_all(text: str) -> None:
    suite = arrived(text, "q.data")
    if suite is not None:
        assert suite.tasks["q"].model_dump()["data"] == text


@given(TEXTS)
def test_so_does_text_that_is_no_path(text: str) -> None:
    suite = arrived(text, "description")
    if suite is not None:
        assert suite.description == text


@given(TEXTS)
def test_a_member_is_the_one_that_was_named(text: str) -> None:
    suite = arrived(text, "members.mine")
    if suite is not None:
        member = suite.members["mine"]
        here = str(Path(text).expanduser().resolve())
        assert (member.path or member.hub) in (text, here)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("./data #2", "./data #2"),
        ("./m/model: 1", "./m/model: 1"),
        ("010", "010"),
        ("1:30", "1:30"),
        ("yes", "yes"),
        ("2026-11-27", "2026-11-27"),
        ("6_000_000", "6_000_000"),
        ("1e-3", "1e-3"),
        ("0.5", 0.5),
        ("12", 12),
        ("~", "~"),
        ("9" * 101, "9" * 101),
        ("null", None),
        ("[0, 5]", [0, 5]),
        ("{name: x, members: [a]}", {"name": "x", "members": ["a"]}),
        ("['a #b', c]", ["a #b", "c"]),
    ],
)
def test_what_values_are_read_as(text: str, value: object) -> None:
    assert parse_value(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "null to unset"),
        ('"./data"', "in quotes"),
        ("[a] # b", "follows the closing bracket"),
        ("[a, # b\n c]", "one line"),
        ("[a #b]", "not valid YAML"),
        ("[a, b", "not valid YAML"),
        ("[!!python/name:os.system '']", "not supported"),
    ],
)
def test_what_would_be_lost_is_an_error(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_value(text)


def test_a_number_is_taken_as_text_where_text_is_wanted() -> None:
    assert load_suite(SUITE, ["q.data=010"]).tasks["q"].model_dump()["data"] == "010"
    assert load_suite(SUITE, ["members.mine=0x1f"]).members["mine"].hub == "0x1f"
    assert load_suite(SUITE, ["q.limit=010"]).tasks["q"].limit == 10
    assert load_suite(SUITE, ["q.limit=1_000"]).tasks["q"].limit == 1000


@given(TEXTS)
def test_an_argument_that_may_be_text_or_number_is_the_one_given(text: str) -> None:
    member = {"backend": "vllm", "arguments": {"model": "m"}}
    suite = {"name": "one", "members": {"a": member}, "tasks": SUITE["tasks"]}
    try:
        found = load_suite(suite, [f"members.a.arguments.x={text}"]).members["a"].arguments["x"]
    except RequestError:
        return
    assert found == text or str(found) == text or (text, found) in (("true", True), ("false", False))
