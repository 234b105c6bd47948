"""The suite entry `kind: lm_eval`: tasks that come with lm-eval, by name."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from archbench.errors import RequestError, did_you_mean
from archbench.schema import Address, Shots, Whole
from archbench.tasks.answers import SKIP
from archbench.tasks.askable import check_askable, generation_settings, metric_names
from archbench.tasks.declared import asked_split, declared, hub_data, leaves, shots_split
from archbench.tasks.entry import TaskEntry, Variant, path_safe
from archbench.tasks.folders import check_folder
from archbench.tasks.local import check_hub, check_imports
from archbench.tasks.perturb import NEEDED_SHOTS, Perturbation, perturbed
from archbench.tasks.splits import folder_digest


class StockEntry(TaskEntry):
    """Tasks, groups and tags of lm-eval, each a variant of its own for each number of shots.

    Attributes:
        kind: `lm_eval`.
        tasks: Names as `lm_eval ls tasks` prints them. A group or tag is one variant with all its tasks.
        limit: Only the first so many items of each lm-eval task; None for all.
        num_fewshot: Shots per prompt, or several numbers to compare; None leaves each task its own.
        metric: The primary metric; None for the first that the task (of a group: its first task) declares.
        data: Folders whose files are read instead of the hub's data sets, by name of a task in `tasks`; for
            an entry of one task, the folder alone (docs/standard12.md).
        answer_base: Of local data: what answers that are numbers of options are counted from, 0 or 1; as in
            the data set itself where absent, which `notes` says if the data leave it open.
        perturb: Changes to the prompts of multiple-choice tasks, each a variant of its own beside the plain
            one (docs/standard12.md). What a task's prompts do not allow is an error; numbers of shots too
            small for `shot_order` and `separator` are left out where there are larger ones.
        skip_white_space: Whether the answers of tasks that generate begin at the first character that is not
            white space, and stop strings count from there on. lm-eval's own rule where false: an answer that
            begins with a stop string is empty.
    """

    kind: Literal["lm_eval"] = "lm_eval"
    tasks: list[str] = Field(min_length=1)
    num_fewshot: Shots | Annotated[list[Shots], Field(min_length=1)] | None = None
    metric: str | None = None
    data: Address | dict[str, Address] | None = None
    answer_base: Annotated[Literal[0, 1], Whole] | None = None
    perturb: list[Perturbation] = Field(default_factory=list)
    skip_white_space: bool = False

    @field_validator("tasks", "num_fewshot", "perturb")
    @classmethod
    def _each_once(cls, value: Any) -> Any:
        # By what they are called on disk, so that no two variants write the same file.
        names = [path_safe(str(one)) for one in value] if isinstance(value, list) else []
        for again in names:
            if names.count(again) > 1:
                raise ValueError(f"'{again}' is listed more than once")
        return value

    @model_validator(mode="after")
    def _folders_of_its_tasks(self) -> StockEntry:
        if isinstance(self.data, str) and len(self.tasks) > 1:
            raise ValueError(
                f"one folder of data is for one task, but the entry has {len(self.tasks)}; name the folder "
                f"of each: data: {{{self.tasks[0]}: FOLDER}}"
            )
        if self.answer_base is not None and self.data is None:
            raise ValueError("answer_base is for local files: name their folder with data, or take it out")
        for task in self.data if isinstance(self.data, dict) else ():
            if task not in self.tasks:
                raise ValueError(
                    f"data names a folder for {task!r}, which is not among the entry's tasks "
                    f"({', '.join(self.tasks)})"
                )
        return self

    @property
    def folders(self) -> dict[str, str]:
        """Folders of local data by name in `tasks`."""
        return {self.tasks[0]: self.data} if isinstance(self.data, str) else dict(self.data or {})

    def check(self) -> None:
        """Make sure that lm-eval knows the tasks, and that their data are there or can be had.

        Raises:
            RequestError: A name is not lm-eval's; a task declares no metric and the entry names none, or the
                metric is no score of single items; a task cannot be asked with shots, or not at all; it needs
                a package that is not installed; local data are not as the task reads them; a data set is
                neither in the local cache nor to be had from the hub; a task's prompts cannot be changed as
                `perturb` asks; or a task generates nothing, and `skip_white_space` is asked for.
        """
        self.variants()
        numbers = self.num_fewshot if isinstance(self.num_fewshot, list) else [self.num_fewshot or 0]
        asked: set[str] = set()
        for task in self.tasks:
            _known(task)
        for task in self.tasks:
            for leaf in leaves(_index(), task):
                entry = _index()[leaf]
                found = declared(entry)
                check_askable(found, leaf, self.metric or _first_metric(task), max(numbers))
                check_imports(entry, task)
                if self.skip_white_space and not _generates(entry):
                    raise RequestError(
                        f"skip_white_space: lm-eval's task '{leaf}' generates no text "
                        f"(output_type: {found.get('output_type')}). Take skip_white_space out of the "
                        "entry, or put the tasks that generate into one of their own."
                    )
                if task in self.folders:
                    self._check_folder(task, entry)
                elif (repository := hub_data(found)) and repository not in asked:
                    asked.add(repository)
                    splits = [asked_split(found), shots_split(found) if max(numbers) else None]
                    check_hub(repository, task, [split for split in splits if split])
        for task in self.tasks if self.perturb else ():
            self._check_perturbed(task)

    def notes(self) -> list[str]:
        """What stands out about local data."""
        found = [
            note
            for task in self.folders
            for leaf in leaves(_index(), task)
            for note in self._check_folder(task, _index()[leaf])
        ]
        return list(dict.fromkeys(found))

    def _check_folder(self, task: str, entry: Any) -> list[str]:
        numbers = self.num_fewshot if isinstance(self.num_fewshot, list) else [self.num_fewshot or 0]
        return check_folder(entry, self.folders[task], max(numbers), f"data of '{task}'", self.answer_base)

    def generation_settings(self) -> dict[str, dict[str, Any]]:
        """Generation settings by single task, as their YAMLs have them; of tasks that lm-eval knows."""
        names = [leaf for task in self.tasks for leaf in leaves(_index(), task)]
        return {name: found for name in names if (found := generation_settings(declared(_index()[name])))}

    def _check_perturbed(self, task: str) -> None:
        """Build a task and make sure that its prompts can be changed as asked.

        Raises:
            RequestError: They cannot.
        """
        from archbench.tasks.loading import load_tasks, quiet
        from archbench.tasks.perturb_stock import StockPrompts

        # With the most shots: what cannot be had with them cannot be had with fewer.
        *_, variant = sorted(self._plain([task]), key=lambda one: one.num_fewshot or 0)
        with quiet():
            loaded = load_tasks(variant, seed=0)["tasks"]
        for name, built in loaded.items():
            prompts = StockPrompts(built, built.get_config("num_fewshot"), self.limit)
            for how in self.perturb:
                if why := prompts.why_not(how):
                    raise RequestError(
                        f"perturb of '{task}': {how} cannot be had for lm-eval's task '{name}', since {why}. "
                        f"What can be had: {', '.join(prompts.possible()) or 'nothing'}. Take {how} out of "
                        f"`perturb`, or '{task}' out of the entry and into one of its own."
                    )

    def variants(self) -> list[Variant]:
        """One variant for each task and number of shots, and one more for each change to its prompts.

        Raises:
            RequestError: As for `check`, where the metric has to be looked up.
        """
        plain = self._plain(self.tasks)
        return plain + [
            perturbed(one, how)
            for one in plain
            for how in self.perturb
            # Where the task's own number of shots is taken, `check` sees to it that there are enough.
            if one.num_fewshot is None or one.num_fewshot >= NEEDED_SHOTS.get(how, 0)
        ]

    def _plain(self, tasks: list[str]) -> list[Variant]:
        numbers = self.num_fewshot if isinstance(self.num_fewshot, list) else [self.num_fewshot]
        metadata: dict[str, Any] = {SKIP: True} if self.skip_white_space else {}
        if self.answer_base is not None:
            metadata["answer_base"] = self.answer_base
        return [
            Variant(
                name=path_safe(task) + ("" if number is None else f"-{number}shot"),
                labels={"name": task} if number is None else {"name": task, "shots": number},
                tasks=[task],
                num_fewshot=number,
                metadata=metadata,
                metric=self.metric or _first_metric(task),
                chance=None,
                stock=True,
                data={task: self.folders[task]} if task in self.folders else {},
            )
            for task in tasks
            for number in numbers
        ]

    def digest(self) -> str:
        """Hex SHA-256 of limit, local data and lm-eval's version, which fixes prompts and data sets' names.

        What a hub serves under those names is not covered: it is not known before the tasks are loaded.
        """
        parts: list[Any] = [self.kind, self.limit, importlib.metadata.version("lm_eval")]
        parts += [{task: folder_digest(folder) for task, folder in self.folders.items()}] * bool(self.folders)
        parts += [SKIP] * self.skip_white_space
        parts += [{"answer_base": self.answer_base}] * (self.answer_base is not None)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@cache
def task_manager() -> Any:
    """lm-eval's `TaskManager` with its own tasks; reads some 14,000 YAML files, once per process."""
    from lm_eval.tasks import TaskManager

    return TaskManager()


