"""lm-eval's own tasks over local files: everything of their YAMLs is kept but where the data come from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from archbench.errors import RequestError, RunError
from archbench.tasks.columns import check_rows, columns_of
from archbench.tasks.entry import ENTRY
from archbench.tasks.splits import holdings, split_rows

# What lm-eval's tasks that are classes say in code, where YAMLs have keys.
_CLASSES: dict[str, dict[str, Any]] = {
    "squadv2": {
        "training_split": "train",
        "validation_split": "validation",
        "dataset_path": "lighteval/squad_v2",
    }
}

_EXTRAS = ("longbench",)
"""Folders of lm-eval's tasks whose packages are an extra of archbench's, of the same name."""


def declared(entry: Any) -> dict[str, Any]:
    """Where a task of lm-eval's index reads its data: its YAML's keys, or those that stand for a class."""
    return dict(entry.cfg or {}) | _CLASSES.get(entry.name, {})


def hub_data(task: Mapping[str, Any]) -> str | None:
    """The data set that a task loads by name; None where code makes the data, from where it knows alone."""
    if asked_split(task) is None or "custom_dataset" in task or not task.get("dataset_path"):
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


def asked_split(task: Mapping[str, Any]) -> str | None:
    """The split whose documents are asked: lm-eval takes `test`, else `validation`."""
    return task.get("test_split") or task.get("validation_split")


def shots_split(task: Mapping[str, Any]) -> str | None:
    """The split that shots are taken from, by lm-eval's own order."""
    return _said_split(task) or task.get("training_split") or task.get("validation_split")


def _said_split(task: Mapping[str, Any]) -> str | None:
    return task.get("fewshot_split") or (task.get("fewshot_config") or {}).get("split")


def _written_out(task: Mapping[str, Any]) -> bool:
    """Whether the YAML itself has the shots."""
    return bool((task.get("fewshot_config") or {}).get("samples"))


def check_folder(entry: Any, folder: str, shots: int, where: str) -> None:
    """Read a task's files and make sure that they hold what it reads.

    Args:
        entry: The task, from lm-eval's index.
        folder: The folder.
        shots: Largest number of shots asked for.
        where: The suite's key that names the folder, for messages.

    Raises:
        RequestError: A split is missing, a row is not as expected, or there are too few shots.
    """
    task = declared(entry)
    if asked_split(task) is None or ("class" in task and entry.name not in _CLASSES):
        raise RequestError(
            f"{where}: lm-eval's task '{entry.name}' makes its data in code, so local files cannot stand in "
            "for them. Take the task out of `data`."
        )
    shot_split = shots_split(task) if shots and not _written_out(task) else None
    for split in dict.fromkeys(one for one in (asked_split(task), shot_split) if one is not None):
        rows = _rows(where, folder, task.get("dataset_name"), split)
        if rows is None:
            use = "the questions asked" if split == asked_split(task) else f"the {shots} shots"
            raise RequestError(
                f"{where}: the folder has no {split} split, which holds {use} of lm-eval's '{entry.name}'; "
                f"{split}.parquet, {split}.jsonl or {split}.json is expected in {folder}. It holds "
                f"{holdings(folder, task.get('dataset_name'))}."
            )
        check_rows(f"{where}, split {split}", rows, columns_of(entry.name))
        # lm-eval draws one to spare, in case it draws the question itself, wherever the split that shots are
        # said to come from is the test split; both are None in some tasks.
        most = len(rows) - (_said_split(task) == task.get("test_split"))
        if split == shot_split and most < shots:
            raise RequestError(
                f"{where}: {shots} shots are asked for, but the {split} split has {len(rows)} rows for "
                f"'{entry.name}'. Ask for at most {most}."
            )


def _rows(where: str, folder: str, name: str | None, split: str) -> list[dict[str, Any]] | None:
    """Rows of a split; of one file for all of MMLU, those of the subject that the configuration names."""
    rows = split_rows(where, folder, name, split)
    if rows and name is not None and all("subject" in row for row in rows):
        subjects = {row["subject"] for row in rows}
        if subjects != {""}:
            rows = [row for row in rows if row["subject"] == name]
            if not rows:
                raise RequestError(
                    f"{where}: no row of the {split} split has the subject '{name}'. The file has "
                    f"{', '.join(sorted(map(str, subjects))[:8])}; name the subjects' own tasks "
                    "(mmlu_anatomy, ...) where not all are there."
                )
    return rows


