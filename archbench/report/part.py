"""What a report is made of: tables, figures and sentences, each known by its name and its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import TypeVar

from matplotlib.figure import Figure

from archbench.errors import RunError
from archbench.report import parts as general
from archbench.report.findings import Findings
from archbench.report.table import Sheet

ELSEWHERE = 75
"""Place of a part that names none: after those of archbench's own kinds, before those over all conditions."""


@dataclass(frozen=True)
class TablePart:
    """A table.

    Attributes:
        name: Of its files and, without a heading, of its section; unique among tables.
        make: Makes it; None where the run has nothing for it.
        place: Tables stand in the order of their places.
        heading: Its section's heading; the name, capitalised, where empty.
        instead: What stands on the page in the table's place, where it is only linked.
        notes: Whether its notes stand among the page's.
    """

    name: str
    make: Callable[[Findings], Sheet | None]
    place: int = ELSEWHERE
    heading: str = ""
    instead: str = ""
    notes: bool = False


@dataclass(frozen=True)
class FigurePart:
    """A figure.

    Attributes:
        name: Of its files; unique among figures.
        draw: Draws it; None where the run has nothing for it.
        caption: What it shows.
        place: Figures stand in the order of their places.
        absent: What the page says where there is none; nothing where empty.
    """

    name: str
    draw: Callable[[Findings], Figure | None]
    caption: str
    place: int = ELSEWHERE
    absent: str = ""


@dataclass(frozen=True)
class TextPart:
    """Sentences of the summary.

    Attributes:
        name: Unique among texts.
        say: Makes them: plain text, for the page to escape.
        place: Sentences stand in the order of their places.
    """

    name: str
    say: Callable[[Findings], list[str]]
    place: int = ELSEWHERE


Part = TablePart | FigurePart | TextPart
_P = TypeVar("_P", TablePart, FigurePart, TextPart)


@dataclass(frozen=True)
class Parts:
    """Everything that a report is made of, in the order of the page."""

    tables: tuple[TablePart, ...]
    figures: tuple[FigurePart, ...]
    texts: tuple[TextPart, ...]

    def sentences(self, findings: Findings) -> list[str]:
        """The summary, as plain text."""
        return [sentence for part in self.texts for sentence in part.say(findings)]


def collect(modules: Iterable[ModuleType]) -> Parts:
    """The parts that modules bring: each has a tuple `PARTS`.

    Raises:
        RunError: Two modules bring a table, figure or text of the same name, or `PARTS` holds something else.
    """
    tables, figures, texts = _Group[TablePart](), _Group[FigurePart](), _Group[TextPart]()
    for module in modules:
        for part in getattr(module, "PARTS", ()):
            if isinstance(part, TablePart):
                tables.add(part, module)
            elif isinstance(part, FigurePart):
                figures.add(part, module)
            elif isinstance(part, TextPart):
                texts.add(part, module)
            else:
                raise RunError(
                    f"{module.__name__}.PARTS holds {part!r}; TablePart, FigurePart or TextPart expected."
                )
    return Parts(tables.ordered(), figures.ordered(), texts.ordered())


def _check_name(name: str, module: ModuleType) -> None:
    """Make sure that a part's name can be that of its files.

    Raises:
        RunError: It cannot.
    """
    if not re.fullmatch(r"[a-z0-9_]{1,60}", name):
        raise RunError(
            f"{module.__name__}.PARTS: {name!r} is no name for a part of the report, whose files bear it: "
            "lower-case letters, digits and underscores were expected, at most 60."
        )


class _Group(dict[str, tuple[_P, str]]):
    """Parts of one sort by name, and the module that each is from."""

    def add(self, part: _P, module: ModuleType) -> None:
        _check_name(part.name, module)
        if part.name in self:
            raise RunError(
                f"A report cannot have two parts of one name: '{part.name}' is in {self[part.name][1]} and "
                f"{module.__name__}. Rename one of them."
            )
        self[part.name] = part, module.__name__

    def ordered(self) -> tuple[_P, ...]:
        return tuple(sorted((part for part, _ in self.values()), key=lambda part: part.place))


def general_modules() -> Iterator[ModuleType]:
    """The modules of `archbench.report.parts`: what every report has."""
    return modules_in(general)


def modules_in(package: ModuleType) -> Iterator[ModuleType]:
    """A module itself or, of a package, the package and every module in it."""
    yield package
    for found in iter_modules(getattr(package, "__path__", ())):
        yield import_module(f"{package.__name__}.{found.name}")
