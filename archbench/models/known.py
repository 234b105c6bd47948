"""Which model types there are: transformers' own, archbench's own, and those that packages register.

A package registers a class with transformers' Auto classes when it is imported. Which packages are imported
is the user's choice alone: those that a family file or suite names (`import_packages`), and those installed
with an entry point in the group `archbench.models`. Nothing from a model folder or a hub is ever imported.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import metadata
from typing import Any

from archbench.errors import RequestError, did_you_mean

log = logging.getLogger(__name__)

ENTRY_POINTS = "archbench.models"
"""Group of the entry points whose modules register models."""

_ZOO = "archbench.models.zoo"
# Packages that are installed under another name than they are imported by.
_DISTRIBUTIONS = {"fla": "flash-linear-attention"}
_imported: dict[str, str] = {}


def check_known(model_type: object, where: str, *, note: str = "") -> None:
    """Make sure that a causal language model of some type can be built or loaded.

    Args:
        model_type: The type, as configurations name it.
        where: What names it, for the message.
        note: A sentence for the message, after what is missing.

    Raises:
        RequestError: There is none; the nearest is named.
    """
    name = str(model_type)
    if name in _own():
        return
    failures = _register()
    if name in (known := known_types()):
        return
    failed = "".join(f" {failure}" for failure in failures)
    raise RequestError(
        f"{where}: transformers has no causal language model of model_type '{name}'."
        f"{note and ' ' + note} {did_you_mean(name, known, label='Among those it has')} "
        "If a package registers this one with transformers' Auto classes, name the package in the "
        f"family file or suite: imports: [PACKAGE].{failed}"
    )


def known_types() -> set[str]:
    """Every model type that a causal language model can be built of, here and now."""
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    _register()
    # Asking transformers' own classes for their type would import them all.
    registered = {config.model_type for config in MODEL_FOR_CAUSAL_LM_MAPPING._extra_content}
    return set(_own()) | {one for one in registered if one in CONFIG_MAPPING}


def import_packages(names: Sequence[str], where: str) -> None:
    """Import packages that register models.

    Args:
        names: As `import` takes them, such as `fla` or `my_lab.models`.
        where: File, line and key that name them, for messages.

    Raises:
        RequestError: One is no name of a package, or cannot be imported.
    """
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise RequestError(
                f"{where}: '{name}' is not a package's name as Python imports it. Expected one such as fla "
                "or my_lab.models, not a file or folder. Install the package, or put the folder that holds "
                "it on PYTHONPATH."
            )
        # Before any package: a type means the same whatever is imported, and in whichever order.
        _register_own()
        try:
            with _earlier_classes_kept(name):
                module = importlib.import_module(name)
        # Whatever a package does when it is imported, its user should read which one it was.
        except (Exception, SystemExit) as error:
            raise RequestError(f"{where}: {_failure(name, error)}") from error
        _imported[name] = str(getattr(module, "__version__", "") or _version(name))


def imported_packages() -> dict[str, str]:
    """Packages that were imported for their models, with their versions (`unknown` where none is stated)."""
    return dict(_imported)


@cache
def _own() -> frozenset[str]:
    """Transformers' own types."""
    # Imported here: it takes seconds.
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return frozenset(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


@cache
def _register() -> tuple[str, ...]:
    """Register archbench's own architectures and those of installed entry points; says which failed."""
    _register_own()
    failures = []
    for point in metadata.entry_points(group=ENTRY_POINTS):
        where = f"entry point '{point.name}' of {ENTRY_POINTS}"
        try:
            import_packages([point.module], where)
        except RequestError as error:
            # A broken package must not keep archbench from models of others.
            log.warning("%s", error)
            failures.append(str(error))
    return tuple(failures)


@cache
def _register_own() -> None:
    """Register archbench's own architectures: which there are, only the folder knows."""
    zoo = importlib.import_module(_ZOO)
    for found in pkgutil.iter_modules(zoo.__path__):
        if not found.name.startswith("_"):
            importlib.import_module(f"{_ZOO}.{found.name}")


@contextlib.contextmanager
def _earlier_classes_kept(package: str) -> Iterator[None]:
    """Keep the classes of types that are there already, whatever is registered inside the block.

    A type would otherwise mean another class depending on which packages were imported before.
    """
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    configs: dict[str, Any] = CONFIG_MAPPING._extra_content
    models: dict[Any, Any] = MODEL_FOR_CAUSAL_LM_MAPPING._extra_content
    before = dict(configs), dict(models)
    try:
        yield
    finally:
        taken = [one for one in configs if one in _own() or one in before[0]]
        replaced = set(_restored(configs, before[0], taken))
        # transformers' own models are in another mapping; their configurations' module shows them.
        owned = [one for one in models if one.__module__.startswith("transformers.") or one in before[1]]
        replaced |= {one.model_type for one in _restored(models, before[1], owned)}
    if replaced:
        log.warning(
            "%s registers classes of its own for %s, which were there already: the earlier ones are used",
            package,
            ", ".join(sorted(replaced)),
        )


def _restored(mapping: dict[Any, Any], before: Mapping[Any, Any], keys: Sequence[Any]) -> list[Any]:
    """Put back what some keys of a mapping had before; returns those that had changed."""
    changed = [key for key in keys if mapping[key] is not before.get(key)]
    for key in changed:
        if key in before:
            mapping[key] = before[key]
        else:
            del mapping[key]
    return changed


def _failure(name: str, error: BaseException) -> str:
    top = name.partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        missing = error.name.partition(".")[0]
        if missing == top and error.name != top:
            return f"the package '{top}' has no module '{error.name}'. Compare imports with what it offers."
        needed = "" if missing == top else f", because it needs '{missing}'"
        install = _DISTRIBUTIONS.get(missing, missing.replace("_", "-"))
        return (
            f"the package '{name}' cannot be imported{needed}: '{missing}' is not installed for this Python. "
            f"Install it (pip install {install}), or put the folder that holds it on PYTHONPATH."
        )
    reason = " ".join(str(error).split())[:300]
    return (
        f"the package '{name}' cannot be imported ({type(error).__name__}: {reason}). Try "
        f"python -c 'import {name}' with this Python; install what it needs, or a release that fits."
    )


def _version(name: str) -> str:
    top = name.partition(".")[0]
    try:
        return metadata.version(_DISTRIBUTIONS.get(top, top))
    except metadata.PackageNotFoundError:
        return "unknown"