@contextmanager
def adapted(index: dict[str, Any], tasks: list[Any], data: Mapping[str, str]) -> Iterator[None]:
    """While it lasts, lm-eval's index builds these tasks over local files, and SQuAD v2 with item scores.

    Args:
        index: `TaskManager.task_index`; the entries are put back afterwards.
        tasks: What will be loaded.
        data: Folders by name of task, group or tag.
    """
    names = [name for name in tasks if isinstance(name, str)]
    replaced = {}
    for name in names:
        for leaf in leaves(index, name):
            if name in data or leaf in _CLASSES:
                replaced[leaf] = index[leaf]
                index[leaf] = _over(index[leaf], data.get(name))
    try:
        yield
    finally:
        index.update(replaced)


def _over(entry: Any, folder: str | None) -> Any:
    """An index entry whose task is a subclass that reads a folder, or the hub where it is None."""
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    settings = load_yaml(entry.yaml_path, resolve_func=True)
    task = declared(entry)
    if entry.name == "squadv2":
        from archbench.tasks.squad import SquadV2

        base: Any = SquadV2
        settings["class"] = type("SquadV2", (base,), {"download": _reader(task, folder)} if folder else {})
    else:
        base = ConfigurableTask
        parts = {"__init__": _without_class, "download": _reader(task, str(folder))}
        settings["class"] = type("LocalTask", (base,), parts)
    found = copy.copy(entry)
    found.cfg, found.yaml_path = settings, None
    return found


def _without_class(self: Any, config: dict[str, Any]) -> None:
    # lm-eval hands over the whole YAML, but its TaskConfig does not know the key that named the class.
    super(type(self), self).__init__(config={key: value for key, value in config.items() if key != "class"})


def _reader(task: Mapping[str, Any], folder: str) -> Callable[..., None]:
    """A `download` that reads the splits of a folder."""

    def download(self: Any, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        import datasets

        where, name = f"data {folder}", task.get("dataset_name")
        asked = asked_split(task)
        rows = _rows(where, folder, name, str(asked))
        if rows is None:
            raise RunError(f"{where}: the {asked} split is gone. It was there when the run was planned.")
        content = {str(asked): datasets.Dataset.from_list(rows)}
        for split in {shots_split(task), task.get("training_split"), task.get("validation_split")}:
            if split is not None and split not in content:
                more = _rows(where, folder, name, split)
                # lm-eval looks at the shots even where none are asked for.
                content[split] = (
                    content[str(asked)].select([]) if more is None else datasets.Dataset.from_list(more)
                )
        self.dataset = content

    return download


def check_imports(entry: Any, task: str) -> None:
    """Make sure that the code which a task's YAML names can be imported.

    Args:
        entry: The task, from lm-eval's index.
        task: What the suite calls it, for messages.

    Raises:
        RequestError: A package is missing, or the code fails otherwise.
    """
    from lm_eval.tasks._yaml_loader import load_yaml

    if entry.kind.name != "TASK" or entry.yaml_path is None:
        return
    try:
        load_yaml(entry.yaml_path, resolve_func=True)
    except ImportError as error:
        told = " ".join(str(error).split())[:200].rstrip(". ")
        extra = Path(entry.yaml_path).parent.name
        install = f"Install it: pip install 'archbench[{extra}]'" if extra in _EXTRAS else "Install it"
        raise RequestError(
            f"lm-eval's task '{task}' needs a package that is not installed: {told}. {install}; or take the "
            "task out of the suite."
        ) from error
    except Exception as error:  # the task's own code: many types, one remedy
        told = " ".join(str(error).split())[:200].rstrip(". ")
        raise RequestError(
            f"The code of lm-eval's task '{task}' cannot be loaded ({type(error).__name__}: {told}). Take "
            "the task out of the suite, or give it what it asks for."
        ) from error


def check_hub(repository: str, task: str, splits: list[str]) -> None:
    """Make sure that a data set of the hub is in the local cache or can be fetched.

    Args:
        repository: The data set's id, or a folder or file format, which need no hub.
        task: The lm-eval task that reads it, for messages.
        splits: Splits that a local stand-in would need, for messages.

    Raises:
        RequestError: It can neither be found nor fetched; says what to do instead.
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
        f"({cache}) and cannot be had from the hub ({why}). Put its rows, in its own columns, into {files} "
        f"(or .parquet, .json) in a folder and name it: `data: {{{task}: FOLDER}}` under the entry, or "
        f"--set {ENTRY}.data=FOLDER (docs/standard12.md); or run it once where the hub can be reached."
    )
