"""Folders of a user's own task YAMLs in lm-eval's format: whether they can be used, and what is in them."""

from __future__ import annotations

import re
from pathlib import Path

from archbench.errors import RequestError
from archbench.identity import contents, digest
from archbench.paths import nearest_folder

_MOST_BYTES = 2**30
"""Bytes of a folder that are digested for a cell's key; larger data belong outside of it."""


def check_included(folder: str) -> None:
    """Make sure that a folder holds task YAMLs.

    Raises:
        RequestError: It does not exist, holds no YAML, or is too large to be digested.
    """
    here = Path(folder)
    if not here.is_dir():
        raise RequestError(f"include_path: there is no folder {folder}. {nearest_folder(folder)}")
    if not any(here.rglob("*.yaml")):
        raise RequestError(
            f"include_path: {folder} holds no *.yaml. A folder of tasks in lm-eval's format was expected, "
            "one YAML file a task."
        )
    _check_names(here)
    size = sum(file.stat().st_size for file in _files(here))
    if size > _MOST_BYTES:
        raise RequestError(
            f"include_path: {folder} holds {size / 2**30:.1f} GiB. Everything in it is part of a cell's key, "
            f"so at most {_MOST_BYTES / 2**30:.0f} GiB can be there: name the folder of the YAMLs alone."
        )


def _check_names(here: Path) -> None:
    """Refuse two YAMLs that give one name: lm-eval would take the first.

    Raises:
        RequestError: There are two.
    """
    seen: dict[str, Path] = {}
    for file in sorted(here.rglob("*.yaml")):
        text = file.read_text(encoding="utf-8", errors="replace")
        for name in re.findall(r"^(?:task|group):[ \t]*['\"]?([^\s'\"#\[]+)", text, flags=re.MULTILINE):
            if name in seen and seen[name] != file:
                raise RequestError(
                    f"include_path: {file} and {seen[name]} both name '{name}', so that it is not clear "
                    "which is meant. Rename one of them."
                )
            seen[name] = file


def included_digest(folder: str) -> str:
    """Digest of every file in a folder of tasks: YAMLs, code that they call, local data."""
    here = Path(folder)
    return digest(contents(here, _files(here)))


def _files(folder: Path) -> list[Path]:
    """Files that make tasks; what Python and editors leave behind does not."""
    found = (
        one
        for one in folder.rglob("*")
        if one.is_file()
        and not any(part.startswith(".") or part == "__pycache__" for part in one.relative_to(folder).parts)
    )
    return sorted(found)
