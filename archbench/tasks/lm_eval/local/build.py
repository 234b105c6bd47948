"""lm-eval's own tasks over local files: only the place of the data in their YAMLs is replaced."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from archbench.errors import RequestError, RunError
from archbench.tasks.entry import ENTRY
from archbench.tasks.lm_eval.declared import CLASSES, declared, evaluated_split, leaves, shots_split
from archbench.tasks.lm_eval.local.folders import dataset_of, rows_of

_EXTRAS = ("longbench",)
"""Folders of lm-eval's tasks whose packages are an extra of archbench's, of the same name."""


@contextmanager
def adapted(
    index: dict[str, Any], tasks: list[Any], data: Mapping[str, str], base: int | None = None
) -> Iterator[None]:
    """While it lasts, lm-eval's index builds these tasks over local files, and SQuAD v2 with item scores.

    Args:
        index: `TaskManager.task_index`; the entries are put back afterwards.
        tasks: What will be loaded.
        data: Folders by name of task, group or tag.
        base: What answers in them that are numbers are counted from; None as the data sets' own.
    """
    names = [name for name in tasks if isinstance(name, str)]
    replaced = {}
    for name in names:
        for leaf in leaves(index, name):
            if name in data or leaf in CLASSES:
                replaced[leaf] = index[leaf]
                index[leaf] = _over(index[leaf], data.get(name), base)
    try:
        yield
    finally:
        index.update(replaced)


def _over(entry: Any, folder: str | None, base: int | None) -> Any:
    """An index entry whose task is a subclass that reads a folder, or the hub where it is None."""
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    settings = load_yaml(entry.yaml_path, resolve_func=True)
    task = declared(entry)
    if entry.name == "squadv2":
        from archbench.tasks.lm_eval.local.squad import SquadV2

        parent: Any = SquadV2
        settings["class"] = type(
            "SquadV2", (parent,), {"download": _reader(entry.name, task, folder, base)} if folder else {}
        )
    else:
        parent = ConfigurableTask
        parts = {"__init__": _without_class, "download": _reader(entry.name, task, str(folder), base)}
        settings["class"] = type("LocalTask", (parent,), parts)
    found = copy.copy(entry)
    found.cfg, found.yaml_path = settings, None
    return found


def _without_class(self: Any, config: dict[str, Any]) -> None:
    # lm-eval hands over the whole YAML, but its TaskConfig does not know the key that named the class.
    super(type(self), self).__init__(config={key: value for key, value in config.items() if key != "class"})


def _reader(name: str, task: Mapping[str, Any], folder: str, base: int | None) -> Callable[..., None]:
    """A `download` that reads the splits of a folder."""

    def download(self: Any, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        where, evaluated = f"data {folder}", str(evaluated_split(task))
        rows = rows_of(task, name, folder, evaluated, where, base)
        if rows is None:
            raise RunError(f"{where}: the {evaluated} split is gone. It was there when the run was planned.")
        content = {evaluated: dataset_of(f"{where}, split {evaluated}", rows)}
        for split in {shots_split(task), task.get("training_split"), task.get("validation_split")}:
            if split is not None and split not in content:
                more = rows_of(task, name, folder, split, where, base)
                # lm-eval reads the shots even where their number is 0.
                content[split] = (
                    content[evaluated].select([])
                    if more is None
                    else dataset_of(f"{where}, split {split}", more)
                )
        self.dataset = content

    return download


def check_imports(entry: Any, task: str) -> None:
    """Make sure that the code which a task's YAML names can be imported.

    Args:
        entry: The task, from lm-eval's index.
        task: Its name in the suite, for messages.

    Raises:
        RequestError: A package is missing, or the code fails otherwise.
    """
    from lm_eval.tasks._yaml_loader import load_yaml

    if entry.kind.name != "TASK" or entry.yaml_path is None:
        return
    try:
        load_yaml(entry.yaml_path, resolve_func=True)
    except ImportError as error:
        reason = " ".join(str(error).split())[:200].rstrip(". ")
        extra = Path(entry.yaml_path).parent.name
        install = f"Install it: pip install 'archbench[{extra}]'" if extra in _EXTRAS else "Install it"
        raise RequestError(
            f"lm-eval's task '{task}' needs a package that is not installed: {reason}. {install}; or take "
            "the task out of the suite."
        ) from error
    except Exception as error:  # the task's own code: many types, one remedy
        reason = " ".join(str(error).split())[:200].rstrip(". ")
        raise RequestError(
            f"The code of lm-eval's task '{task}' cannot be loaded ({type(error).__name__}: {reason}). Take "
            "the task out of the suite, or provide what its code needs."
        ) from error


def check_hub(repository: str, task: str, splits: list[str]) -> None:
    """Make sure that a data set of the hub is in the local cache or can be fetched.

    Args:
        repository: The data set's id, or a folder or file format, which need no hub.
        task: The lm-eval task that reads it, for messages.
        splits: Splits that a local stand-in would need, for messages.

    Raises:
        RequestError: It can neither be found nor fetched; the message says what to do instead.
    """
    import datasets

    if "/" not in repository or Path(repository).exists():
        return
    cache = Path(datasets.config.HF_DATASETS_CACHE)
    if (cache / repository.replace("/", "___")).is_dir():
        return
    if datasets.config.HF_HUB_OFFLINE:
        why = "offline mode is on: HF_HUB_OFFLINE or HF_DATASETS_OFFLINE is set"
    else:
        from huggingface_hub import HfApi

        try:
            HfApi().dataset_info(repository, timeout=10)
            return
        except Exception as error:  # network, login, name: many types, one remedy
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".rstrip(". ")
    files = " and ".join(f"{split}.jsonl" for split in dict.fromkeys(splits))
    raise RequestError(
        f"lm-eval's task '{task}' reads the data set '{repository}', which is not in this machine's cache "
        f"({cache}) and cannot be fetched from the hub ({why}). Put its rows, in its own columns, into "
        f"{files} (or .parquet, .json) in a folder and name it: `data: {{{task}: FOLDER}}` under the entry, "
        f"or --set {ENTRY}.data=FOLDER (docs/standard12.md); or run it once where the hub can be reached."
    )
