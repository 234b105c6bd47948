"""JSON files that strangers may have written (configurations, records, headers), read within bounds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from archbench.errors import unwritable

MOST_BYTES = 64 * 2**20
_DEEPEST = 64
_LONGEST_SHOWN = 60


def read_json(path: Path) -> Any:
    """Read a JSON file within bounds.

    Raises:
        OSError: It cannot be read.
        ValueError: It is too large, not UTF-8, not JSON, nested too deeply, or a key comes twice in one
            object. The message says which, for `f"{path}: {error}"`.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"it has {size:,} bytes, and a file of this kind has at most {MOST_BYTES:,}")
    return parse_json(path.read_bytes())


def parse_json(content: bytes | str) -> Any:
    """The value of JSON text; see `read_json` for what it raises."""
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8") from None
    try:
        value = json.loads(text, object_pairs_hook=_each_key_once, parse_constant=_no_number)
    except RecursionError:
        raise ValueError(f"it is nested more than {_DEEPEST} levels deep") from None
    _check_depth(value)
    return value


def shown(value: Any) -> str:
    """A value as a message gives it: its beginning, where it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def check_text(value: Any) -> None:
    """Make sure that all text in a value read from JSON can be written again.

    Raises:
        ValueError: An escape stands for half of a character; the message says which.
    """
    if isinstance(value, str):
        if why := unwritable(value):
            raise ValueError(f"it holds the text {value!r:.60}: {why}")
    elif isinstance(value, dict | list):
        for one in [*value, *value.values()] if isinstance(value, dict) else value:
            check_text(one)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        again = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {again!r} comes twice in one object")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"it holds {text}, which is no number in JSON")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise ValueError(f"it is nested more than {_DEEPEST} levels deep")
