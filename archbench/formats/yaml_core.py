"""The core schema of YAML 1.2, within bounds.

PyYAML reads YAML 1.1, in which `010` is 8, `1:30` is 90 and `no` is false. Here a plain scalar is what
YAML 1.2.2 (section 10.3, the core schema) says, with one addition: digits of a whole number may be grouped,
as in `6_000_000`.

Aliases, deep nesting and large files cost memory and time out of proportion, so all three are bounded before
anything is built.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import cast

import yaml

from archbench.errors import unwritable, writable

MOST_BYTES = 2**20
"""Bytes that a file may have."""
DEEPEST = 40
"""Levels that a document may have."""
_MOST_VALUES = 100_000
MOST_DIGITS = 100
"""Digits that a number may have."""

# Ends of lines in YAML 1.1, and thereby in PyYAML, but not in YAML 1.2.
_ESCAPES = {"\x85": '"\\N"', "\u2028": '"\\L"', "\u2029": '"\\P"'}
_BREAKS = re.compile(f"[{''.join(_ESCAPES)}]")

_NULL = r"~|null|Null|NULL|"
_BOOL = r"true|True|TRUE|false|False|FALSE"
_INT = r"[-+]?[0-9]+(_[0-9]+)*|0o[0-7]+|0x[0-9a-fA-F]+"
_FLOAT = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
_CORE = ("null", "bool", "int", "float", "str", "seq", "map", "merge")
_PREFIX = "tag:yaml.org,2002:"
TEXT = _PREFIX + "str"
MERGE = _PREFIX + "merge"


class CoreLoader(yaml.SafeLoader):
    """Reads the core schema of YAML 1.2."""


CoreLoader.yaml_implicit_resolvers = {}
for _name, _pattern in (("null", _NULL), ("bool", _BOOL), ("int", _INT), ("float", _FLOAT)):
    CoreLoader.add_implicit_resolver(_PREFIX + _name, re.compile(rf"(?:{_pattern})\Z"), None)
CoreLoader.add_implicit_resolver(_PREFIX + "merge", re.compile(r"<<\Z"), ["<"])


def _int(loader: CoreLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).replace("_", "")
    if len(text) > MOST_DIGITS:
        raise yaml.constructor.ConstructorError(
            None, None, f"a number of {len(text)} digits; at most {MOST_DIGITS} are read", node.start_mark
        )
    base = 8 if text.startswith("0o") else 16 if text.startswith("0x") else 10
    return int(text, base)


def _float(loader: CoreLoader, node: yaml.ScalarNode) -> float:
    text = loader.construct_scalar(node).lower()
    if text.endswith(".inf"):
        return -math.inf if text.startswith("-") else math.inf
    return math.nan if text == ".nan" else float(text)


CoreLoader.add_constructor(_PREFIX + "int", _int)
CoreLoader.add_constructor(_PREFIX + "float", _float)


def check_bounds(text: str) -> None:
    """Refuse YAML that would cost memory or time out of proportion.

    Args:
        text: The whole document.

    Raises:
        yaml.MarkedYAMLError: It is too large, nested too deeply, holds too many values once aliases are
            written out, or text that cannot be written again, or tags that settings have no use for; or
            it is no YAML.
    """
    if len(text) > MOST_BYTES:
        raise yaml.MarkedYAMLError(problem=f"the file has more than {MOST_BYTES:,} characters")
    if found := _BREAKS.search(text):
        line = 1 + text.count("\n", 0, found.start())
        raise yaml.MarkedYAMLError(
            problem=f"line {line} holds U+{ord(found[0]):04X}, which ends a line in some versions of YAML "
            f"and not in others; in quotes, write {_ESCAPES[found[0]]}"
        )
    depth = 0
    # Values up to and within each open collection, and of every anchor.
    open_anchors: list[tuple[str | None, int]] = []
    sizes: dict[str, int] = {}
    values = 0
    for event in yaml.parse(text, Loader=CoreLoader):
        mark = cast("yaml.error.Mark", event.start_mark)
        if isinstance(event, yaml.ScalarEvent) and (why := unwritable(event.value)):
            raise yaml.MarkedYAMLError(
                problem=f"'{writable(event.value):.80}': {why}; write the whole character", problem_mark=mark
            )
        if isinstance(event, yaml.NodeEvent):
            _check_tag(event)
            values += sizes.get(event.anchor or "", 1) if isinstance(event, yaml.AliasEvent) else 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            open_anchors.append((event.anchor, values))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            anchor, before = open_anchors.pop()
            if anchor is not None:
                sizes[anchor] = values - before + 1
        if depth > DEEPEST:
            raise yaml.MarkedYAMLError(
                problem=f"it is nested more than {DEEPEST} levels deep", problem_mark=mark
            )
        if values > _MOST_VALUES:
            raise yaml.MarkedYAMLError(
                problem=f"it holds more than {_MOST_VALUES:,} values, aliases written out", problem_mark=mark
            )


def _check_tag(event: yaml.NodeEvent) -> None:
    tag = getattr(event, "tag", None)
    if tag not in (None, "!") and tag not in [_PREFIX + name for name in _CORE]:
        raise yaml.MarkedYAMLError(
            problem=f"the tag {tag} is not supported; write plain values, lists and mappings",
            problem_mark=cast("yaml.error.Mark", event.start_mark),
        )


def parse_value(text: str) -> object:
    """Value of a `--set KEY=VALUE`: a list or mapping in brackets as YAML, anything else as it stands.

    What is in no brackets arrives unchanged, whatever is in it, unless the whole of it is `null`, `true`,
    `false` or a number as it would be written again.

    Args:
        text: What follows the equals sign.

    Returns:
        Plain data.

    Raises:
        ValueError: It is empty, in quotes, or in brackets and not YAML; or a part of it would be lost (a
            comment, one of two keys that are the same). The message says why.
    """
    if not text:
        raise ValueError("there is no value; write null to unset a key")
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        raise ValueError("the value is in quotes, and values are taken as they stand; leave the quotes out")
    if text[0] not in "[{":
        return scalar(text)
    try:
        if "\n" in text or "\r" in text:
            raise ValueError("a list or mapping is written on one line")
        check_bounds(text)
        loader = CoreLoader(text)
        node = cast("yaml.Node", loader.get_single_node())
        _check_nodes(node, ())
        if node.end_mark.index != len(text):
            raise ValueError(f"something follows the closing bracket: {text[node.end_mark.index :]!r}")
        _check_comments(text, node)
        return loader.construct_document(node)
    except (yaml.YAMLError, KeyError) as error:
        raise ValueError(f"it is not valid YAML: {' '.join(str(error).split())}") from None


def scalar(text: str) -> object:
    """A text, or the number, truth value or null that the whole of it is."""
    if text == "null":
        return None
    if text in ("true", "false"):
        return text == "true"
    # Only as it would be written again: `010` may be a name, and a field that wants a number reads it.
    if len(text) <= MOST_DIGITS and re.fullmatch(f"{_INT}|{_FLOAT}", text):
        number = yaml.load(text, CoreLoader)
        return number if str(number) == text else text
    return text


def _check_nodes(node: yaml.Node, above: tuple[int, ...]) -> None:
    """Refuse a key that comes twice, of which one would be lost, and an alias to what it is part of.

    So would one of two keys that are no text, such as 1 and 0x1.
    """
    if id(node) in above:
        raise ValueError("an alias refers to something that it is part of")
    if isinstance(node, yaml.MappingNode):
        keys = [key_of(key) for key, _ in node.value]
        if again := [key for key, times in Counter(keys).items() if times > 1]:
            raise ValueError(f"the key {again[0]!r} is there twice")
    if not isinstance(node, yaml.ScalarNode):
        for one in node.value:
            for part in one if isinstance(one, tuple) else (one,):
                _check_nodes(part, (*above, id(node)))


def key_of(node: yaml.Node) -> str:
    """The text that a key of a mapping is; of a merge its sign.

    Raises:
        ValueError: It is read as anything but text.
    """
    key = str(node.value) if isinstance(node, yaml.ScalarNode) else "of several parts"
    if node.tag not in (TEXT, MERGE):
        read_as = node.tag.removeprefix(_PREFIX)
        hint = f'; write "{key}"' if isinstance(node, yaml.ScalarNode) else ""
        raise ValueError(f"the key {key} is read as {read_as}, not as text{hint}")
    return key


def _check_comments(text: str, node: yaml.Node) -> None:
    """Refuse a comment, which would be dropped without a word."""
    inside = [False] * len(text)
    for start, end in _scalars(node):
        inside[start:end] = [True] * (end - start)
    for at, letter in enumerate(text):
        if letter == "#" and not inside[at]:
            raise ValueError(
                f"it holds a comment, which would be lost: {text[at:]!r}; put the text in quotes"
            )


def _scalars(node: yaml.Node) -> Iterator[tuple[int, int]]:
    if isinstance(node, yaml.ScalarNode):
        yield node.start_mark.index, node.end_mark.index
    else:
        for one in node.value:
            for part in one if isinstance(one, tuple) else (one,):
                yield from _scalars(part)
