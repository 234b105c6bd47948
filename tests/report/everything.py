"""A run of every kind of task whose cells can be missing, failed, too long, without scores or damaged."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from archbench.draw import Draw
from archbench.results.header import CellHeader
from archbench.results.store import Store
from archbench.results.writing import slug
from archbench.tasks.phonebook import scoring as phonebook
from archbench.tasks.phonebook.entry import PhonebookEntry
from archbench.tasks.phonebook.items import Layout, items_by_entries
from archbench.tasks.ruler.subtasks import TASKS
from tests.results.synthetic import header, rows

MEMBERS = ("ada", "bea", "cleo")
STATES = ("whole", "missing", "failed", "excluded", "partly excluded", "unscored", "partly scored", "damaged")
Cell = tuple[str, str, str]
Row = dict[str, Any]


def _row(draw: Draw, item: str, **more: Any) -> Row:
    hashed = hashlib.sha256(item.encode()).hexdigest()
    return {"item": item, "doc": 0, "prompt_hash": hashed, "target": "1", "prediction": "", **more}


def _mmlu(member: str, variant: str) -> list[Row]:
    return rows([float(Draw(member, variant, at).uniform() < 0.6) for at in range(8)])


def _phonebook(member: str, variant: str) -> list[Row]:
    size = int(variant.rpartition("-")[2].removesuffix("entries"))
    found = []
    for item in items_by_entries(0, "standard", size, 6, Layout()):
        right = Draw(member, item["id"]).uniform() < 0.5
        answer = f" {item['target'] if right else '555-000-1111'}\n"
        row = _row(Draw(), item["id"], target=item["target"], prompt_tokens=15 * size, prediction=answer)
        scores = phonebook.process_results(item, [answer])
        found.append(row | phonebook.details(item, answer) | {k: float(v) for k, v in scores.items()})
    return found


def _ruler(member: str, variant: str) -> list[Row]:
    length, found = int(variant.removesuffix("tokens")), []
    for task in ("niah_single_1", "vt"):
        for at in range(4):
            score = float(Draw(member, variant, task, at).uniform() < 0.5)
            more: Row = {"subject": task, "category": TASKS[task].category, "prompt_tokens": length}
            more |= {"string_match": score, "answer_form": "given" if at else "empty"}
            if task != "vt":
                more["depth"] = 30 * at
            found.append(_row(Draw(), f"{task}-{length}/{at}", **more))
    return found


def _perplexity(member: str, variant: str) -> list[Row]:
    name, _, size = variant.partition("-")
    found = []
    for passage in range(3):
        for part in range(3 if name == "window" else 1):
            loss = 10 + 5 * Draw(member, variant, passage, part).uniform()
            place = 16 * part if name == "window" else int(size)
            more: Row = {"loglikelihoods": [-loss], "compression": 1 - loss / 64, "prompt_tokens": place}
            more |= {"position": place, "tokens": 16, "bytes": 40, "passage": f"p{passage}"}
            found.append(_row(Draw(), f"{variant}/{passage}.{part}", **more))
    return found


def _squad(member: str, variant: str) -> list[Row]:
    return [_row(Draw(), str(at), f1=Draw(member, at).uniform()) for at in range(6)]


def conditions() -> list[dict[str, Any]]:
    """Every condition, as a manifest describes it."""
    found: list[dict[str, Any]] = []

    def add(
        task: str, variant: str, labels: Mapping[str, Any], metric: str, chance: float | None = None
    ) -> None:
        kind = "lm_eval" if task == "squad" else task
        one = {"task": task, "variant": variant, "kind": kind, "labels": dict(labels)}
        found.append(one | {"metric": metric, "chance": chance})

    for shots in (0, 5):
        add("mmlu", f"standard-{shots}shot", {"format": "standard", "shots": shots}, "acc", 0.25)
    labels = {"format": "standard", "shots": 5, "prompt": "labels"}
    add("mmlu", "standard-5shot+labels", labels, "acc", 0.25)
    for variant in PhonebookEntry(entries=[10, 20], formats=["standard"]).variants():
        add("phonebook", variant.name, variant.labels, "exact_match", variant.chance)
    for length in (1024, 2048):
        add("ruler", f"{length}tokens", {"length": length}, "string_match")
    for name, size in (("context", 0), ("context", 64), ("window", 64)):
        add("perplexity", f"{name}-{size}", {name: size}, "compression")
    add("squad", "squad", {"name": "squad"}, "f1")
    return found


_ROWS: dict[str, Callable[[str, str], list[Row]]] = {
    "mmlu": _mmlu,
    "phonebook": _phonebook,
    "ruler": _ruler,
    "perplexity": _perplexity,
    "squad": _squad,
}
# What an item that no member was evaluated on keeps.
_KEPT = {"item", "doc", "subject", "category", "prompt_hash", "target", "prompt_tokens"}
CONDITIONS = conditions()
CELLS: tuple[Cell, ...] = tuple((m, one["task"], one["variant"]) for m in MEMBERS for one in CONDITIONS)


def manifest() -> dict[str, Any]:
    """The manifest of a run that plans every cell."""
    cells = [{"member": m, "task": t, "variant": v, "key": "k1"} for m, t, v in CELLS]
    named = [{"name": name, "training_length": 1000} for name in MEMBERS]
    return {"name": "everything", "members": named, "conditions": CONDITIONS, "cells": cells}


def make_pool(folder: Path) -> Path:
    """Write every cell in every state in which it leaves files; `make_run` picks from them."""
    for state in STATES:
        store = Store(folder / state)
        for member, task, variant in CELLS:
            (about,) = (one for one in CONDITIONS if (one["task"], one["variant"]) == (task, variant))
            made = _ROWS[task](member, variant)
            metrics = tuple(name for name in made[0] if name in _METRICS)
            fields = {name: about[name] for name in ("kind", "labels", "metric", "chance")}
            head = header(member, task, variant, metrics=metrics, items=len(made), **fields)
            _write(store, head, made, state)
    return folder


_METRICS = {
    *("acc", "acc_norm", "acc_token", "exact_match", "digit_accuracy", "leading_digits", "similarity"),
    *("in_line", "first_in_line", "string_match", "compression", "f1"),
}


def _write(store: Store, head: CellHeader, made: list[Row], state: str) -> None:
    if state == "missing":
        return
    if state == "failed":
        head = head.model_copy(update={"status": "failed", "error": "out of memory", "items": 0})
        store.write_cell(head, [])
        return
    if state in ("excluded", "partly excluded"):
        out = len(made) if state == "excluded" else 1
        too_long = [{k: v for k, v in row.items() if k in _KEPT} | {"excluded": True} for row in made[:out]]
        made = too_long + made[out:]
        made = [dict.fromkeys(head.metrics) | row for row in made]
        head = head.model_copy(update={"excluded": sum(row.get("excluded", False) for row in made)})
    if state in ("unscored", "partly scored"):
        made = [
            row | dict.fromkeys(head.metrics) if state == "unscored" or at % 3 == 0 else row
            for at, row in enumerate(made)
        ]
    store.write_cell(head, made)
    if state == "damaged":
        path = _place(store.folder, head.id).with_suffix(".parquet")
        path.write_bytes(path.read_bytes()[:-50])


def _place(folder: Path, cell: tuple[str, str, str]) -> Path:
    member, task, variant = cell
    return folder / "cells" / slug(member) / f"{slug(task)}.{slug(variant)}.json"


def make_run(folder: Path, pool: Path, states: Mapping[Cell, str]) -> Path:
    """Put a run together: every cell, whole but for those of another state."""
    Store(folder).write_manifest(manifest())
    for cell in CELLS:
        header_file = _place(pool / states.get(cell, "whole"), cell)
        for file in (header_file, header_file.with_suffix(".parquet")):
            if file.exists():
                target = folder / file.relative_to(pool / states.get(cell, "whole"))
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(file, target)
    return folder
