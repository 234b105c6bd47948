"""How results are written: files that are whole or absent, plain data, and file names for any name."""

from __future__ import annotations

import hashlib
import math
import os
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")


def slug(name: str) -> str:
    """Turn any name into a file name, one-to-one.

    Lower-case names of letters, digits, `_` and `-` stay as they are. Every other name keeps its readable
    characters and gets `~` and ten hex digits of its SHA-256, so that `a/b` and `a_b`, or `A` and `a` on a
    file system that ignores case, never meet in one file.

    Args:
        name: Any string.

    Returns:
        A name of at most 75 characters without separators, that does not begin with a dot.
    """
    if _PLAIN.fullmatch(name):
        return name
    readable = _UNFIT.sub("_", name).strip(".")[:64]
    return f"{readable}~{hashlib.sha256(name.encode()).hexdigest()[:10]}"


def plain(value: Any) -> Any:
    """Reduce a value to what JSON can say, without loss where JSON has the type.

    Args:
        value: Mappings, sequences, NumPy or torch scalars, paths, dates, functions, … in any nesting.

    Returns:
        The same of dicts with string keys, lists, strings, numbers, booleans and None. NaN and infinities,
        which JSON lacks, become None; anything unknown becomes its `str`.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [
            plain(one) for one in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)
        ]
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if callable(value):
        return getattr(value, "__qualname__", type(value).__name__)
    return str(value)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader, or a kill at any moment, meets the old content or the new, never half.

    The content goes to a hidden file in the same folder, reaches the disk, and is renamed into place.

    Args:
        path: The file to make or replace; its folder is made where missing.
        content: Bytes, or text that is encoded as UTF-8 with line feeds.

    Raises:
        OSError: The folder cannot be written, or the disk is full; no file has been changed.
    """
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - one name to patch in tests of a full disk
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
