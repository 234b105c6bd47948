"""Where the relative paths of a suite lead."""

from __future__ import annotations

from pathlib import Path

from archbench.paths import checked, expanded


def find_in(name: str, folder: Path | None) -> Path | None:
    """A path relative to the current directory or else to the suite's folder, whichever exists."""
    asked = expanded(name)
    for base in (Path.cwd(), *([folder] if folder else [])):
        if (base / asked).exists():
            return checked((base / asked).resolve())
    return None
