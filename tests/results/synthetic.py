"""Made-up runs with planted truths, for the tests of results and report."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from archbench.results.frames import RunResults, load_results
from archbench.results.header import CellHeader
from archbench.results.store import Store

SUBJECTS = {"algebra": "STEM", "physics": "STEM", "law": "humanities", "history": "humanities"}
Right = Callable[[int, np.random.Generator], np.ndarray]


def share(p: float) -> Right:
    """Exactly a share `p` of the items right, at random places."""
    return lambda n, rng: rng.permutation(np.arange(n) < round(p * n)).astype(float)


def header(
    member: str = "a", task: str = "mmlu", variant: str = "standard-5shot", **fields: Any
) -> CellHeader:
    given: dict[str, Any] = {
        "kind": "mmlu",
        "labels": {"format": "standard", "shots": 5},
        "metric": "acc",
        "metrics": ("acc", "acc_norm", "acc_token"),
        "chance": 0.25,
        "key": "k1",
        "items": 4,
        "seconds": 2.0,
        "started": "2026-01-02T03:04:05Z",
        "finished": "2026-01-02T03:04:07Z",
    }
    return CellHeader(member=member, task=task, variant=variant, **given | fields)


def rows(
    right: Sequence[float | None], *, subjects: Mapping[str, str | None] = SUBJECTS
) -> list[dict[str, Any]]:
    """One item row per score, with log-likelihoods that fit it; metrics acc, acc_norm and no acc_token."""
    made = []
    names = list(subjects)
    for index, score in enumerate(right):
        subject = names[index % len(names)]
        choice = 0 if score else 1
        made.append(
            {
                "item": f"{subject}/{index:05d}",
                "doc": index,
                "subject": subject,
                "category": subjects[subject],
                "prompt_hash": hashlib.sha256(f"prompt {index}".encode()).hexdigest(),
                "target": "0",
                "choices": [" A", " B", " C", " D"],
                "loglikelihoods": [-1.0 - (choice != 0), -1.0 - (choice != 1), -3.0, -4.0],
                "choice_tokens": None,
                "choice_chars": [2, 2, 2, 2],
                "prompt_tokens": 20 + index,
                "prediction": str(choice),
                "margin": 1.0 if index % 50 else 0.0,
                "acc": score,
                "acc_norm": score,
                "acc_token": None,
            }
        )
    return made


def loss_header(member: str, variant: str, context: int, **fields: Any) -> CellHeader:
    """Header of a cell of perplexity."""
    known = {"kind": "perplexity", "labels": {"context": context}, "chance": None}
    scored = {"metric": "compression", "metrics": ("compression",)}
    return header(member, "text", variant, **known | scored | fields)


def losses(compression: Sequence[float]) -> list[dict[str, Any]]:
    """One item row per passage of a text."""
    return [
        {
            "item": f"{at}",
            "prompt_hash": f"{at}",
            "target": "text",
            "loglikelihoods": [-30.0 * (1 - saved)],
            "compression": saved,
            "position": 0,
            "tokens": 16,
            "bytes": 40,
            "passage": f"p{at}",
        }
        for at, saved in enumerate(compression)
    ]


def make_run(
    folder: Path,
    members: Mapping[str, Mapping[str, Right] | Right],
    *,
    n: int = 400,
    conditions: Mapping[str, Mapping[str, Any]] | None = None,
    task: str = "mmlu",
    manifest: Mapping[str, Any] | None = None,
    subjects: Mapping[str, str | None] = SUBJECTS,
    seed: int = 0,
) -> RunResults:
    """A run in which each member answers every condition with a planted share of right answers."""
    conditions = conditions or {"standard-5shot": {"format": "standard", "shots": 5}}
    store = Store(folder)
    plan = {
        "name": "made-up",
        "members": [{"name": name} for name in members],
        "conditions": [{"task": task, "variant": variant} for variant in conditions],
        "seed": seed,
    }
    store.write_manifest({**plan, **(manifest or {})})
    rng = np.random.default_rng(seed)
    for member, rights in members.items():
        for variant, labels in conditions.items():
            right = rights[variant] if isinstance(rights, Mapping) else rights
            head = header(
                member, task, variant, labels=labels, items=n, tokens_requested=1000, tokens_forwarded=250
            )
            store.write_cell(head, rows(right(n, rng), subjects=subjects))
    return load_results(folder)


def planted(folder: Path, *, n: int = 1200, **options: Any) -> RunResults:
    """Four members: A; B, truly ten points better; C, as good as A on other items; D, guessing."""

    def base(n: int) -> np.ndarray:
        return np.random.default_rng(99).permutation(np.arange(n) < 0.5 * n).astype(float)

    def better(n: int, rng: np.random.Generator) -> np.ndarray:
        right = base(n)
        right[rng.choice(np.flatnonzero(right == 0), round(0.15 * n), replace=False)] = 1
        right[rng.choice(np.flatnonzero(base(n) == 1), round(0.05 * n), replace=False)] = 0
        return right

    def equal(n: int, rng: np.random.Generator) -> np.ndarray:
        right = base(n)
        up, down = (rng.choice(np.flatnonzero(base(n) == x), round(0.1 * n), replace=False) for x in (0, 1))
        right[up], right[down] = 1, 0
        return right

    members: dict[str, Right] = {"A": lambda n, rng: base(n), "B": better, "C": equal, "D": share(0.25)}
    return make_run(folder, members, n=n, **options)
