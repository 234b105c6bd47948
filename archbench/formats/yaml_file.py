"""YAML files that remember which line each value came from.

Every YAML that users write (suites, families) is read here, safely (no object construction), so that an
error can say file and line. Values given on the command line with `--set` are laid over the file's and
remember that they came from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from archbench.errors import RequestError
from archbench.formats.yaml_core import MOST_BYTES, CoreLoader, check_bounds

KeyPath = tuple[str | int, ...]

_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"


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
        told = ", ".join(part for part in (error.context, error.problem) if part)
        raise RequestError(f"{at}: this is not valid YAML: {told}.") from None
    except (yaml.YAMLError, ValueError, KeyError) as error:
        raise RequestError(f"{source}: this is not valid YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(document.value, dict):
        raise RequestError(f"{source}: expected keys and values, found {found(document.value)}.")
    return document


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
            if key_node.tag == _MERGE:
                _record(child, path, origins, source, above)
                continue
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "of several parts"
            if key_node.tag != _TEXT:
                read_as = key_node.tag.rsplit(":", 1)[-1]
                raise RequestError(f'{at}: the key {key} is read as {read_as}, not as text; write "{key}".')
            if key in seen:
                raise RequestError(f"{at}: '{dotted((*path, key))}' is there twice (first in {seen[key]}).")
            # The key's line, not the value's: a block value begins further down.
            seen[key] = origins[(*path, key)] = at
            _record(child, (*path, key), origins, source, above)
