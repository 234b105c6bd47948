"""`python -m benchmarks.work RUN`: does a finished run take no more work than is written down?

Work is counted in tokens and forward passes, which are the same on every machine; no clock is read. Prints a
table of what was found and what is allowed, and exits with 1 where a bound is broken, with 2 where RUN or the
bounds cannot be read. The bounds are those of the quick suite (benchmarks/quick_work.yaml) unless --bounds
names others.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from archbench.errors import ArchbenchError, RequestError
from archbench.formats.yaml_file import read_yaml
from archbench.results.frames import RunResults, load_results
from archbench.results.work import work_of
from archbench.schema import YamlModel, validate
from benchmarks.command import parser_of, print_results

QUICK = Path(__file__).with_name("quick_work.yaml")


class Bounds(YamlModel):
    """What one member may take.

    Attributes:
        forwarded: Most tokens forwarded for each distinct one, all cells together.
        cells: The same of any single cell, by the kind of its task.
        passes: Most forward passes, all cells together.
    """

    forwarded: float = Field(ge=1)
    cells: dict[str, float] = Field(default_factory=dict)
    passes: int = Field(ge=1)


class BoundsFile(YamlModel):
    """A file of bounds.

    Attributes:
        members: Bounds by member; every member of a run has to have some.
    """

    members: dict[str, Bounds]


class Check(NamedTuple):
    """One line of the table.

    Attributes:
        member: Whose work.
        what: What was counted.
        found: How much it is; None where it is not known.
        most: How much it may be.
    """

    member: str
    what: str
    found: float | None
    most: float

    @property
    def holds(self) -> bool:
        """Whether the bound is kept."""
        return self.found is not None and self.found <= self.most


def checks(results: RunResults, bounds: BoundsFile) -> Iterator[Check]:
    """Compare every member of a run with its bounds.

    Args:
        results: The run.
        bounds: The bounds.

    Raises:
        RequestError: Run and bounds are not about the same members.
    """
    if different := sorted(set(results.members) ^ set(bounds.members)):
        raise RequestError(
            f"{bounds.file}: the run in {results.folder} and the bounds are not about the same members: "
            f"{', '.join(different)} stands in one of them only. Write the bounds of every member of the "
            "run, and of no others."
        )
    for member, most in bounds.members.items():
        headers = [one for one in results.headers if one.member == member]
        planned = sum(one["member"] == member for one in results.manifest.get("cells", []))
        work = work_of(headers)
        # What was not forwarded in this run could hide what it takes.
        yield Check(member, "cells missing, failed or of unknown work", planned - work.cells, 0)
        yield Check(member, "requests that were answered already", work.requests_known, 0)
        yield Check(member, "cells that share no prefix", sum(one.sharing == "none" for one in headers), 0)
        yield Check(member, "forwarded ÷ distinct", work.ratio, most.forwarded)
        for kind, ratio in most.cells.items():
            ratios = [found for one in headers if one.kind == kind and (found := work_of([one]).ratio)]
            what = f"forwarded ÷ distinct, highest {kind} cell"
            yield Check(member, what, max(ratios, default=None), ratio)
        yield Check(member, "forward passes", work.passes if work.cells else None, most.passes)


def table(lines: Sequence[Check]) -> str:
    """The checks as text, broken ones marked."""
    rows = [("member", "what", "found", "at most", "")]
    for one in lines:
        state = "" if one.holds else "BROKEN"
        rows.append((one.member, one.what, _number(one.found), _number(one.most), state))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    texts = []
    for row in rows:
        words = [text.ljust(width) for text, width in zip(row[:2], widths[:2], strict=True)]
        numbers = [text.rjust(width) for text, width in zip(row[2:4], widths[2:4], strict=True)]
        texts.append("  ".join([*words, *numbers, row[4]]).rstrip())
    return "\n".join(texts)


def _number(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}"


def main(argv: Sequence[str] | None = None) -> None:
    """Check and print; see the top of this module for the exit codes."""
    parser = parser_of("work", __doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="results folder of a finished run")
    parser.add_argument("--bounds", type=Path, default=QUICK, metavar="FILE", help="a file of bounds")
    arguments = parser.parse_args(argv)
    try:
        lines = list(checks(load_results(arguments.run), validate(BoundsFile, read_yaml(arguments.bounds))))
    except ArchbenchError as error:
        print(f"Error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if arguments.json:
        rows: list[dict[str, Any]] = [one._asdict() | {"holds": one.holds} for one in lines]
        print_results(rows, as_json=True)
    else:
        print(table(lines))
    broken = sum(not one.holds for one in lines)
    if broken:
        print(
            f"{broken} of {len(lines)} bounds of {arguments.bounds} are broken. If the work had to grow, say "
            "why in the change and raise them there.",
            file=sys.stderr,
        )
        raise SystemExit(1)


if __name__ == "__main__":
    main()
