"""Results of a run as tidy data frames: scores with intervals, averages over subjects, paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from archbench.errors import RequestError, did_you_mean
from archbench.results.comparisons import compare_pairs, independent_scores, scores_of
from archbench.results.conditions import Condition
from archbench.results.header import ITEM_COLUMNS, CellHeader
from archbench.results.reading import CheckedRun
from archbench.results.store import Store
from archbench.results.tidy import tidy, whole_labels
from archbench.statistics.estimates import Estimate, macro_mean, mean_score

NOISE = 1e-3
"""Margin in nats under which an answer could turn with the kernel, the batch or the precision."""

_CELL = ("member", "family", "task", "kind", "variant")

_NO_COLUMNS = {"labels", "lm_eval", "metrics", "schema_version", "scale", "measures", "outcome"}
"""What of a header is not in `RunResults.cells`: it has frames of its own, or belongs to conditions."""


class RunResults(CheckedRun):
    """What one run found.

    Made by `load_results`. All frames are new: change them as you like. Scores, differences and intervals are
    fractions (0.25, not 25 %). `folder`, `manifest`, `headers`, `members`, `conditions`, `measured`,
    `left_out`, `set_aside` and `warnings` are those of `CheckedRun`.
    """

    def _repr_html_(self) -> str:
        scores = self.scores()
        if scores.empty:
            return "<p>No cell is complete.</p>"
        columns = pd.MultiIndex.from_frame(scores[["task", "variant"]].drop_duplicates())
        wide = scores.pivot(index="member", columns=["task", "variant"], values="score")
        shown = wide.reindex(index=[m for m in self.members if m in wide.index], columns=columns) * 100
        html: str = shown.to_html(float_format="{:.1f}".format, na_rep="—", escape=True)
        return html

    @property
    def cells(self) -> pd.DataFrame:
        """One row per cell: its names, labels, status, counts, tokens and times.

        The status is `complete`, `failed`, or `set aside`.
        """
        rows = []
        for header in sorted(self.headers, key=self._place):
            fields = header.model_dump(mode="json", exclude=_NO_COLUMNS)
            if header.id in self.set_aside:
                fields["status"] = "set aside"
            rows.append(self._names(header) | {key: fields[key] for key in fields if key not in _CELL})
        return tidy(rows, self.label_names, [*_CELL, *self.label_names, "metric", "status", "items"])

    def items(self, task: str | None = None, member: str | None = None) -> pd.DataFrame:
        """All item rows, each with its cell's names and labels in front.

        `left_out` at the end says which count in no score, since they were too long for some member.

        Args:
            task: Only this entry of the suite.
            member: Only this member.

        Raises:
            RequestError: There is no such task or member.
        """
        _require("task", task, {condition.task for condition in self.conditions})
        _require("member", member, self.members)
        frames = []
        for condition in self.conditions:
            for name in self.members:
                header = self._cells.get((name, condition.task, condition.variant))
                if header is None or task not in (None, condition.task) or member not in (None, name):
                    continue
                rows = self._store.items(header)
                front = pd.DataFrame({key: [value] * len(rows) for key, value in self._names(header).items()})
                compared = self.compared(name, condition)
                rows["left_out"] = True if compared is None else ~rows["item"].isin(compared["item"])
                frames.append(pd.concat([front, rows], axis=1))
        if not frames:
            metrics = dict.fromkeys(name for one in self.conditions for name in one.metrics)
            columns = [*_CELL, *self.label_names, *ITEM_COLUMNS, *metrics]
            return pd.DataFrame(columns=columns).assign(left_out=np.zeros(0, dtype=bool))
        return whole_labels(pd.concat(frames, ignore_index=True), self.label_names)

    def scores(
        self, metric: str | None = None, by: str | Sequence[str] | None = None, confidence: float = 0.95
    ) -> pd.DataFrame:
        """Mean score of every cell, or of every group of items in it.

        Args:
            metric: The metric; each condition's primary one if None. Conditions without it are left out.
            by: Item columns to group by, such as `subject` or `category`. Items without one are left out.
            confidence: Coverage of the intervals.

        Returns:
            Columns member, family, task, kind, variant, one per label, those of `by`, metric, n, score,
            stderr, low, high, method (`wilson`, `t` or `ratio`), chance. `n` counts the items with a score,
            or the passages that they are parts of (windows of a text, of which each weighs as much as it has
            bytes); `chance` is known for the primary metric only.

        Raises:
            RequestError: No cell has such a metric, or no item such a column.
        """
        keys = [by] if isinstance(by, str) else list(by or [])
        self._check_metric(metric)
        self._check_columns(keys)
        rows = []
        for header, condition, frame, name in self._scored(metric, keys):
            for values, group in frame.groupby(keys, sort=True) if keys else [((), frame)]:
                independent, weights = independent_scores(group, name)
                found = mean_score(independent, confidence, weights)
                group_names = dict(zip(keys, values, strict=True))
                rows.append(self._row(header, condition, name) | group_names | found._asdict())
        return self._estimates(rows, keys)

    def macro(self, by: str = "subject", metric: str | None = None, confidence: float = 0.95) -> pd.DataFrame:
        """Average over groups, next to the average over items.

        Args:
            by: Item column that names the groups.
            metric: The metric; each condition's primary one if None.
            confidence: Coverage of the intervals.

        Returns:
            As `scores`, for the average over groups (method `stratified`; as in `scores` where there is one
            group), with `groups`, how many there are, and `micro`, the average over the same items.

        Raises:
            RequestError: No cell has such a metric, or no item such a column.
        """
        self._check_metric(metric)
        self._check_columns([by])
        rows = []
        for header, condition, frame, name in self._scored(metric, [by]):
            scored = frame[frame[name].notna() & frame[by].notna()]
            strata = scored[by].astype(str).to_numpy(dtype=np.str_)
            found: Estimate = macro_mean(scores_of(scored[name]), strata, confidence)
            extra = {"groups": len(set(strata)), "micro": mean_score(scores_of(scored[name])).score}
            rows.append(self._row(header, condition, name) | found._asdict() | extra)
        return self._estimates(rows, [], ["groups", "micro"])

    def differences(
        self,
        baseline: str | None = None,
        metric: str | None = None,
        confidence: float = 0.95,
        conditions: Sequence[Condition] | None = None,
    ) -> pd.DataFrame:
        """Paired differences of every member against one, on the same items, in every condition.

        Args:
            baseline: The member compared with; the first if None.
            metric: The metric; each condition's primary one if None.
            confidence: Coverage of the intervals; its complement is the level of the verdicts.
            conditions: Only these; all if None.

        Returns:
            Columns task, kind, variant, one per label, member, baseline, metric, n, score, baseline_score,
            delta, low, high (of this comparison alone), wins, losses, p, p_holm (adjusted for the rows of
            this frame that compare right answers, or for those that compare losses), adjusted_for (how many
            these are), needed (items below which not even the largest difference would be significant),
            detectable, method, verdict (`better`, `worse`, `not distinguishable` or `too few items to tell`,
            by p_holm and needed).

        Raises:
            RequestError: There is no such member or metric.
        """
        _require("member", baseline, self.members)
        chosen = baseline or (self.members[0] if self.members else None)
        pairs = [
            (condition, member, chosen)
            for condition in (self.conditions if conditions is None else conditions)
            for member in self.members
            if chosen is not None and member != chosen
        ]
        return self.compare(pairs, metric, confidence)

    def compare(
        self,
        pairs: Iterable[tuple[Condition, str, str]],
        metric: str | None = None,
        confidence: float = 0.95,
        by: str | None = None,
    ) -> pd.DataFrame:
        """Any family of paired comparisons; `differences` is the one against a baseline.

        Args:
            pairs: Condition, member, and the member it is compared with. Pairs of which one has no complete
                cell are left out.
            metric: The metric; each condition's primary one if None.
            confidence: As in `differences`.
            by: Item column, such as `category`: each of its groups is compared by itself. Conditions without
                it are left out.

        Returns:
            As `differences`, with the column `by` where one is named.
        """
        self._check_metric(metric)
        seed = int(self.manifest.get("seed") or 0)
        rows = compare_pairs(self._rows, pairs, metric, confidence, seed, by)
        columns = ["task", "kind", "variant", *self.label_names, *([by] if by is not None else [])]
        columns += ["member", "baseline", "metric", "n", "score"]
        columns += ["baseline_score", "delta", "low", "high", "wins", "losses", "p", "p_holm"]
        columns += ["adjusted_for", "needed", "detectable", "method", "verdict"]
        return tidy(rows, self.label_names, columns)

    def margins(self, noise: float = NOISE) -> pd.DataFrame:
        """How many answers hang by a thread: the two best choices within `noise` nats, or exactly equal.

        Returns:
            Columns member, family, task, kind, variant, one per label, n (items with a margin), near (margin
            below `noise`, ties included), ties (margin zero). Cells without margins are left out.
        """
        rows = []
        for header, _, frame, _ in self._scored(None, ["margin"]):
            margin = frame["margin"].dropna().to_numpy(dtype=np.float64)
            counts = {"n": len(margin), "near": int(np.sum(margin < noise)), "ties": int(np.sum(margin == 0))}
            rows.append(self._names(header) | counts)
        return tidy(rows, self.label_names, [*_CELL, *self.label_names, "n", "near", "ties"])

    def measures(self) -> pd.DataFrame:
        """All numbers that are no scores of items, one row each.

        Returns:
            Columns member, family, task, kind, variant, one per label, measure, value, unit, low, high, n,
            better and outcome (`finished` or `diverged`). A cell that diverged has a row even without a
            number.
        """
        rows: list[dict[str, Any]] = []
        for header in sorted(self._cells.values(), key=self._place):
            names, end = self._names(header), {"outcome": header.outcome}
            found = [one.model_dump() for one in header.measures]
            rows += [{**names, "measure": one.pop("name"), **one, **end} for one in found]
            if header.outcome == "diverged" and not found:
                rows.append({**names, "measure": None, "value": np.nan, **end})
        columns = ["measure", "value", "unit", "low", "high", "n", "better", "outcome"]
        return tidy(rows, self.label_names, [*_CELL, *self.label_names, *columns])

    def _names(self, header: CellHeader) -> dict[str, Any]:
        """What a cell's rows begin with: its names, then its labels."""
        labels = {name: header.labels.get(name) for name in self.label_names}
        return {name: getattr(header, name) for name in _CELL} | labels

    def _row(self, header: CellHeader, condition: Condition, metric: str) -> dict[str, Any]:
        chance = condition.chance if metric == condition.metric else None
        return self._names(header) | {"metric": metric, "chance": np.nan if chance is None else chance}

    def _estimates(
        self, rows: list[dict[str, Any]], keys: list[str], more: Sequence[str] = ()
    ) -> pd.DataFrame:
        columns = [*_CELL, *self.label_names, *keys, "metric", *more, "n", "score", "stderr", "low", "high"]
        return tidy(rows, self.label_names, [*columns, "method", "chance"])

    def _check_metric(self, metric: str | None) -> None:
        _require("metric", metric, {name for condition in self.conditions for name in condition.metrics})

    def _check_columns(self, keys: Sequence[str]) -> None:
        for key in keys:
            _require("item column", key, self.item_columns)


def load_results(folder: Path | str) -> RunResults:
    """Read the results of an earlier run.

    What is damaged, and cells whose members did not get the same items, are left out, with a warning
    (`RunResults.warnings`).

    Args:
        folder: The folder that `archbench run` wrote.

    Raises:
        RequestError: It holds no run, or one that a newer archbench has written.
    """
    return RunResults(Store(folder))


def _require(what: str, name: str | None, known: Iterable[str]) -> None:
    known = set(known)
    if name is not None and name not in known:
        raise RequestError(f"The run has no {what} '{name}'. {did_you_mean(name, known)}")
