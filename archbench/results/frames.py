"""Results of a run as tidy data frames: scores with intervals, averages over subjects, paired differences."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from archbench.errors import RequestError, RunError, did_you_mean
from archbench.results.comparisons import compare_pairs, independent_scores, scores_of
from archbench.results.conditions import (
    Condition,
    cells_of,
    check_pairing,
    conditions_of,
    contradictions,
    leave_out,
    members_of,
    unknown_of,
)
from archbench.results.header import ITEM_COLUMNS, CellHeader, CellId
from archbench.results.manifest import members_from
from archbench.results.store import Store
from archbench.statistics.estimates import Estimate, macro_mean, mean_score

log = logging.getLogger(__name__)

NOISE = 1e-3
"""Margin in nats under which an answer could turn with the kernel, the batch or the precision."""

_CELL = ("member", "family", "task", "kind", "variant")


_NO_COLUMNS = {"labels", "lm_eval", "metrics", "schema_version", "scale", "measures", "outcome"}
"""What of a header is not in `RunResults.cells`: it has frames of its own, or belongs to conditions."""


class RunResults:
    """What one run found.

    Made by `load_results`. All frames are new: change them as you like. Scores, differences and intervals are
    fractions (0.25, not 25 %).

    Attributes:
        folder: The run's folder.
        manifest: What the runner noted down about the whole run; where its members are lost, what the cells'
            headers hold of them.
        headers: Headers of the run's cells, failed ones too. Cells left over from other settings
            are not among them.
        members: Names of the members, in the suite's order.
        conditions: The conditions, in the suite's order.
        left_out: By task and variant, how many items were too long for some member that answered others: they
            are left out for every member. A member that could take none of the items has no score.
        set_aside: Complete cells that count nowhere, with the reason: their items cannot be read, or are not
            those that other members answered.
        warnings: What is damaged in the folder, and what was left out for it, a sentence or two each.
    """

    def __init__(self, store: Store) -> None:
        """Read a run and check that its cells may be compared; those that may not be are set aside.

        Raises:
            RequestError: The folder holds no run.
        """
        self._store = store
        self.folder = store.folder
        self.manifest: dict[str, Any]
        self.manifest, damage = store.read_manifest()
        headers, skipped = store.read_headers()
        headers = cells_of(self.manifest, headers)
        odd = contradictions(self.manifest, headers)
        self.headers = [header for header in headers if header.id not in odd]
        self.members = members_of(self.manifest, self.headers)
        if damage and "members" not in self.manifest:
            self.manifest["members"] = members_from(self.members, self.headers)
        every, self._differ = conditions_of(self.manifest, self.headers)
        self.conditions = [one for one in every if one.metric]
        self.measured = [one for one in every if not one.metric]
        self.warnings = [*damage, *skipped, *odd.values()]
        self.warnings += [
            f"{name} is planned, but none of its cells is there and the manifest does not say what it is: it "
            "is in no table."
            for name in unknown_of(self.manifest, every)
        ]
        self.set_aside: dict[CellId, str] = {}
        self._cells: dict[tuple[str, str, str], CellHeader]
        self._cells = {header.id: header for header in self.headers if header.status == "complete"}
        self._rows: dict[tuple[str, str, str], pd.DataFrame] = {}
        self.left_out: dict[tuple[str, str], int] = {}
        for condition in every:
            compared, out = leave_out(self._read(condition))
            self.left_out[condition.task, condition.variant] = out
            for member, rows in compared.items():
                self._rows[member, condition.task, condition.variant] = rows
        for warning in self.warnings:
            log.warning("%s", warning)

    def _read(self, condition: Condition) -> dict[str, pd.DataFrame]:
        cells = {
            member: header
            for member in self.members
            if (header := self._cells.get((member, condition.task, condition.variant))) is not None
        }
        read: dict[str, pd.DataFrame] = {}
        for member, header in cells.items():
            try:
                read[member] = self._store.items(header, lists=False)
            except RunError as error:
                self._set_aside([header], str(error))
        try:
            if condition in self._differ:
                raise RunError(self._differ[condition])
            check_pairing(condition, read)
        except RunError as error:
            self._set_aside([cells[member] for member in read], str(error))
            return {}
        # Rows in one order, so that pairing is position.
        return {member: rows.sort_values("item", ignore_index=True) for member, rows in read.items()}

    def _set_aside(self, headers: Sequence[CellHeader], reason: str) -> None:
        self.warnings.append(reason)
        for header in headers:
            del self._cells[header.id]
            self.set_aside[header.id] = reason

    def __repr__(self) -> str:
        name = self.manifest.get("name", self.folder.name)
        return (
            f"RunResults({name!r}: {len(self.members)} members × {len(self.conditions)} conditions, "
            f"{len(self._cells)} cells complete)"
        )

    def _repr_html_(self) -> str:
        scores = self.scores()
        if scores.empty:
            return "<p>No cell is complete.</p>"
        columns = pd.MultiIndex.from_frame(scores[["task", "variant"]].drop_duplicates())
        wide = scores.pivot(index="member", columns=["task", "variant"], values="score")
        shown = wide.reindex(index=[m for m in self.members if m in wide.index], columns=columns) * 100
        html: str = shown.to_html(float_format="{:.1f}".format, na_rep="—", escape=True)
        return html

    def answered(self, member: str, condition: Condition) -> int:
        """How many of a member's items have a score in a condition's metric, those left out aside."""
        rows = self._rows.get((member, condition.task, condition.variant))
        return (
            0 if rows is None or condition.metric not in rows else int(rows[condition.metric].notna().sum())
        )

    # -- frames --------------------------------------------------------------------------------------------

    @cached_property
    def label_names(self) -> list[str]:
        """Names of all labels that any condition carries, such as `format` and `shots`."""
        every = (*self.conditions, *self.measured)
        return list(dict.fromkeys(name for condition in every for name, _ in condition.labels))

    @cached_property
    def item_columns(self) -> set[str]:
        """Names of all columns that any item row has, those with one value per choice aside."""
        every = set(ITEM_COLUMNS) - {"choices", "loglikelihoods", "choice_tokens", "choice_chars"}
        return every | {str(name) for frame in self._rows.values() for name in frame}

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
            rows.append(
                {**{name: fields.pop(name) for name in _CELL}, **self._labels(header.labels), **fields}
            )
        return _tidy(rows, self.label_names, [*_CELL, *self.label_names, "metric", "status", "items"])

    def items(self, task: str | None = None, member: str | None = None) -> pd.DataFrame:
        """All item rows, each with its cell's names and labels in front.

        `left_out` at the end says which count in no score, since they were too long for some member.

        Args:
            task: Only this entry of the suite.
            member: Only this member.

        Raises:
            RequestError: There is no such task or member.
        """
        _known("task", task, {condition.task for condition in self.conditions})
        _known("member", member, self.members)
        frames = []
        for condition in self.conditions:
            for name in self.members:
                header = self._cells.get((name, condition.task, condition.variant))
                if header is None or task not in (None, condition.task) or member not in (None, name):
                    continue
                rows = self._store.items(header)
                names = {key: getattr(header, key) for key in _CELL} | self._labels(header.labels)
                front = pd.DataFrame({key: [value] * len(rows) for key, value in names.items()})
                compared = self._rows.get((name, condition.task, condition.variant))
                rows["left_out"] = True if compared is None else ~rows["item"].isin(compared["item"])
                frames.append(pd.concat([front, rows], axis=1))
        if not frames:
            metrics = dict.fromkeys(name for one in self.conditions for name in one.metrics)
            columns = [*_CELL, *self.label_names, *ITEM_COLUMNS, *metrics]
            return pd.DataFrame(columns=columns).assign(left_out=np.zeros(0, dtype=bool))
        return _whole_labels(pd.concat(frames, ignore_index=True), self.label_names)

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
                rows.append(
                    self._row(header, condition, name)
                    | dict(zip(keys, values, strict=True))
                    | found._asdict()
                )
        return self._estimates(rows, keys)

    def macro(self, by: str = "subject", metric: str | None = None, confidence: float = 0.95) -> pd.DataFrame:
        """Average over groups beside the average over items.

        Args:
            by: Item column that names the groups.
            metric: The metric; each condition's primary one if None.
            confidence: Coverage of the intervals.

        Returns:
            As `scores`, for the average over groups (method `stratified`; as in `scores`
            where there is one group), and beside it `groups`, how many
            there are, and `micro`, the average over the same items.

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
        _known("member", baseline, self.members)
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
        keys = [by] if by is not None else []
        columns = [
            "task",
            "kind",
            "variant",
            *self.label_names,
            *keys,
            "member",
            "baseline",
            "metric",
            "n",
            "score",
        ]
        columns += ["baseline_score", "delta", "low", "high", "wins", "losses", "p", "p_holm"]
        columns += ["adjusted_for", "needed", "detectable", "method", "verdict"]
        return _tidy(rows, self.label_names, columns)

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
            rows.append(
                {name: getattr(header, name) for name in _CELL} | self._labels(header.labels) | counts
            )
        return _tidy(rows, self.label_names, [*_CELL, *self.label_names, "n", "near", "ties"])

    def measures(self) -> pd.DataFrame:
        """All numbers that are no scores of items, one row each.

        Returns:
            Columns member, family, task, kind, variant, one per label, measure, value, unit, low, high, n,
            better and outcome (`finished` or `diverged`). A cell that diverged has a row
            even without a number.
        """
        rows: list[dict[str, Any]] = []
        for header in sorted(self._cells.values(), key=self._place):
            names = {name: getattr(header, name) for name in _CELL} | self._labels(header.labels)
            end = {"outcome": header.outcome}
            found = [one.model_dump() for one in header.measures]
            rows += [{**names, "measure": one.pop("name"), **one, **end} for one in found]
            if header.outcome == "diverged" and not found:
                rows.append({**names, "measure": None, "value": np.nan, **end})
        columns = ["measure", "value", "unit", "low", "high", "n", "better", "outcome"]
        return _tidy(rows, self.label_names, [*_CELL, *self.label_names, *columns])

    # -- parts ---------------------------------------------------------------------------------------------

    def _scored(
        self, metric: str | None, keys: Sequence[str]
    ) -> Iterable[tuple[CellHeader, Condition, pd.DataFrame, str]]:
        """Complete cells that have the metric and, in some item, every one of the columns."""
        for condition in self.conditions:
            name = metric or condition.metric
            for member in self.members:
                frame = self._rows.get((member, condition.task, condition.variant))
                if (
                    frame is not None
                    and name in frame
                    and all(k in frame and frame[k].notna().any() for k in keys)
                ):
                    header = self._cells[member, condition.task, condition.variant]
                    yield header, condition, frame, name

    def _place(self, header: CellHeader) -> tuple[int, int]:
        places = [(one.task, one.variant) for one in (*self.conditions, *self.measured)]
        return places.index((header.task, header.variant)), self.members.index(header.member)

    def _labels(self, labels: dict[str, Any]) -> dict[str, Any]:
        return {name: labels.get(name) for name in self.label_names}

    def _row(self, header: CellHeader, condition: Condition, metric: str) -> dict[str, Any]:
        names = {name: getattr(header, name) for name in _CELL} | self._labels(header.labels)
        chance = condition.chance if metric == condition.metric else None
        return names | {"metric": metric, "chance": np.nan if chance is None else chance}

    def _estimates(
        self, rows: list[dict[str, Any]], keys: list[str], more: Sequence[str] = ()
    ) -> pd.DataFrame:
        columns = [*_CELL, *self.label_names, *keys, "metric", *more, "n", "score", "stderr", "low", "high"]
        return _tidy(rows, self.label_names, [*columns, "method", "chance"])

    def _check_metric(self, metric: str | None) -> None:
        _known("metric", metric, {name for condition in self.conditions for name in condition.metrics})

    def _check_columns(self, keys: Sequence[str]) -> None:
        for key in keys:
            _known("item column", key, self.item_columns)


def load_results(folder: Path | str) -> RunResults:
    """Read the results of an earlier run.

    Args:
        folder: The folder that `archbench run` wrote.

    What is damaged, and cells whose members were not put the same items, are left out, with a warning
    (`RunResults.warnings`).

    Raises:
        RequestError: It holds no run, or one that a newer archbench has written.
    """
    return RunResults(Store(folder))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame as mappings from column to value."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _known(what: str, name: str | None, known: Iterable[str]) -> None:
    known = set(known)
    if name is not None and name not in known:
        raise RequestError(f"The run has no {what} '{name}'. {did_you_mean(name, known)}")


def _tidy(rows: list[dict[str, Any]], labels: list[str], columns: list[str]) -> pd.DataFrame:
    rest = [name for name in rows[0] if name not in columns] if rows else []
    return _whole_labels(pd.DataFrame(rows, columns=[*columns, *rest]), labels)


def _whole_labels(frame: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    for label in labels:
        frame[label] = frame[
            label
        ].convert_dtypes()  # a missing number of shots leaves the others whole numbers
    return frame
