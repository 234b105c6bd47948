"""Texts that differ in white space or case alone, and names that differ in invisible characters alone."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any


def folded(value: Any) -> Any:
    """A cell in which white space, case and the encoding of accents make no difference, to compare by.

    Args:
        value: A text, or lists and mappings with texts in them; anything else stays as it is.
    """
    if isinstance(value, str):
        return " ".join(unicodedata.normalize("NFC", value).casefold().split())
    if isinstance(value, Mapping):
        return {key: folded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [folded(one) for one in value]
    return value


def look_alike(names: Iterable[str]) -> tuple[str, str] | None:
    """The first two different names that look the same; None where there are none.

    White space and characters without a shape (zero-width ones, byte order marks) make no difference, case
    does. Names that are nothing else look like none at all and are left out.
    """
    return _look_alike(tuple(names))


@lru_cache(maxsize=256)  # the rows of a file have the same names over and over
def _look_alike(names: tuple[str, ...]) -> tuple[str, str] | None:
    seen: dict[str, str] = {}
    for name in names:
        bare = "".join(one for one in unicodedata.normalize("NFC", name) if not _invisible(one))
        if bare and (other := seen.setdefault(bare, name)) != name:
            return other, name
    return None


def _invisible(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) in {"Cc", "Cf"}
