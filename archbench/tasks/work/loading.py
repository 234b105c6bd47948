"""lm-eval tasks as lm-eval builds them: with the data, shots and prompts of a work."""

from __future__ import annotations

import contextlib
import json
import logging
import random
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import datasets
import lm_eval.api.task
import numpy as np
import torch
from lm_eval.tasks import TaskManager

from archbench import paths
from archbench.answers import SKIP
from archbench.errors import RunError
from archbench.tasks.lm_eval import index
from archbench.tasks.lm_eval.local.build import adapted
from archbench.tasks.lm_eval.perturb import perturb_task

if TYPE_CHECKING:
    from archbench.tasks.work.lm_eval import LmEval


def load_tasks(work: LmEval, seed: int) -> dict[str, Any]:
    """What `lm_eval.evaluator.evaluate` takes: a work's tasks, ready to be evaluated.

    Args:
        work: The tasks.
        seed: Seed of task construction and of the choice of shots.

    Raises:
        RunError: A task fixes its number of shots and the work has another.
    """
    seed_all(seed)
    metadata = json.dumps(work.metadata, sort_keys=True)
    manager = index.task_manager(work.include) if work.library else _own_tasks(metadata)
    with adapted(manager.task_index, work.tasks, work.data, work.metadata.get("answer_base")):
        loaded: dict[str, Any] = manager.load(list(work.tasks))
    for name, task in loaded["tasks"].items():
        _set_shots(name, task, work.num_fewshot, seed)
        if hasattr(task, "generation_kwargs"):
            task.set_config(key="generation_kwargs", value=dict(task.generation_kwargs))
        elif work.metadata.get(SKIP):
            _skip_white_space(task)
        if work.library and "perturb" in work.metadata:
            perturb_task(name, task, work.metadata["perturb"])
    return loaded


@lru_cache(maxsize=8)
def _own_tasks(metadata: str) -> TaskManager:
    """lm-eval's task index with our tasks alone, which get their settings as metadata."""
    return TaskManager(
        include_path=str(paths.shared("tasks")), include_defaults=False, metadata=json.loads(metadata)
    )


def _set_shots(name: str, task: Any, shots: int | None, seed: int) -> None:
    """Set number and seed of the shots as `lm_eval.simple_evaluate` does, but never skip it silently."""
    own = task.get_config("num_fewshot")
    if shots is not None and own == 0 and shots > 0:
        raise RunError(
            f"lm-eval's task '{name}' fixes its number of shots to 0 (its prompt has them, or they make no "
            f"sense there), so {shots} shots cannot be given. Take num_fewshot out of the entry."
        )
    task.set_config(key="num_fewshot", value=own or 0 if shots is None else shots)
    task.set_fewshot_seed(seed=seed)


def _skip_white_space(task: Any) -> None:
    """Set it in every generation request of an lm-eval task, also where its class makes the requests."""
    construct = task.construct_requests

    def with_setting(*args: Any, **kwargs: Any) -> Any:
        made = construct(*args, **kwargs)
        for request in made if isinstance(made, list) else [made]:
            if request.request_type == "generate_until":
                prompt, settings, *rest = request.arguments
                request.arguments = (prompt, {**settings, SKIP: True}, *rest)
        return made

    task.construct_requests = with_setting


def seed_all(seed: int) -> None:
    """Seed the global generators that lm-eval and its tasks draw from."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - tasks of lm-eval draw from this one
    torch.manual_seed(seed)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep lm-eval's narration and everybody's bars off the terminal; warnings still come through."""
    logger, tasks = logging.getLogger("lm_eval"), logging.getLogger(lm_eval.api.task.__name__)
    level = logger.level
    had_bars = datasets.are_progress_bars_disabled()
    bar: Callable[..., Any] = lm_eval.api.task.tqdm
    logger.setLevel(logging.WARNING)
    tasks.addFilter(_is_news)
    datasets.disable_progress_bars()
    lm_eval.api.task.tqdm = partial(bar, disable=True)
    try:
        yield
    finally:
        logger.setLevel(level)
        tasks.removeFilter(_is_news)
        lm_eval.api.task.tqdm = bar
        if not had_bars:
            datasets.enable_progress_bars()


def _is_news(record: logging.LogRecord) -> bool:
    """lm-eval announces every task that builds its own data with a hint about its command line."""
    return "Custom kwargs can be passed" not in record.getMessage()
