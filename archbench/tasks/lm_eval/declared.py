"""Where the tasks of lm-eval's index read their data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What lm-eval's Python tasks declare in code, where YAMLs have keys.
CLASSES: dict[str, dict[str, Any]] = {
    "squadv2": {
        "training_split": "train",
        "validation_split": "validation",
        "dataset_path": "lighteval/squad_v2",
    }
}


def declared(entry: Any) -> dict[str, Any]:
    """Where a task of lm-eval's index reads its data: its YAML's keys, or those kept here for a class."""
    return dict(entry.cfg or {}) | CLASSES.get(entry.name, {})


def hub_data(task: Mapping[str, Any]) -> str | None:
    """The data set that a task loads by name; None where its own code makes or loads the data."""
    if evaluated_split(task) is None or "custom_dataset" in task or not task.get("dataset_path"):
        return None
    return str(task["dataset_path"])


def leaves(index: Mapping[str, Any], name: str) -> list[str]:
    """Names of the single tasks that a task, group or tag of lm-eval's index stands for.

    Tasks that are written out inside a group have no name of their own and are left out.
    """
    if name not in index:
        return []
    entry = index[name]
    if entry.kind.name == "TAG":
        return [one for tagged in sorted(entry.tags) for one in leaves(index, tagged)]
    if entry.kind.name != "GROUP":
        return [name]
    children = (entry.cfg or {}).get("task") or []
    named = [one if isinstance(one, str) else one.get("task") or one.get("group") for one in children]
    found = [one for child in named if isinstance(child, str) for one in leaves(index, child)]
    return list(dict.fromkeys(found))


def evaluated_split(task: Mapping[str, Any]) -> str | None:
    """The split whose documents are evaluated: lm-eval takes `test`, else `validation`."""
    return task.get("test_split") or task.get("validation_split")


def shots_split(task: Mapping[str, Any]) -> str | None:
    """The split that shots are taken from, by lm-eval's own order."""
    return named_split(task) or task.get("training_split") or task.get("validation_split")


def named_split(task: Mapping[str, Any]) -> str | None:
    """The split that a YAML itself names for shots."""
    return task.get("fewshot_split") or (task.get("fewshot_config") or {}).get("split")


def has_own_shots(task: Mapping[str, Any]) -> bool:
    """Whether the YAML itself contains the shots."""
    return bool((task.get("fewshot_config") or {}).get("samples"))
