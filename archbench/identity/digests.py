"""The formula of every identity: SHA-256 over plain data in canonical JSON, or over bytes as they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any


def digest(value: Any, *, spaces: bool = False, default: Callable[[Any], Any] | None = None) -> str:
    """Digest of plain data: canonical JSON with sorted keys, in ASCII.

    Args:
        value: Lists, dictionaries, texts, numbers, true, false, null.
        spaces: Whether a space stands behind each comma and colon, as in digests that are older than this
            formula and still have to be met: of recipes (they are in the headers of trained weights) and of
            some task entries (in the keys of cells).
        default: Makes plain data of anything else; without it that is a TypeError.

    Returns:
        64 hex digits.
    """
    separators = None if spaces else (",", ":")
    return content_digest(json.dumps(value, sort_keys=True, separators=separators, default=default))


def content_digest(content: str | bytes) -> str:
    """SHA-256 of bytes, or of a text in UTF-8, as 64 hex digits."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def contents(folder: Path, files: Iterable[Path]) -> list[list[str]]:
    """Name (relative to the folder) and digest of each file: what `digest` makes one identity of."""
    return [[file.relative_to(folder).as_posix(), file_digest(file)] for file in files]


def file_digest(file: Path) -> str:
    """SHA-256 of a file, as 64 hex digits; read in pieces, and once per process as long as it stays as it is.

    Raises:
        OSError: It cannot be read.
    """
    stat = file.stat()
    return _file_digest(file, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _file_digest(path: Path, size: int, mtime: int) -> str:
    """Size and time are there so that a file changed within the process is read again."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
