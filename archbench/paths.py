"""Where archbench finds its own files: in a checkout, or inside an installed wheel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

Shared = Literal["tasks", "suites", "published"]

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
    return Path(value).expanduser() if value else None
