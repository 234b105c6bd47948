"""Haystacks: five sentences over and over, or essays from a folder of texts."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from archbench.errors import RequestError

NOISE = (
    "The river runs slow.",
    "The hills are far away.",
    "The evening wind is low.",
    "We wait here for a while.",
    "Then we walk on.",
)
"""The haystack `noise`."""

ESSAYS = Path(__file__).resolve().parent / "essays"
"""Texts that come with archbench, some thousands of words."""

_END = re.compile(r"(?<=[.!?])[\"'”’)]*\s+")


def essay_sentences(folder: Path) -> tuple[str, ...]:
    """Sentences of all texts of a folder, in the order of the files' names, line breaks as spaces.

    Raises:
        RequestError: There is no text there.
    """
    sentences: list[str] = []
    for path in _texts(folder):
        text = " ".join(_read(path).split())
        starts = [0, *(found.end() for found in _END.finditer(text))]
        parts = (text[one:other].strip() for one, other in zip(starts, [*starts[1:], len(text)], strict=True))
        sentences += [part for part in parts if part]
    if not sentences:
        raise RequestError(
            f"{folder}: `essays` must be a folder of texts (*.txt, UTF-8), and there is none in it."
        )
    return tuple(sentences)


def essays_digest(folder: Path) -> str:
    """Hex SHA-256 of the texts of a folder, in their order."""
    return hashlib.sha256("\0".join(_read(path) for path in _texts(folder)).encode()).hexdigest()


def _texts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.txt"), key=lambda path: path.name)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(
            f"{path}: an essay must be text in UTF-8, and this cannot be read ({error})."
        ) from error
