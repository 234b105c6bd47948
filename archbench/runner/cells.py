"""The cells of one member, run one after another, each written as soon as it is done."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pandas as pd

from archbench.engine import RequestStore, Usage
from archbench.errors import ArchbenchError
from archbench.results.comparisons import independent_scores
from archbench.results.header import CellHeader
from archbench.results.store import Store
from archbench.runner.member.load import load_member
from archbench.runner.member.subject import MemberSubject
from archbench.runner.planned import Cell, PlannedMember
from archbench.runner.progress import Display
from archbench.runner.sharing import announce_sharing, said_here
from archbench.runner.warnings import warnings_of
from archbench.statistics.estimates import mean_score
from archbench.suite import Suite
from archbench.tasks.entry import Variant
from archbench.tasks.work import Evaluation, Subject

log = logging.getLogger(__name__)


def run_member(
    member: PlannedMember,
    cells: list[Cell],
    suite: Suite,
    store: Store,
    answers: RequestStore | None,
    loaded: dict[str, dict[str, Any]],
    display: Display,
    *,
    strict: bool,
) -> None:
    """Run a member's cells and write each; its model is loaded by the first that needs it.

    Raises:
        RequestError: It shares no prefixes and is to (`strict`).
    """
    name = member.resolved.name

    def load() -> Any:
        with said_here(display):
            lm = load_member(member, suite.engine, seed=suite.seed, progress=display.answered, store=answers)
            loaded[name] = lm.describe() | {"sharing": lm.sharing._asdict()}
        return lm

    subject = MemberSubject(member, load)
    for cell in cells:
        started = datetime.now(UTC)
        if cell.variant.work.needs == "model" and not subject.is_loaded:
            try:
                lm = subject.model()
            except Exception as error:
                display.begin(str(cell.id))
                display.finished(_write_failed(store, cell, started, error), None)
                continue
            backend = member.resolved.member.backend is not None
            announce_sharing(name, lm.sharing, display, strict=strict, backend=backend)
            started = datetime.now(UTC)
        _run_cell(cell, subject, suite, store, display, started)


def _run_cell(
    cell: Cell, subject: MemberSubject, suite: Suite, store: Store, display: Display, started: datetime
) -> None:
    """Run a cell, and write what came of it or why nothing did."""
    lm: Any = None
    before = Usage()
    if cell.variant.work.needs == "model":
        lm = subject.model()
        before = lm.usage
        display.begin(str(cell.id), partial(_tokens_since, lm, before))
    else:
        display.begin(str(cell.id))
    try:
        found = evaluate_variant(subject, cell.variant, seed=suite.seed)
        known: dict[str, Any] = {
            "metrics": found.metrics,
            "items": len(found.rows),
            "excluded": found.excluded,
            "measures": found.measures,
            "outcome": found.outcome,
            "lm_eval": found.aggregates or {},
        }
        if lm is not None:
            used = lm.usage.since(before)
            known |= {
                "tokens_requested": int(used.tokens_requested),
                "requests_known": int(used.requests_known),
                "sharing": None if cell.member.resolved.member.backend else lm.sharing.level,
                **_work(used, cell.member),
                "warnings": tuple(warnings_of(found.rows, used, lm)),
                # Without lm-eval's reading of tasks, which the first member would pay for all.
                "seconds": used.seconds,
            }
        header = store.write_cell(_header(cell, started, **known), found.rows)
    except Exception as error:
        display.finished(_write_failed(store, cell, started, error), None)
    else:
        display.finished(header, _score(found.rows, header.metric))


def evaluate_variant(subject: Subject, variant: Variant, *, seed: int) -> Evaluation:
    """Do a variant's work on a member."""
    return variant.work.run(subject, metric=variant.metric, seed=seed)


def _work(used: Usage, member: PlannedMember) -> dict[str, int | str | None]:
    """What a cell took; lm-eval's own classes do not report it."""
    if member.resolved.member.backend:
        return {}
    return {
        "tokens_distinct": int(used.tokens_distinct),
        "tokens_forwarded": int(used.tokens_forwarded),
        "tokens_padded": int(used.tokens_padded),
        "passes": int(used.passes),
    }


def _write_failed(store: Store, cell: Cell, started: datetime, error: Exception) -> CellHeader:
    """Record why a cell could not be run; the next run tries it again."""
    log.debug("%s failed", cell.id, exc_info=error)
    return store.write_cell(_header(cell, started, status="failed", error=reason(error)), [])


def reason(error: BaseException) -> str:
    """Why something failed, in one paragraph."""
    if isinstance(error, ArchbenchError):
        return str(error)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:1000] if text else type(error).__name__


def _header(cell: Cell, started: datetime, **found: Any) -> CellHeader:
    """Header of a cell that has just ended, with what was found."""
    finished = datetime.now(UTC)
    known: dict[str, Any] = {
        "member": cell.id.member,
        "family": cell.member.resolved.family,
        "task": cell.task,
        "kind": cell.entry.kind,
        "variant": cell.variant.name,
        "labels": cell.variant.labels,
        "metric": cell.variant.metric,
        "metrics": (cell.variant.metric,) if cell.variant.metric else (),
        "chance": cell.variant.chance,
        "scale": cell.variant.scale,
        "key": cell.key,
        "items": 0,
        "seconds": (finished - started).total_seconds(),
        "started": started,
        "finished": finished,
    }
    return CellHeader.model_validate(known | found)


def _tokens_since(lm: Any, before: Usage) -> tuple[int, int]:
    used = lm.usage.since(before)
    return int(used.tokens_requested), int(used.tokens_forwarded)


def _score(rows: Sequence[dict[str, Any]], metric: str | None) -> float | None:
    """The cell's score as the report gives it, before any grouping by subject; None without one."""
    frame = pd.DataFrame(list(rows))
    if metric is None or metric not in frame:
        return None
    values, weights = independent_scores(frame, metric)
    return mean_score(values, weights=weights).score if len(values) else None
