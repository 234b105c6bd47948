"""Suites as files: by name or path, with `--set` overrides laid over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archbench import paths
from archbench.errors import RequestError, did_you_mean
from archbench.formats.yaml_file import given, read_yaml
from archbench.paths import expanded
from archbench.schema import validate
from archbench.suite.overrides import name_sources, override
from archbench.suite.schema import Suite


def load_suite(suite: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Suite:
    """Read a suite and lay `--set` overrides over it.

    Args:
        suite: A file, the name of a shipped suite or of one in `$ARCHBENCH_HOME/suites`, or the suite's
            content as a mapping.
        overrides: `KEY=VALUE` each: the key dotted, the value as it stands. A key that begins with the name
            of a task entry is short for `tasks.<entry>`: `mmlu.shots=[0]`.

    Raises:
        RequestError: If there is no such suite, or it is wrong; the message says where.
    """
    if not isinstance(suite, str | Path | Mapping):
        raise RequestError(
            f"A {type(suite).__name__} was given as suite; a file, a name or a mapping was expected."
        )
    if isinstance(suite, Mapping):
        document = given(suite, source="suite")
    else:
        document = read_yaml(find_suite(suite))
    for text in overrides:
        override(document, text)
    name_sources(document)
    return validate(Suite, document)


def suites() -> dict[str, Path]:
    """Suites that can be run by name: shipped ones, and the user's own, which come first."""
    home = paths.home()
    folders = [paths.shared("suites"), *([home / "suites"] if home else [])]
    return {file.stem: file for folder in folders for file in sorted(folder.glob("*.yaml"))}


def find_suite(suite: str | Path) -> Path:
    """File of a suite given as a path or a name; `suites/quick.yaml` means the shipped one where absent.

    Raises:
        RequestError: If there is none; names the nearest.
    """
    path = expanded(suite)
    if path.is_file():
        return path
    known = suites()
    name = path.name.removesuffix(".yaml")  # not the stem: names may have dots
    if path.parent in (Path(), Path("suites")) and name in known:
        return known[name]
    raise RequestError(f"There is no suite '{suite}'. {did_you_mean(name, known, label='Suites')}")
