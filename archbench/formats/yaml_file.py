"""YAML files that remember which line each value came from.

Every YAML that users write (suites, families) is read here, safely (no object construction), so that an
error can say file and line. Values given on the command line with `--set` are laid over the file's and
remember that they came from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from archbench.errors import RequestError, unwritable
from archbench.formats.yaml_core import (
    DEEPEST,
    MERGE,
    MOST_BYTES,
    MOST_DIGITS,
    CoreLoader,
    check_bounds,
    key_of,
)

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Origin:
    """Where a value was written.

    Attributes:
        source: File as the user named it, or the `--set` option as it was given.
        line: Line in the file, from 1; None where there is no file.
    """

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}, line {self.line}"


@dataclass
class Document:
    """A parsed YAML file.

    Attributes:
        value: Plain data: mappings, lists and scalars.
        origins: Where each value was written, by its path of keys and indices; the root is `()`.
        file: The file; None for data that came from none.
        texts: Of scalars given with `--set`, the text as it was given: what a field that wants text takes.
    """

    value: Any
    origins: dict[KeyPath, Origin] = field(default_factory=dict)
    file: Path | None = None
    texts: dict[KeyPath, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path | None:
        """Folder of the file, which relative paths in it may start from."""
        return None if self.file is None else self.file.resolve().parent

    def where(self, path: KeyPath) -> Origin:
        """Where the value at `path` was written, or else the nearest value around it."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.origins:
                return self.origins[path[:end]]
        return Origin("(input)")

    def set(self, path: KeyPath, value: Any, origin: Origin, text: str | None = None) -> None:
        """Put `value` at `path`, making the mappings on the way, and remember where it came from.

        Args:
            path: Where to put it.
            value: What to put there.
            origin: Where it came from.
            text: The text that the value was read from.

        Raises:
            RequestError: If something on the way is there and is not a mapping.
        """
        node = self.value
        for depth, key in enumerate(path[:-1], start=1):
            if node.get(key) is None:
                node[key] = {}
                self.origins[path[:depth]] = origin
            node = node[key]
            if not isinstance(node, dict):
                at = dotted(path[:depth])
                raise RequestError(
                    f"{origin}: '{at}' is {found(node)}, not a mapping, so it has no keys to set."
                )
        for known in [p for p in self.origins if p[: len(path)] == path]:
            del self.origins[known]
            self.texts.pop(known, None)
        if text is not None:
            self.texts[path] = text
        node[path[-1]] = value
        self.origins[path] = origin


def dotted(path: KeyPath) -> str:
    """Key path as users write it: `tasks.mmlu.shots[1]`."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def found(value: Any) -> str:
    """Name a value in an error message, shortly."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple | set):
        return f"a list of {len(value)}" if len(value) > 6 else f"the list {list(value)!r}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def read_yaml(path: Path) -> Document:
    """Read one YAML file.

    Raises:
        RequestError: If the file cannot be read, is not YAML, holds a key twice or is not a mapping.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise RequestError(
                f"{path}: the file has more than {MOST_BYTES:,} bytes, so it holds no settings."
            )
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise RequestError(f"{path}: not a text file in UTF-8.") from None
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({error.strerror}).") from None
    return parse_yaml(text, source=str(path), file=path)


def parse_yaml(text: str, *, source: str, file: Path | None = None) -> Document:
    """Parse the text of a YAML file whose top level is a mapping; see `read_yaml` for what it raises."""
    try:
        check_bounds(text)
        loader = CoreLoader(text)
        node = loader.get_single_node()
        document = Document(value={}, origins={(): Origin(source, 1)}, file=file)
        if node is None:
            raise RequestError(f"{source}: the file is empty.")
        _record(node, (), document.origins, source, ())
        document.value = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        # An unclosed bracket is noticed at the end of the file, but it is its beginning that helps.
        at_end = "<stream end>" in (error.problem or "")
        mark = (error.context_mark if at_end else error.problem_mark) or error.problem_mark
        at = Origin(source, mark.line + 1 if mark else None)
        problems = ", ".join(part for part in (error.context, error.problem) if part)
        raise RequestError(f"{at}: this is not valid YAML: {problems}.") from None
    except (yaml.YAMLError, ValueError, KeyError) as error:
        raise RequestError(f"{source}: this is not valid YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(document.value, dict):
        raise RequestError(f"{source}: expected keys and values, found {found(document.value)}.")
    return document


def given(value: Mapping[str, Any], *, source: str) -> Document:
    """A mapping given from Python as if it had been read from a file; changes do not reach the caller's.

    Args:
        value: Mappings, lists and scalars.
        source: What to call it in messages.

    Raises:
        RequestError: It is nested too deeply, or holds itself, or what no file can say: a key that is no
            text, text that cannot be written, a number of too many digits.
    """
    return Document(value=_copy(value, (), source), origins={(): Origin(source)})


def _copy(value: Any, path: KeyPath, source: str) -> Any:
    if len(path) > DEEPEST:
        raise RequestError(f"The {source} given is nested more than {DEEPEST} levels deep, or holds itself.")
    if isinstance(value, Mapping):
        return {_key(key, path, source): _copy(one, (*path, str(key)), source) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(one, (*path, at), source) for at, one in enumerate(value)]
    if isinstance(value, Path):
        return _copy(str(value), path, source)
    if isinstance(value, str) and (why := unwritable(value)):
        raise RequestError(f"{source}: '{dotted(path)}' is {found(value)}: {why}.")
    if isinstance(value, int) and abs(value) >= 10**MOST_DIGITS:
        raise RequestError(f"{source}: '{dotted(path)}' is a number of more than {MOST_DIGITS} digits.")
    return value


def _key(key: object, path: KeyPath, source: str) -> str:
    """A key of a mapping given from Python; two that differ may be the same text (1 and "1")."""
    inside = f" of '{dotted(path)}'" if path else ""
    if isinstance(key, int) and abs(key) >= 10**MOST_DIGITS:
        raise RequestError(
            f"{source}: a key{inside} is a number of more than {MOST_DIGITS} digits, not text."
        )
    if not isinstance(key, str):
        raise RequestError(
            f"{source}: the key {found(key)}{inside} is {type(key).__name__}, not text; write {str(key)!r}."
        )
    if why := unwritable(key):
        raise RequestError(f"{source}: the key {found(key)}{inside}: {why}.")
    return key


def _record(
    node: yaml.Node, path: KeyPath, origins: dict[KeyPath, Origin], source: str, above: tuple[int, ...]
) -> None:
    """Remember the line of every value under `node`, and refuse double keys and circles."""
    if id(node) in above:
        at = Origin(source, node.start_mark.line + 1)
        raise RequestError(f"{at}: the alias refers to something that it is part of.")
    above = (*above, id(node))
    origins.setdefault(path, Origin(source, node.start_mark.line + 1))
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            _record(child, (*path, index), origins, source, above)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, Origin] = {}
        for key_node, child in node.value:
            at = Origin(source, key_node.start_mark.line + 1)
            if key_node.tag == MERGE:
                _record(child, path, origins, source, above)
                continue
            try:
                key = key_of(key_node)
            except ValueError as error:
                raise RequestError(f"{at}: {error}.") from None
            if key in seen:
                raise RequestError(f"{at}: '{dotted((*path, key))}' is there twice (first in {seen[key]}).")
            # The key's line, not the value's: a block value begins further down.
            seen[key] = origins[(*path, key)] = at
            _record(child, (*path, key), origins, source, above)
