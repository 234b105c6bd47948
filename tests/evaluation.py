"""A variant evaluated on a model that is there already."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from archbench.tasks.entry import Variant
from archbench.tasks.work import Evaluation, LmEval
from archbench.tasks.work.evaluate import evaluate


def evaluate_variant(lm: Any, variant: Variant, *, limit: int | None = None, seed: int = 0) -> Evaluation:
    """Put a variant's items to a model; `limit` stands for the work's own where given."""
    work = variant.work
    assert isinstance(work, LmEval)
    if limit is not None:
        work = replace(work, limit=limit)
    return evaluate(lm, work, metric=variant.metric, seed=seed)
