"""Finding families: those that came with archbench, and the user's own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from archbench import paths
from archbench.errors import RequestError, did_you_mean
from archbench.formats.yaml_file import read_yaml
from archbench.registry.family import Family
from archbench.schema import validate

log = logging.getLogger(__name__)


def families(extra_dirs: Sequence[Path] = ()) -> dict[str, Family]:
    """Every family archbench can see, by name.

    Looked for in the shipped catalog, then `$ARCHBENCH_HOME/families`, then `extra_dirs` (`--families DIR`).
    Where a name comes again, the later one counts, and a warning says so.

    Raises:
        RequestError: If a folder of `extra_dirs` does not exist, or a family file in one of them is wrong.
            A wrong file in `$ARCHBENCH_HOME/families` is left out with a warning.
    """
    seen: dict[str, tuple[Family, Path]] = {}
    home = paths.home()
    folders = [paths.catalog(), *([home / "families"] if home else []), *extra_dirs]
    for folder in folders:
        if not folder.is_dir():
            if folder in extra_dirs:
                hint = paths.nearest_folder(folder)
                raise RequestError(f"--families {folder}: there is no such folder. {hint}")
            continue
        for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
            try:
                family = validate(Family, read_yaml(file))
            except RequestError as error:
                # One draft in the user's own folder must not keep archbench from everything else.
                if folder in extra_dirs or folder == paths.catalog():
                    raise
                log.warning("left out: %s", error)
                continue
            if family.name in seen:
                log.warning(
                    "family '%s' of %s replaces the one of %s", family.name, file, seen[family.name][1]
                )
            seen[family.name] = (family, file)
    return {name: family for name, (family, _) in sorted(seen.items())}


def find_family(name: str, extra_dirs: Sequence[Path] = ()) -> Family:
    """The family of that name.

    Raises:
        RequestError: If there is none; names the nearest.
    """
    known = families(extra_dirs)
    if name not in known:
        raise RequestError(f"There is no family '{name}'. {did_you_mean(name, known, label='Families')}")
    return known[name]