def _index() -> dict[str, Any]:
    """lm-eval's task index: name to `Entry`."""
    entries: dict[str, Any] = task_manager().task_index
    return entries


def _known(name: str) -> Any:
    entries = _index()
    if name not in entries:
        raise RequestError(
            f"lm-eval {importlib.metadata.version('lm_eval')} has no task, group or tag '{name}'. "
            + did_you_mean(name, entries, label="Names")
        )
    return entries[name]


def _generates(entry: Any) -> bool:
    """Whether a task writes text, as far as its YAML tells; what a class does is not known."""
    cfg = entry.cfg or {}
    return "class" in cfg or cfg.get("output_type", "generate_until") == "generate_until"


def _first_metric(name: str) -> str:
    """The metric that a task, or the first task of a group or tag, declares first."""
    entry = _known(name)
    if entry.kind.name in ("GROUP", "TAG"):
        first = entry.cfg["task"] if entry.cfg else min(entry.tags)
        while not isinstance(first, str):  # groups may be written out inside a group
            first = first[0] if isinstance(first, list) else first.get("task") or first.get("group") or ""
        if first in _index():
            return _first_metric(first)
    elif entry.kind.name != "PY_TASK" or entry.cfg.get("metric_list"):
        return metric_names(entry.cfg)[0]
    raise RequestError(
        f"lm-eval's '{name}' does not declare its metrics in YAML: name the one to report with `metric`."
    )
