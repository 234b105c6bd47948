"""Where archbench finds its own files: in a checkout, or inside an installed wheel."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from archbench.errors import RequestError, amount, unwritable, writable

Shared = Literal["tasks", "suites", "published"]

_LONGEST_PART = 255
_LONGEST = 3000  # bytes; systems take 4,096, and a relative path gets the current folder before it
_PACKAGE = Path(__file__).resolve().parent
_IN_CHECKOUT: dict[Shared, str] = {
    "tasks": "tasks",
    "suites": "suites",
    "published": "results/published",
}


def shared(kind: Shared) -> Path:
    """Folder of task YAMLs, suites or published numbers that came with archbench.

    A wheel carries the checkout's top-level folders under `archbench/_share` (pyproject.toml,
    force-include); a checkout, or an editable installation of one, has them beside the package.
    """
    packed = _PACKAGE / "_share" / kind
    return packed if packed.is_dir() else _PACKAGE.parent / _IN_CHECKOUT[kind]


def catalog() -> Path:
    """Folder of the model families that came with archbench, one YAML file each."""
    return _PACKAGE / "registry" / "catalog"


def home() -> Path | None:
    """The user's own folder (`ARCHBENCH_HOME`), holding `families/` and `suites/`; None where unset."""
    value = os.environ.get("ARCHBENCH_HOME")
    return expanded(value) if value else None


def expanded(name: str | Path) -> Path:
    """A path as users write it, with their home folder in place of `~`.

    Args:
        name: The path; `~` of an unknown user is left as it is.

    Raises:
        RequestError: As for `checked`.
    """
    path = os.path.expanduser(name)  # noqa: PTH111 - Path.expanduser raises where there is no such user
    return checked(Path(path))


def checked(path: Path) -> Path:
    """A path, made sure that it can be that of a file and be named in what archbench writes.

    Raises:
        RequestError: It or a part of it is too long, holds a NUL character, or is not UTF-8.
    """
    if len(str(path).encode("utf-8", "surrogatepass")) > _LONGEST:
        raise RequestError(
            f"'{writable(str(path)[:37])}...' is no path: it has {len(str(path)):,} characters; expected at "
            f"most {_LONGEST:,} bytes."
        )
    for part in path.parts:
        shown = part if len(part) <= 40 else f"{part[:37]}..."
        if why := unwritable(part):
            raise RequestError(
                f"{writable(str(path))} cannot be used: in the name {shown!r}, {why}. Rename it, or name "
                "another."
            )
        if len(part.encode()) > _LONGEST_PART or "\0" in part:
            raise RequestError(
                f"{shown!r} is no file name: it has {amount(len(part), 'character')}, or a NUL among them."
            )
    return path


def looks_local(name: str) -> bool:
    """Whether a name can only be a folder: a hub id is `name` or `owner/name`, without a path's marks."""
    return name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1 or name.endswith("/")


def nearest_folder(missing: str | Path) -> str:
    """Say which folder is nearest to one that does not exist, for the end of an error message.

    Args:
        missing: The folder asked for; a relative one starts from the current directory.

    Returns:
        One sentence: the folder of nearly that name, or else what the last one on the way holds.
    """
    asked = expanded(missing)
    here = Path(asked.anchor) if asked.is_absolute() else Path()
    for part in asked.parts[1 if asked.is_absolute() else 0 :]:
        if not (here / part).is_dir():
            inside = sorted(path.name for path in here.glob("*") if path.is_dir())
            near = get_close_matches(part, inside, n=1)
            if not near:
                listed = ", ".join(inside[:8]) or "no folders"
                return f"The nearest that exists is {here.resolve()}, which holds {listed}."
            part = near[0]
        here /= part
    return f"Did you mean {here if asked.is_absolute() else './' + here.as_posix()}?"
