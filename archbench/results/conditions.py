"""Conditions: what every member of a run was put through, in which order, and whether all got the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from archbench.errors import RunError
from archbench.results.header import CellHeader, CellId
from archbench.results.measures import Scale

DESCRIBING = ("kind", "labels", "metric", "chance", "scale")
"""What a header says of its condition, besides names."""


class Condition(NamedTuple):
    """One task in one variant: the same items, in the same words, put to every member; a column of a table.

    Attributes:
        task: Name of the suite's entry.
        variant: Name of the variant.
        kind: The task's kind.
        labels: What the variant stands for, as pairs of name and value.
        metric: The primary metric; empty where no items are scored.
        metrics: All metrics.
        chance: Expected primary score of guessing, if that means anything.
        scale: What the primary metric is: `accuracy` or `loss`.
    """

    task: str
    variant: str
    kind: str
    labels: tuple[tuple[str, Any], ...]
    metric: str
    metrics: tuple[str, ...]
    chance: float | None
    scale: Scale = "accuracy"

    def __str__(self) -> str:
        return f"{self.task} · {self.variant}"

    @property
    def measures_loss(self) -> bool:
        """Whether it is scored by how well text is predicted, rather than by right answers."""
        return self.scale == "loss"


def cells_of(manifest: Mapping[str, Any], headers: Iterable[CellHeader]) -> list[CellHeader]:
    """Headers that belong to the run: those the manifest plans, or all if none are.

    A folder keeps cells of members and settings that its suite has dropped since; they do not count.
    """
    if "cells" not in manifest:
        return list(headers)
    planned = {(cell["member"], cell["task"], cell["variant"], cell["key"]) for cell in manifest["cells"]}
    return [header for header in headers if (*header.id, header.key) in planned]


def members_of(manifest: Mapping[str, Any], headers: Iterable[CellHeader]) -> list[str]:
    """Names of a run's members: those that the manifest plans, in its order, then any others with a cell."""
    planned = [str(member["name"]) for member in manifest.get("members", [])]
    # A damaged manifest may have lost the one list and not the other.
    with_cells = [str(cell["member"]) for cell in manifest.get("cells", [])] if not planned else []
    return list(dict.fromkeys([*planned, *with_cells, *(header.member for header in headers)]))


def conditions_of(
    manifest: Mapping[str, Any], headers: Iterable[CellHeader]
) -> tuple[list[Condition], dict[Condition, str]]:
    """Conditions of a run: those that the manifest describes, in its order, then any others.

    Others come by name, with numbers as numbers. `metrics` holds what any member was scored by.

    Returns:
        The conditions, and of each whose cells differ in kind, labels, metric or chance, how they do.
    """
    found: dict[tuple[str, str], tuple[Condition, str]] = {}
    differ: dict[tuple[str, str], str] = {}
    for header in headers:
        named = header.task, header.variant
        labels = tuple(header.labels.items())
        metric, metrics = header.metric or "", header.metrics
        condition = Condition(*named, header.kind, labels, metric, metrics, header.chance, header.scale)
        known, member = found.get(named, (condition, header.member))
        for field in DESCRIBING:
            if getattr(known, field) != getattr(condition, field):
                differ.setdefault(
                    named,
                    f"{condition} was not the same task for {member} and {header.member}: {field} is "
                    f"{getattr(known, field)!r} and {getattr(condition, field)!r}. Give the run command "
                    "again, so that the cells with outdated settings are redone.",
                )
        metrics = tuple(dict.fromkeys([*known.metrics, *condition.metrics]))
        found[named] = known._replace(metrics=metrics), member
    planned = {(str(one["task"]), str(one["variant"])): one for one in manifest.get("conditions", [])}
    for named, one in planned.items():
        if named not in found and all(one.get(key) is not None for key in ("kind", "labels")):
            labels, metric = tuple(one["labels"].items()), str(one.get("metric") or "")
            scale: Scale = one.get("scale") or ("loss" if metric == "compression" else "accuracy")
            condition = Condition(
                *named, str(one["kind"]), labels, metric, (metric,) * bool(metric), one.get("chance"), scale
            )
            found[named] = condition, ""
    rest = sorted(found.keys() - planned.keys(), key=lambda named: [natural(part) for part in named])
    conditions = [found[named][0] for named in [*planned, *rest] if named in found]
    by_condition = {one: differ.get((one.task, one.variant)) for one in conditions}
    return conditions, {one: how for one, how in by_condition.items() if how is not None}


