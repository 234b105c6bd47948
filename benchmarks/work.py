"""Hold the work of a finished run to written bounds: `python -m benchmarks.work RUN [BOUNDS]`.

Seconds differ threefold between machines; tokens and forward passes do not. A member that stops sharing
prefixes, or a walk that makes smaller passes, breaks a bound on any machine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from archbench.results.header import CellHeader
from archbench.results.store import Store
from archbench.results.work import Work, work_of

BOUNDS = Path(__file__).with_name("quick_work.yaml")


def main(run: str, bounds: str | Path = BOUNDS) -> int:
    """Print the work of every member beside its bounds.

    Args:
        run: A run's folder.
        bounds: A file with `ratio`, the most tokens forwarded by distinct tokens in MMLU cells, and `passes`,
            the most forward passes by member.

    Returns:
        0 where every bound holds, else 1.
    """
    limits = yaml.safe_load(Path(bounds).read_text(encoding="utf-8"))
    lines, broken = compare(Store(run).headers(), limits)
    print("\n".join(lines))
    for one in broken:
        print(f"broken: {one}", file=sys.stderr)
    return 1 if broken else 0


def compare(headers: Iterable[CellHeader], limits: dict[str, Any]) -> tuple[list[str], list[str]]:
    """A line for each member, and the bounds that do not hold."""
    headers = list(headers)
    lines = [f"{'member':16}{'distinct':>12}{'forwarded':>12}{'mmlu ratio':>12}{'passes':>10}{'at most':>10}"]
    broken = []
    for member, most in limits["passes"].items():
        mine = [header for header in headers if header.member == member]
        work = work_of(mine)
        mmlu = work_of(header for header in mine if header.kind == "mmlu")
        if work.unknown or not mmlu.cells:
            broken.append(f"{member}: {work.unknown} cells do not record their work, {mmlu.cells} of MMLU do")
            continue
        ratio = mmlu.forwarded / mmlu.distinct
        lines.append(_line(member, work, ratio, most))
        if ratio > limits["ratio"]:
            broken.append(
                f"{member}: MMLU forwards {ratio:.3f} times its distinct tokens, not {limits['ratio']}"
            )
        if work.passes > most:
            broken.append(f"{member}: {work.passes} forward passes, not {most}")
    if others := sorted({header.member for header in headers} - limits["passes"].keys()):
        broken.append(f"no bounds are written for {', '.join(others)}")
    return lines, broken


def _line(member: str, work: Work, ratio: float, most: int) -> str:
    return f"{member:16}{work.distinct:12,}{work.forwarded:12,}{ratio:12.3f}{work.passes:10,}{most:10,}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
