"""The installed version of archbench."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """Version of the installed distribution; `0+checkout` for a checkout that was never installed."""
    try:
        return version("archbench")
    except PackageNotFoundError:
        return "0+checkout"