def contradictions(manifest: Mapping[str, Any], headers: Iterable[CellHeader]) -> dict[CellId, str]:
    """Cells whose headers say another thing of their condition than the manifest does, and what, in words."""
    planned = {(str(one["task"]), str(one["variant"])): one for one in manifest.get("conditions", [])}
    found: dict[CellId, str] = {}
    for header in headers:
        known = planned.get((header.task, header.variant), {})
        for field in DESCRIBING:
            said, here = known.get(field), getattr(header, field)
            if said is not None and said != here:
                found.setdefault(
                    header.id,
                    f"{header.id} is left out: its header gives {here!r} as {field}, and the manifest "
                    f"{said!r}. Give the run command again: only this cell is redone.",
                )
    return found


def unknown_of(manifest: Mapping[str, Any], conditions: Iterable[Condition]) -> list[str]:
    """Names of conditions that a manifest plans, while neither it nor any cell says what they are."""
    known = {(one.task, one.variant) for one in conditions}
    planned = [*manifest.get("conditions", []), *manifest.get("cells", [])]
    names = dict.fromkeys((str(one["task"]), str(one["variant"])) for one in planned)
    return [f"{task} · {variant}" for task, variant in names if (task, variant) not in known]


def natural(text: str) -> list[tuple[bool, int, str]]:
    """Sort key under which `len-200` comes before `len-1000`."""
    return [
        (not part.isdecimal(), int(part) if part.isdecimal() else 0, part)
        for part in re.split(r"(\d+)", text)
    ]


def leave_out(rows: dict[str, pd.DataFrame]) -> tuple[dict[str, pd.DataFrame], int]:
    """Leave out, for every member, the items that were too long for one of them.

    A member that could take none of the items is left out instead: it has no score, and the others are
    compared on all items that they could take.

    Args:
        rows: Item rows of every member, in one order.

    Returns:
        The rows that are left, and how many items were left out.
    """
    marked = {
        member: frame["excluded"].fillna(False).astype(bool).to_numpy()
        for member, frame in rows.items()
        if "excluded" in frame
    }
    rows = {
        member: frame for member, frame in rows.items() if member not in marked or not marked[member].all()
    }
    masks = [mask for member, mask in marked.items() if member in rows]
    out = np.logical_or.reduce(masks) if masks else np.zeros(0, dtype=bool)
    if not out.any():
        return rows, 0
    return {member: frame[~out].reset_index(drop=True) for member, frame in rows.items()}, int(out.sum())


def check_pairing(condition: Condition, rows: Mapping[str, pd.DataFrame]) -> None:
    """Check that every member answered the same items, put in the same words, against the same gold answers.

    Args:
        condition: What the rows answer; for the message.
        rows: Item rows of every member, in any order.

    Raises:
        RunError: An item occurs twice, is missing for one member, or differs; the message names member and
            item.
    """
    first: str | None = None
    for member, frame in rows.items():
        again = "Remove that member's cell and give the run command again."
        if (twice := frame["item"].duplicated()).any():
            raise RunError(
                f"{condition}: item '{frame['item'][twice].iloc[0]}' occurs twice for {member}. {again}"
            )
        here = frame.set_index("item")[["prompt_hash", "target"]].sort_index()
        if first is None:
            first, expected = member, here
            continue
        if lone := sorted(set(expected.index) ^ set(here.index)):
            who, other = (first, member) if lone[0] in expected.index else (member, first)
            raise RunError(
                f"{condition}: members cannot be compared, since {len(lone)} items were answered by only one "
                f"of {first} and {member}; the first is '{lone[0]}', which {who} has and {other} lacks. "
                f"{again}"
            )
        for column, what in (("prompt_hash", "prompt"), ("target", "gold answer")):
            differs = (expected[column] != here[column]).to_numpy()
            if differs.any():
                raise RunError(
                    f"{condition}: members cannot be compared, since the {what} of {int(differs.sum())} "
                    f"items differs between {first} and {member}; the first is '{here.index[differs][0]}'. "
                    f"{again}"
                )
