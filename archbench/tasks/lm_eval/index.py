"""lm-eval's index of tasks, groups and tags, and a user's own task YAMLs next to them."""

from __future__ import annotations

import importlib.metadata
from functools import cache
from typing import Any

from archbench.errors import RequestError, did_you_mean
from archbench.tasks.lm_eval.support import metric_names


@cache
def task_manager(include: tuple[str, ...] = ()) -> Any:
    """lm-eval's `TaskManager` with its own tasks and those of further folders.

    Reads some 14,000 YAML files, once per process and choice of folders.

    Args:
        include: Folders of task YAMLs, by their whole paths.

    Raises:
        RequestError: A folder names a task, group or tag that lm-eval or another folder has too.
    """
    from lm_eval.tasks import TaskManager

    if not include:
        return TaskManager()
    known, found = dict(task_manager().task_index), TaskManager(include_path=list(include))
    for folder in include:
        own = TaskManager(include_path=folder, include_defaults=False).task_index
        # Tags are labels: tasks of any folder may share them, but none may be called like a task or group.
        tags = {name for name, entry in known.items() if entry is not None and entry.kind.name == "TAG"}
        own_tags = {name for name, entry in own.items() if entry.kind.name == "TAG"}
        names = own.keys() - own_tags
        if twice := sorted((names & known.keys()) | (own_tags & (known.keys() - tags))):
            raise RequestError(
                f"include_path: {folder} has a task, group or tag called '{twice[0]}', which "
                "lm-eval or another folder has too, so that the name is ambiguous. Rename it in its YAML."
            )
        known |= own
    return found


def task_index(include: tuple[str, ...] = ()) -> dict[str, Any]:
    """lm-eval's task index: name to `Entry`."""
    entries: dict[str, Any] = task_manager(include).task_index
    return entries


def known(name: str, include: tuple[str, ...] = ()) -> Any:
    """Entry of a task, group or tag.

    Raises:
        RequestError: There is none of that name.
    """
    entries = task_index(include)
    if name not in entries:
        raise RequestError(
            f"lm-eval {importlib.metadata.version('lm_eval')} has no task, group or tag '{name}'. "
            + did_you_mean(name, entries, label="Names")
        )
    return entries[name]


def generates(entry: Any) -> bool:
    """Whether a task generates text, as far as its YAML says; a class may always generate."""
    cfg = entry.cfg or {}
    return "class" in cfg or cfg.get("output_type", "generate_until") == "generate_until"


def first_metric(name: str, include: tuple[str, ...] = ()) -> str:
    """The metric that a task, or the first task of a group or tag, declares first.

    Raises:
        RequestError: It declares none.
    """
    entry = known(name, include)
    if entry.kind.name in ("GROUP", "TAG"):
        first = entry.cfg["task"] if entry.cfg else min(entry.tags)
        while not isinstance(first, str):  # groups may be written out inside a group
            first = first[0] if isinstance(first, list) else first.get("task") or first.get("group") or ""
        if first in task_index(include):
            return first_metric(first, include)
    elif entry.kind.name != "PY_TASK" or entry.cfg.get("metric_list"):
        return metric_names(entry.cfg)[0]
    raise RequestError(
        f"lm-eval's '{name}' does not declare its metrics in YAML: name the one to report with `metric`."
    )
