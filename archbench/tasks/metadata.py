"""Checks of task settings in lm-eval metadata, which also hold keys of lm-eval and the model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from archbench.errors import RequestError

_CLOSE = 0.75
"""Similarity (difflib's ratio) from which a key is taken for a misspelt one."""


def refuse_misspelt(keys: Iterable[str], dataset: Callable[..., Any], tasks: str) -> None:
    """Refuse keys of the metadata that are nearly a setting of a task.

    Others pass: lm-eval hands over the model's arguments with the metadata, whatever they are. One
    that has a whole setting as a part of it (`max_length`, `tokenizer_mode`) is such an argument.

    Args:
        keys: The keys that the task does not know.
        dataset: What builds its data: its parameters with a default are the settings; the YAML gives others.
        tasks: Name of the tasks, for the message.

    Raises:
        RequestError: A key is nearly one of the settings.
    """
    parameters = inspect.signature(dataset).parameters.values()
    settings = [one.name for one in parameters if one.default is not one.empty]
    for key in keys:
        near = get_close_matches(key, settings, n=1, cutoff=_CLOSE)
        if near and not {*key.split("_")} & {*settings}:
            raise RequestError(
                f"lm-eval metadata: '{key}' is not a setting of the {tasks} tasks. Did you mean '{near[0]}'? "
                f"Their settings: {', '.join(sorted(settings))}."
            )


def check_settings(entry: type[BaseModel], values: Mapping[str, Any], tasks: str) -> None:
    """Check settings against the suite entry of the same kind.

    Args:
        entry: The entry's model, which has settings of these names.
        values: The settings.
        tasks: Name of the tasks, for the message.

    Raises:
        RequestError: A setting is of the wrong type or out of its bounds.
    """
    try:
        entry.model_validate(values, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RequestError(
            f"lm-eval metadata of the {tasks} tasks, {where}: {first['msg']}, but it is {first['input']!r}."
        ) from None
