"""A variant's tasks, as lm-eval builds them: with the data, shots and prompts that the variant asks for."""

from __future__ import annotations

import contextlib
import json
import logging
import random
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import datasets
import lm_eval.api.task
import numpy as np
import torch
from lm_eval.tasks import TaskManager

from archbench import paths
from archbench.answers import SKIP
from archbench.errors import RunError
from archbench.tasks.entry import Variant
from archbench.tasks.lm_eval import entry as stock
from archbench.tasks.lm_eval.local.build import adapted
from archbench.tasks.lm_eval.perturb import perturb_task


def load_tasks(variant: Variant, seed: int) -> dict[str, Any]:
    """What `lm_eval.evaluator.evaluate` takes: the variant's tasks, ready to be asked.

    Args:
        variant: The variant.
        seed: Seed of task construction and of the choice of shots.

    Raises:
        RunError: A task fixes its number of shots and the variant asks for another.
    """
    seed_all(seed)
    metadata = json.dumps(variant.metadata, sort_keys=True)
    manager = stock.task_manager() if variant.stock else _own_tasks(metadata)
    with adapted(manager.task_index, variant.tasks, variant.data, variant.metadata.get("answer_base")):
        loaded: dict[str, Any] = manager.load(list(variant.tasks))
    for name, task in loaded["tasks"].items():
        _set_shots(name, task, variant.num_fewshot, seed)
        if hasattr(task, "generation_kwargs"):
            task.set_config(key="generation_kwargs", value=dict(task.generation_kwargs))
        elif variant.metadata.get(SKIP):
            _skip_white_space(task)
        if variant.stock and "perturb" in variant.metadata:
            perturb_task(name, task, variant.metadata["perturb"])
    return loaded


@lru_cache(maxsize=8)
def _own_tasks(metadata: str) -> TaskManager:
    """lm-eval's task index with our tasks alone, which reach their settings as metadata."""
    return TaskManager(
        include_path=str(paths.shared("tasks")), include_defaults=False, metadata=json.loads(metadata)
    )


def _set_shots(name: str, task: Any, shots: int | None, seed: int) -> None:
    """Number and seed of the shots, as `lm_eval.simple_evaluate` sets them, but never silently not."""
    own = task.get_config("num_fewshot")
    if shots is not None and own == 0 and shots > 0:
        raise RunError(
            f"lm-eval's task '{name}' fixes its number of shots to 0 (its prompt has them, or they make no "
            f"sense there), so {shots} shots cannot be given. Take num_fewshot out of the entry."
        )
    task.set_config(key="num_fewshot", value=own or 0 if shots is None else shots)
    task.set_fewshot_seed(seed=seed)


def _skip_white_space(task: Any) -> None:
    """Ask for it in every generation of a task of lm-eval, also where its class makes the requests."""
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
