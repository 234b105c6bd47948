"""RULER's haystacks: five sentences over and over, or essays from a folder of texts or the hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from archbench.errors import RequestError
from archbench.formats.text import read_text
from archbench.identity import content_digest
from archbench.paths import expanded

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

_HUB = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")
_END = re.compile(r"(?<=[.!?])[\"'”’)]*\s+")


def essay_sentences(essays: str | Path) -> tuple[str, ...]:
    """Sentences of all essays, in their order, line breaks as spaces.

    Args:
        essays: A folder of texts (`*.txt`, in the order of their names), or else a data set of the hub:
            `owner/name` or `owner/name:configuration`, whose split `train` has a column `text`.

    Raises:
        RequestError: There is no text there.
    """
    sentences: list[str] = []
    for essay in _texts(essays):
        text = " ".join(essay.split())
        starts = [0, *(found.end() for found in _END.finditer(text))]
        parts = (text[one:other].strip() for one, other in zip(starts, [*starts[1:], len(text)], strict=True))
        sentences += [part for part in parts if part]
    if not sentences:
        raise RequestError(f"{essays}: `essays` must have text, and there is nothing but space in it.")
    return tuple(sentences)


def essays_digest(essays: str | Path) -> str:
    """Hex SHA-256 of the texts, in their order; `essays` is as for `essay_sentences`."""
    return content_digest("\0".join(_texts(essays)))


def _texts(essays: str | Path) -> Sequence[str]:
    folder = expanded(essays)
    files = sorted(folder.glob("*.txt"), key=lambda path: path.name)
    if files:
        return [_read(path) for path in files]
    if folder.exists() or not _HUB.fullmatch(str(essays)):
        raise RequestError(
            f"{essays}: `essays` must be a folder of texts (*.txt, UTF-8), and there is none in it; or a "
            "data set of the hub with a column `text`, owner/name or owner/name:configuration."
        )
    return _hub_texts(str(essays))


@lru_cache(maxsize=2)
def _hub_texts(essays: str) -> tuple[str, ...]:
    import datasets

    name, _, configuration = essays.partition(":")
    try:
        rows = datasets.load_dataset(name, configuration or None, split="train")
    except Exception as error:  # network, login, name, configuration: many types, one remedy
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise RequestError(
            f"`essays: {essays}`: there is no such folder, and reading the split `train` of the hub data set "
            f"failed ({type(error).__name__}: {reason}). Without a network, name a folder of texts (*.txt)."
        ) from error
    if "text" not in rows.column_names:
        raise RequestError(
            f"`essays: {essays}`: the hub data set has no column `text`; it has "
            f"{', '.join(rows.column_names)}. Save its texts as files (*.txt) and name their folder."
        )
    return tuple(map(str, rows["text"]))


def _read(path: Path) -> str:
    text = read_text(path)
    if not text.strip():
        raise RequestError(f"{path}: an essay must have text, and there is none in it. Delete it or fill it.")
    return text.replace("\r\n", "\n").replace("\r", "\n")
