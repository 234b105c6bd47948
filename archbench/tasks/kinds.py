"""The kinds of task entries: archbench's own, each a folder here, and those that other packages bring.

A kind is a module or package with one subclass of `TaskEntry` whose `kind` is a literal, in the module itself
or in its module `entry`. Its part of the report is its module or package `report`
(`archbench.report.part`). Other packages name theirs in the entry-point group `archbench.kinds`;
CONTRIBUTING.md has an example.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pkgutil import iter_modules
from types import ModuleType
from typing import get_args

import archbench.tasks
from archbench.errors import RunError
from archbench.results.shapes import register
from archbench.tasks.entry import TaskEntry

KINDS_GROUP = "archbench.kinds"
"""Entry-point group of kinds that other packages bring."""
REPORT_GROUP = "archbench.report"
"""Entry-point group of modules with parts of the report that belong to no kind."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind:
    """A kind of task entry.

    Attributes:
        name: The value of `kind:` in a suite.
        entry: The schema of its entries.
        module: Module or package that it is.
        source: The distribution that brings it.
    """

    name: str
    entry: type[TaskEntry]
    module: str
    source: str

    @property
    def about(self) -> str:
        """What it is, in one line."""
        return (inspect.getdoc(self.entry) or "").partition("\n")[0]

    def report_module(self) -> ModuleType | None:
        """Its part of the report, imported; None where it has none."""
        if hasattr(import_module(self.module), "PARTS"):
            return import_module(self.module)
        if not hasattr(import_module(self.module), "__path__"):
            return None
        name = f"{self.module}.report"
        return import_module(name) if find_spec(name) is not None else None


@cache
def kinds() -> dict[str, Kind]:
    """All kinds by name, archbench's own first.

    A kind of another package that cannot be used, or has the name of another one, is left out with a warning.
    """
    found: dict[str, Kind] = {}
    for kind in (*_own(), *_others()):
        if kind.name in found:
            first = found[kind.name]
            _log.warning(
                "The task kind '%s' of %s (%s) is left out: %s brings one of that name (%s). "
                "Rename one of them.",
                *(kind.name, kind.source, kind.module, first.source, first.module),
            )
            continue
        found[kind.name] = kind
        if kind.entry.SHAPE is not None:
            register(kind.name, kind.entry.SHAPE)
    return found


def kind_of(module: ModuleType, source: str) -> Kind | None:
    """The kind that a module or package is; None where it has no entry.

    Args:
        module: The module.
        source: The distribution that it is from.

    Raises:
        RunError: It has more than one entry, or its `kind` is no literal string.
    """
    where = module
    if hasattr(module, "__path__") and find_spec(f"{module.__name__}.entry") is not None:
        where = import_module(f"{module.__name__}.entry")
    entries = [
        one
        for one in vars(where).values()
        if inspect.isclass(one)
        and issubclass(one, TaskEntry)
        and one.__module__ == where.__name__
        and not inspect.isabstract(one)
    ]
    if not entries:
        return None
    names = [name for one in entries for name in get_args(one.model_fields["kind"].annotation)]
    if len(entries) > 1 or len(names) != 1 or not isinstance(names[0], str):
        raise RunError(
            f"{where.__name__}: a kind has one subclass of TaskEntry with one literal name, "
            f'`kind: Literal["name"] = "name"`; it has {", ".join(one.__name__ for one in entries)}.'
        )
    return Kind(names[0], entries[0], module.__name__, source)


def _own() -> Iterator[Kind]:
    for found in iter_modules(archbench.tasks.__path__):
        if found.ispkg and (kind := kind_of(import_module(f"archbench.tasks.{found.name}"), "archbench")):
            yield kind


def _others() -> Iterator[Kind]:
    for point in entry_points(group=KINDS_GROUP):
        source = point.dist.name if point.dist is not None else point.value
        try:
            kind = kind_of(_loaded(point), source)
            if kind is None:
                raise RunError("it has no subclass of TaskEntry that defines all of its methods")
        # A package that ends the process while it is imported must not end archbench.
        except (Exception, SystemExit) as error:
            _log.warning("%s", _why_not(point, error))
            continue
        yield kind


def _loaded(point: EntryPoint) -> ModuleType:
    module = point.load()
    if not inspect.ismodule(module):
        raise TypeError(f"{point.value} is a {type(module).__name__}, and a module was expected")
    return module


def _why_not(point: EntryPoint, error: BaseException, what: str = "task kind") -> str:
    source = point.dist.name if point.dist is not None else point.value
    return (
        f"The {what} '{point.name}' of {source} is left out, since {point.value} cannot be used "
        f"({type(error).__name__}: {error})."
    )


def report_modules() -> Iterator[ModuleType]:
    """Modules of all kinds, and of other packages, that bring parts of the report; imports matplotlib."""
    for kind in kinds().values():
        try:
            module = kind.report_module()
        except (Exception, SystemExit) as error:
            if kind.source == "archbench":
                raise
            _log.warning(
                "The report has no part of the task kind '%s' of %s, since its module cannot be imported "
                "(%s: %s).",
                *(kind.name, kind.source, type(error).__name__, error),
            )
            continue
        if module is not None:
            yield module
    for point in entry_points(group=REPORT_GROUP):
        try:
            yield _loaded(point)
        except (Exception, SystemExit) as error:
            _log.warning("%s", _why_not(point, error, what="part of the report"))
