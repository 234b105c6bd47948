"""Reading a run: which of its cells are whole and may be compared, and why the others are set aside."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import pandas as pd

from archbench.errors import RunError
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

log = logging.getLogger(__name__)


class CheckedRun:
    """A run as read from its folder, with only such cells as may be compared.

    Attributes:
        folder: The run's folder.
        manifest: What the runner recorded of the whole run; where its members are lost, what the cells'
            headers hold of them.
        headers: Headers of the run's cells, failed ones too. Cells left over from other settings
            are not among them.
        members: Names of the members, in the suite's order.
        conditions: The conditions whose items are scored, in the suite's order.
        measured: Those that have measures alone.
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
        every, differ = conditions_of(self.manifest, self.headers)
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
            compared, out = leave_out(self._read(condition, differ.get(condition)))
            self.left_out[condition.task, condition.variant] = out
            for member, rows in compared.items():
                self._rows[member, condition.task, condition.variant] = rows
        for warning in self.warnings:
            log.warning("%s", warning)

    def _read(self, condition: Condition, difference: str | None) -> dict[str, pd.DataFrame]:
        """Item rows of a condition by member; none where `difference` says that it was not one task."""
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
            if difference is not None:
                raise RunError(difference)
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
            f"{type(self).__name__}({name!r}: {len(self.members)} members × {len(self.conditions)} "
            f"conditions, {len(self._cells)} cells complete)"
        )

    def compared(self, member: str, condition: Condition) -> pd.DataFrame | None:
        """Item rows that a member is compared by in a condition, as they are in memory: not to be changed.

        Items left out, and columns with one value per choice, are not in it.

        Returns:
            The rows, ordered by item; None where the member has no cell that counts.
        """
        return self._rows.get((member, condition.task, condition.variant))

    def answered(self, member: str, condition: Condition) -> int:
        """How many of a member's items have a score in a condition's metric, those left out aside."""
        rows = self.compared(member, condition)
        return (
            0 if rows is None or condition.metric not in rows else int(rows[condition.metric].notna().sum())
        )

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

    def _scored(
        self, metric: str | None, keys: Sequence[str]
    ) -> Iterable[tuple[CellHeader, Condition, pd.DataFrame, str]]:
        """Complete cells that have the metric and, in some item, every one of the columns."""
        for condition in self.conditions:
            name = metric or condition.metric
            for member in self.members:
                frame = self.compared(member, condition)
                if (
                    frame is not None
                    and name in frame
                    and all(k in frame and frame[k].notna().any() for k in keys)
                ):
                    header = self._cells[member, condition.task, condition.variant]
                    yield header, condition, frame, name

    def _place(self, header: CellHeader) -> tuple[int, int]:
        """Where a cell stands in the order of conditions and members."""
        places = [(one.task, one.variant) for one in (*self.conditions, *self.measured)]
        return places.index((header.task, header.variant)), self.members.index(header.member)
