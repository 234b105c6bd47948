"""Everything that tables, figures and words draw on, worked out once, so that they cannot disagree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from archbench.errors import RunError, amount
from archbench.report.settings import ReportSettings
from archbench.report.words.gaps import gap_of, nothing
from archbench.report.words.naming import by_cell
from archbench.results.comparisons import UNDECIDED
from archbench.results.conditions import Condition
from archbench.results.frames import RunResults, records
from archbench.results.header import CellHeader, CellId


@dataclass(frozen=True)
class Leader:
    """Who scores highest in a condition.

    Attributes:
        members: The highest, more than one if level.
        tied: Others that the paired test does not distinguish from the (first) highest.
        open: Others for which there are too few items to tell them from it.
    """

    members: tuple[str, ...]
    tied: tuple[str, ...]
    open: tuple[str, ...]


class Findings:
    """The statistics of one report.

    Attributes:
        results: The run.
        settings: The report's settings.
    """

    def __init__(self, results: RunResults, settings: ReportSettings) -> None:
        """Check that there is something to report.

        Raises:
            RunError: No cell is complete.
        """
        self.results, self.settings = results, settings
        self._grouped: dict[str, pd.DataFrame] = {}
        self._items: dict[str, pd.DataFrame] = {}
        if not (self.scores["n"] > 0).any() and results.measures().empty:
            raise RunError(nothing(results))

    @property
    def members(self) -> list[str]:
        """Names of the members, in the suite's order."""
        return self.results.members

    @property
    def conditions(self) -> list[Condition]:
        """The conditions, in the suite's order; those under changed prompts are `perturbed`.

        Where nothing is known of any plain prompt, the changed ones stand for themselves.
        """
        plain = [one for one in self.results.conditions if "prompt" not in dict(one.labels)]
        return plain or self.results.conditions

    @cached_property
    def answered(self) -> list[Condition]:
        """The conditions in which anyone has a score."""
        return [one for one in self.conditions if any(self.score(member, one) for member in self.members)]

    @property
    def graded(self) -> list[Condition]:
        """Conditions that are scored by right answers, not by loss; all of them where none is."""
        return [one for one in self.conditions if not one.measures_loss] or self.conditions

    def of_graded(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows of a frame, such as `scores`, that are of the kind of score of the `graded` conditions."""
        return frame[self._is_loss(frame) == self.graded[0].measures_loss]

    def of_accuracy(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows of a frame that are of right answers, not of losses."""
        return frame[~self._is_loss(frame)]

    def _is_loss(self, frame: pd.DataFrame) -> pd.Series[bool]:
        losses = {(one.task, one.variant) for one in self.results.conditions if one.measures_loss}
        cells = zip(frame["task"], frame["variant"], strict=True)
        return pd.Series([cell in losses for cell in cells], index=frame.index, dtype=bool)

    @property
    def perturbed(self) -> list[Condition]:
        """Conditions that put the same items under a changed prompt."""
        return [one for one in self.results.conditions if one not in self.conditions]

    @cached_property
    def scores(self) -> pd.DataFrame:
        """`RunResults.scores` of every condition's primary metric."""
        return self.results.scores(confidence=self.settings.confidence)

    def scores_by(self, column: str) -> pd.DataFrame:
        """`RunResults.scores` by an item column; empty where no item has it."""
        if column not in self._grouped:
            known = column in self.results.item_columns
            self._grouped[column] = (
                self.results.scores(by=column, confidence=self.settings.confidence)
                if known
                else self.scores.head(0).assign(**{column: ""})
            )
        return self._grouped[column]

    def items(self, task: str) -> pd.DataFrame:
        """`RunResults.items` of a task, but for those left out; read once, so not to be changed."""
        if task not in self._items:
            items = self.results.items(task)
            self._items[task] = items[~items["left_out"]]
        return self._items[task]

    def scores_of(self, metric: str) -> pd.DataFrame:
        """`RunResults.scores` of a metric; empty where no cell has it (yet)."""
        if not any(metric in one.metrics for one in self.results.conditions):
            return self.scores.head(0)
        return self.results.scores(metric, confidence=self.settings.confidence)

    @cached_property
    def differences(self) -> pd.DataFrame:
        """`RunResults.differences` against the baseline, under unchanged prompts."""
        return self.results.differences(
            self.settings.baseline, confidence=self.settings.confidence, conditions=self.conditions
        )

    @cached_property
    def within_ties(self) -> pd.DataFrame:
        """Every category of the conditions in which a member is level with the baseline: one family of tests.

        Only where there is more than one category: a single one is the whole again.
        """
        level = self.differences[self.differences["verdict"].isin(UNDECIDED)]
        ties = {(row["task"], row["variant"], row["member"]) for row in records(level)}
        counts = self.scores_by("category").groupby(["task", "variant"])["category"].nunique()
        pairs = [
            (condition, member, self.baseline)
            for condition in self.conditions
            for member in self.members
            if (condition.task, condition.variant, member) in ties
            and counts.get((condition.task, condition.variant), 0) > 1
        ]
        return self.results.compare(pairs, confidence=self.settings.confidence, by="category")

    @property
    def baseline(self) -> str:
        """The member that the others are compared with."""
        return self.settings.baseline or self.members[0]

    @cached_property
    def _by_cell(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        return by_cell(self.scores)

    def score(self, member: str, condition: Condition) -> dict[str, Any] | None:
        """The member's row of `scores`, or None where it has no score in this condition."""
        return self._by_cell.get((member, condition.task, condition.variant))

    def scored(self, condition: Condition) -> list[str]:
        """The members that have a score in a condition."""
        return [member for member in self.members if self.score(member, condition)]

    def is_whole(self, member: str, condition: Condition) -> bool:
        """Whether a member has a score for every item of a condition that is compared at all."""
        header = self._headers.get(CellId(member, condition.task, condition.variant))
        out = self.results.left_out.get((condition.task, condition.variant), 0)
        answered = self.results.answered(member, condition)
        return header is not None and answered > 0 and answered == header.items - out

    @cached_property
    def _headers(self) -> dict[CellId, CellHeader]:
        return {header.id: header for header in self.results.headers}

    @cached_property
    def leader_tests(self) -> pd.DataFrame:
        """Every member against the highest in its condition: one family of comparisons."""
        pairs = [
            (condition, member, best[0])
            for condition in self.conditions
            if (best := self._highest(condition))
            for member in self.members
            if member != best[0]
        ]
        return self.results.compare(pairs, confidence=self.settings.confidence)

    def _highest(self, condition: Condition) -> tuple[str, ...]:
        found = {member: row["score"] for member in self.members if (row := self.score(member, condition))}
        top = max(found.values(), default=math.nan)
        return tuple(member for member, score in found.items() if math.isclose(score, top, abs_tol=1e-12))

    @cached_property
    def leaders(self) -> dict[Condition, Leader]:
        """The highest of every condition that anyone has a score in."""
        tests, found = self.leader_tests, {}
        for condition in self.conditions:
            if best := self._highest(condition):
                here = tests[(tests["task"] == condition.task) & (tests["variant"] == condition.variant)]
                tied, left = (
                    tuple(one for one in here.loc[here["verdict"] == verdict, "member"] if one not in best)
                    for verdict in UNDECIDED
                )
                # Without an item that both have a score for there is no test.
                untested = set(self.scored(condition)) - {*best, *here["member"]}
                left = tuple(one for one in self.members if one in {*left, *untested})
                found[condition] = Leader(best, tied, left)
        return found

    @property
    def stamp(self) -> str:
        """The verdict of the match audit, as every table bears it."""
        return f"Match: {'; '.join(map(str, self.results.manifest.get('match') or ['not audited']))}."

    @property
    def level(self) -> str:
        """The coverage of the intervals as a text, such as `95 %`."""
        return f"{100 * self.settings.confidence:g} %"

    @property
    def alpha(self) -> float:
        """The level of the tests."""
        return round(1 - self.settings.confidence, 12)

    @cached_property
    def warnings(self) -> list[str]:
        """What makes scores doubtful, by what was observed: one line for every warning and its cells."""
        cells: dict[str, list[str]] = {}
        for header in self.results.headers:
            for warning in header.warnings:
                cells.setdefault(warning, []).append(str(header.id))
        return [f"WARNING: {'; '.join(names)}: {warning}" for warning, names in cells.items()]

    def gaps(self, conditions: Sequence[Condition]) -> list[str]:
        """One line for every cell that failed, was never run, or has items too long or without a score."""
        lines = []
        for condition in conditions:
            out = self.results.left_out.get((condition.task, condition.variant), 0)
            if out:
                lines.append(
                    f"{condition}: {amount(out, 'item is', 'items are')} too long for a member and left "
                    "out for every one."
                )
            for member in self.members:
                named = CellId(member, condition.task, condition.variant)
                if named in self.results.set_aside:
                    gap: str | None = "set aside, since its items cannot be used or compared (other notes)"
                else:
                    gap = gap_of(self._headers.get(named), self.results.answered(member, condition), out)
                if gap is not None:
                    lines.append(f"{member} · {condition}: {gap}.")
        return lines

    @cached_property
    def lacking(self) -> list[str]:
        """All that is missing, failed, left out or damaged in the whole run, a line each."""
        every = [*self.results.conditions, *self.results.measured]
        return [*self.gaps(every), *self.results.warnings]
