"""`--set` never shortens or changes a value: what arrives is the text, or an error."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from archbench.errors import RequestError, writable
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
TEXTS = st.one_of(
    st.lists(PARTS, min_size=1, max_size=5).map("".join),
    st.text(min_size=1, max_size=20),
    # Halves of characters too, as a command line that is not UTF-8 has them.
    st.text(st.characters(), min_size=1, max_size=20),
)
LOCAL = {"kind": "lm_eval", "tasks": ["piqa", "arc: easy"], "metric": "acc"}


def arrived(text: str, key: str, suite: dict[str, Any] = SUITE) -> Suite | None:
    try:
        return load_suite(suite, [f"{key}={text}"])
    except RequestError as error:
        told = str(error)
    told.encode()
    assert told.startswith((f"--set {writable(key)}={writable(text)}: "[:290], "suite"))
    return None


def with_task(entry: dict[str, Any]) -> dict[str, Any]:
    return SUITE | {"tasks": {"q": entry}}


def spelled(value: Any) -> st.SearchStrategy[str]:
    """Ways to write a list or a mapping on one line."""
    style: dict[str, Any] = {"default_flow_style": True, "width": 10**6, "sort_keys": False}
    dumped = yaml.safe_dump(value, allow_unicode=True, **style).removesuffix("\n")
    return st.sampled_from([json.dumps(value), json.dumps(value, ensure_ascii=False), dumped])


def folder(text: str) -> str:
    """The whole path of a folder that exists."""
    return os.path.realpath(os.path.expanduser(text))  # noqa: PTH111 - there may be no such user


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
        assert (member.path or member.hub) in (text, folder(text))


@given(TEXTS)
def test_a_folder_of_lm_evals_task_is_the_one_that_was_named(text: str) -> None:
    alone = LOCAL | {"tasks": ["piqa"]}
    for key, entry in (("q.data", alone), ("q.data.piqa", LOCAL)):
        if (suite := arrived(text, key, with_task(entry))) is not None:
            data = suite.tasks["q"].model_dump()["data"]
            assert data == {"q.data": text, "q.data.piqa": {"piqa": text}}[key] or (text, data) == (
                "null",
                None,
            )


@given(TEXTS)
def test_a_tokenizer_is_the_one_that_was_named(text: str) -> None:
    entry = {"kind": "ruler", "lengths": [1024]}
    suite = arrived(text, "q.tokenizer", with_task(entry))
    if suite is not None:
        assert suite.tasks["q"].model_dump()["tokenizer"] == (None if text == "null" else text)
    suite = arrived(text, "members.a.tokenizer")
    if suite is not None:
        assert suite.members["a"].tokenizer in ((None,) if text == "null" else (text, folder(text)))


@given(st.data(), st.lists(TEXTS, min_size=1, max_size=3))
def test_a_list_of_texts_is_the_one_that_was_given(data: st.DataObject, texts: list[str]) -> None:
    entry = LOCAL | {"tasks": ["piqa"]}
    suite = arrived(data.draw(spelled(texts)), "q.tasks", with_task(entry))
    if suite is not None:
        assert suite.tasks["q"].model_dump()["tasks"] == texts


@settings(max_examples=50)
@given(st.data(), TEXTS, TEXTS)
def test_a_mapping_is_the_one_that_was_given(data: st.DataObject, one: str, other: str) -> None:
    folders = {"arc: easy": one, "piqa": other}
    suite = arrived(data.draw(spelled(folders)), "q.data", with_task(LOCAL))
    if suite is not None:
        assert suite.tasks["q"].model_dump()["data"] == folders
    suite = arrived(data.draw(spelled({"hub": "b", "tokenizer": one})), "members.a")
    if suite is not None:
        assert suite.members["a"].tokenizer in (one, folder(one))


SCALARS = st.one_of(TEXTS, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
).filter(lambda value: isinstance(value, list | dict))


@settings(max_examples=50)
@given(st.data(), VALUES)
def test_whatever_is_in_brackets_arrives_or_is_an_error(data: st.DataObject, value: Any) -> None:
    text = data.draw(spelled(value))
    try:
        found = parse_value(text)
    except ValueError as error:
        str(error).encode()
        return
    # A dot or none, capitals or not: of numbers the value counts, not its spelling.
    assert found == value
    assert json.dumps(found) == json.dumps(value)
    json.dumps(found, ensure_ascii=False).encode()


KEYS = st.sampled_from(
    ["1", '"1"', "0x1", "01", "+1", "1.0", "~", "null", "true", "True", '"true"', "a", '"a"', "'a'"]
)


@given(KEYS, KEYS)
def test_of_two_keys_none_is_lost(one: str, other: str) -> None:
    try:
        found = parse_value(f"{{{one}: x, {other}: y}}")
    except ValueError:
        return
    assert isinstance(found, dict)
    assert list(found.values()) == ["x", "y"]
    assert all(isinstance(key, str) for key in found)


@given(st.text(st.sampled_from("ab 1#:,[]{}&*!|>'\"?-\x85\u2028\t~<\ud800"), max_size=12))
def test_nothing_in_brackets_is_lost_without_a_word(text: str) -> None:
    try:
        found = parse_value(f"[{text}]")
    except ValueError:
        return
    if set(text) <= set("ab 1:,#\u2028\x85"):
        # Without quotes and marks of YAML's own, whatever is no space or comma or colon is there again.
        kept = "".join(one for one in json.dumps(found) if one in "ab1#")
        assert kept == "".join(one for one in text if one in "ab1#") or "null" in json.dumps(found)


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
        ("[a,\r b]", "one line"),
        ('["a\x85b"]', r"U\+0085"),
        ('["\\ud800"]', r"U\+D800"),
        ("{1: a}", 'write "1"'),
        ('{"1": a, 1: b}', 'write "1"'),
        ('{"1": a, "1": b}', "there twice"),
        ("{? [a] : 1}", "of several parts"),
        (f"{{a: {'9' * 5000}}}", "5000 digits"),
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


HUGE = 10**5000
GIVEN: list[tuple[dict[Any, Any], str]] = [
    ({"members": {1: {"hub": "a"}, "1": {"hub": "b"}}}, "the key 1 of 'members' is int, not text; write '1'"),
    ({"members": {None: {"hub": "a"}}}, "the key nothing of 'members' is NoneType"),
    ({HUGE: 1}, "a key is a number of more than 100 digits"),
    ({"seed": HUGE}, "'seed' is a number of more than 100 digits"),
    (
        {"members": {"a": {"backend": "b", "arguments": {"n": -HUGE}}}},
        r"'members\.a\.arguments\.n' is a number",
    ),
    ({"description": "a\ud800"}, r"'description' .* character 2 of it is U\+D800"),
    ({"members": {"\udcff": "a"}}, r"the key .* of 'members': character 1 of it is U\+DCFF"),
]


@pytest.mark.parametrize(("more", "told"), GIVEN)
def test_what_no_file_could_say_is_no_suite_of_python_either(more: dict[Any, Any], told: str) -> None:
    with pytest.raises(RequestError, match=f"^suite: {told}") as error:
        load_suite(SUITE | more)
    str(error.value).encode()
