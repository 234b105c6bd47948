"""lm-eval tasks put to a model through lm-eval's evaluator, and what came of every item."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from lm_eval import evaluator
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from archbench.errors import RunError, did_you_mean
from archbench.tasks.work.base import Evaluation, Row
from archbench.tasks.work.item_rows import item_rows, scores
from archbench.tasks.work.loading import load_tasks, quiet, seed_all

if TYPE_CHECKING:
    from archbench.tasks.work.lm_eval import LmEval


def evaluate(lm: Any, work: LmEval, *, metric: str | None, seed: int) -> Evaluation:
    """Put the items of tasks to a model.

    lm-eval's two caches stay off: their keys leave out the model and the prompt. So does its choice of single
    documents (`samples=`), which labels them wrongly unless they are in ascending order.

    Args:
        lm: An lm-eval `LM`; where it has `token_counts`, items carry lengths in tokens.
        work: The tasks.
        metric: The primary metric, which must be a score of single items; None where any is fine.
        seed: Seed of everything random: task construction, choice of shots, sampling.

    Raises:
        RunError: The tasks cannot be loaded as requested, the primary metric is no score of single items, or
            a number of an item is not finite.
    """
    with quiet():
        loaded = load_tasks(work, seed)
        seed_all(seed)
        results = evaluator.evaluate(lm, loaded, limit=work.limit, bootstrap_iters=0, log_samples=True)
    tasks = loaded["tasks"]
    # archbench's own tasks give their documents ids; others are identified by task and position.
    rows = [
        row
        for name, task in tasks.items()
        for row in item_rows(
            results["samples"][name],
            task,
            token_counts=getattr(lm, "token_counts", _unknown),
            prompt_length=partial(_prompt_length, lm),
            excluded=getattr(lm, "excluded", _never),
            prefix=name if work.library else None,
            subject=name if len(tasks) > 1 else None,
        )
    ]
    _check_finite(rows, ", ".join(tasks))
    metrics = scores(rows)
    if metric is not None and metric not in metrics:
        hint = did_you_mean(metric, metrics, label="Scores of single items")
        raise RunError(f"The metric '{metric}' of {', '.join(tasks)} is no score of single items. {hint}")
    excluded = sum(row.get("excluded", False) for row in rows)
    return Evaluation(rows, tuple(metrics), {} if excluded else dict(results["results"]), excluded)


def texts(work: LmEval, *, seed: int) -> list[str]:
    """Every text that tasks put to a model, each once, in order."""
    recorder = _Recorder()
    evaluate(recorder, work, metric=None, seed=seed)
    return list(dict.fromkeys(recorder.texts))


class _Recorder(LM):  # type: ignore[misc] # lm-eval is not typed
    """A model that only records its requests."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        self.texts += [part for one in requests for part in (one.args[0], one.args[0] + one.args[1])]
        return [(-1.0, False)] * len(requests)

    def loglikelihood_rolling(self, requests: Sequence[Instance]) -> list[float]:
        self.texts += [one.args[0] for one in requests]
        return [-1.0] * len(requests)

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        self.texts += [one.args[0] for one in requests]
        return [""] * len(requests)


def _check_finite(rows: list[Row], tasks: str) -> None:
    """Refuse NaN and infinities: the best choice would be arbitrary, and no mean would be a number."""
    for row in rows:
        for name, value in row.items():
            for one in value if name == "loglikelihoods" and value is not None else (value,):
                if isinstance(one, float) and not math.isfinite(one):
                    raise RunError(
                        f"'{name}' of item {row['item']} of {tasks} is {one}, which is no finite number: "
                        "the model diverged, its dtype overflows, or the metric cannot be computed from this "
                        "answer. Check its weights, or load it in bfloat16 or float32."
                    )


def _prompt_length(lm: Any, prompt: str) -> int | None:
    """Tokens of a prompt, where the backend can count them."""
    encode = getattr(lm, "tok_encode", None)
    return len(encode(prompt)) if encode is not None else None


def _never(arguments: Any) -> bool:
    """Exclusion by a model that excludes nothing."""
    return False


def _unknown(context: str, continuation: str) -> None:
    """Token counts of a backend that does not report them."""
