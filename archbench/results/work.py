"""What a run's answers cost: tokens requested, distinct and forwarded, and how near that is to the least.

requested   every request on its own
distinct    every prefix that requests of a cell share counted once: the bound
forwarded   fed to the model, padding not counted

speed-up reached ÷ speed-up possible = (requested ÷ forwarded) ÷ (requested ÷ distinct) = distinct ÷ forwarded
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from archbench.results.header import CellHeader

WITHOUT_STATES = (
    "only requests whose tokens another one feeds as well, such as options of one token after the same "
    "prompt,"
)
"""Which requests are computed together where no state of a prefix is held: the subject of a sentence."""


class Work(NamedTuple):
    """Work of some cells, as far as their headers have it.

    Attributes:
        requested: Tokens requested.
        distinct: Distinct tokens.
        forwarded: Tokens forwarded.
        padded: Padding forwarded along with them.
        passes: Forward passes.
        cells: Cells that these are sums over.
        unknown: Further cells, whose headers do not say: of lm-eval's own model classes, or of a run by an
            archbench before 0.2.
        requests_known: Requests that were not asked again, since their answers were there already, of equal
            prompts in another cell or of a run that was stopped: their tokens are in none of the sums.
    """

    requested: int = 0
    distinct: int = 0
    forwarded: int = 0
    padded: int = 0
    passes: int = 0
    cells: int = 0
    unknown: int = 0
    requests_known: int = 0

    @property
    def ratio(self) -> float | None:
        """Tokens forwarded for each distinct one, 1 at best; None where none is known."""
        return self.forwarded / self.distinct if self.distinct else None

    @property
    def bound_reached(self) -> float | None:
        """Share of the possible speed-up that was reached, 0 to 1; None where nothing was forwarded."""
        return self.distinct / self.forwarded if self.forwarded else None

    def as_dict(self) -> dict[str, int | float | None]:
        """Plain data, for a manifest."""
        return {**self._asdict(), "bound_reached": self.bound_reached}


def work_of(headers: Iterable[CellHeader]) -> Work:
    """Work of the complete ones of some cells."""
    total = Work()
    for header in headers:
        if header.status != "complete":
            continue
        total = total._replace(requests_known=total.requests_known + (header.requests_known or 0))
        parts = (
            header.tokens_requested,
            header.tokens_distinct,
            header.tokens_forwarded,
            header.tokens_padded,
            header.passes,
        )
        if any(part is None for part in parts):
            total = total._replace(unknown=total.unknown + 1)
            continue
        requested, distinct, forwarded, padded, passes = (
            whole + (part or 0) for whole, part in zip(total[:5], parts, strict=True)
        )
        total = total._replace(
            requested=requested,
            distinct=distinct,
            forwarded=forwarded,
            padded=padded,
            passes=passes,
            cells=total.cells + 1,
        )
    return total
