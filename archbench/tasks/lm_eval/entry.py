"""The suite entry `kind: lm_eval`: lm-eval's own tasks, or tasks in its format, by name."""

from __future__ import annotations

import importlib.metadata
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from archbench.answers import SKIP
from archbench.errors import RequestError
from archbench.identity import digest
from archbench.paths import expanded
from archbench.results.shapes import CellShape
from archbench.schema import Address, Shots, Whole
from archbench.tasks.entry import TaskEntry, Variant, path_safe
from archbench.tasks.lm_eval.declared import declared, evaluated_split, hub_data, leaves, shots_split
from archbench.tasks.lm_eval.included import check_included, included_digest
from archbench.tasks.lm_eval.index import first_metric, generates, known, task_index
from archbench.tasks.lm_eval.local.build import check_hub, check_imports
from archbench.tasks.lm_eval.local.folders import check_folder
from archbench.tasks.lm_eval.local.splits import folder_digest
from archbench.tasks.lm_eval.support import check_supported, generation_settings
from archbench.tasks.perturbations import NEEDED_SHOTS, Perturbation
from archbench.tasks.work import LmEval


class LmEvalEntry(TaskEntry):
    """Tasks, groups and tags of lm-eval, each a variant of its own for each number of shots.

    Attributes:
        kind: `lm_eval`.
        tasks: Names as `lm_eval ls tasks` prints them. A group or tag is one variant with all its tasks.
        include_path: A folder, or several, of task YAMLs of your own, in lm-eval's format, next to lm-eval's
            (CONTRIBUTING.md has an example). Code that they name with `!function` is run.
        limit: Only the first so many items of each lm-eval task; None for all.
        num_fewshot: Shots per prompt, or several numbers to compare; None leaves each task its own.
        metric: The primary metric; None for the first that the task (of a group: its first task) declares.
        data: Folders whose files are read instead of the hub's data sets, by name of a task in `tasks`; for
            an entry of one task, the folder alone (docs/standard12.md).
        answer_base: Of local data: what answers that are numbers of options are counted from, 0 or 1; as in
            the data set itself where absent, and a note with the scores says so if the data leave it open.
        perturb: Changes to the prompts of multiple-choice tasks, each a variant of its own next to the plain
            one (docs/standard12.md). What a task's prompts do not allow is an error; numbers of shots too
            small for `shot_order` and `separator` are left out where there are larger ones.
        skip_white_space: Whether the answers of tasks that generate begin at the first character that is not
            white space, and stop strings count from there on. lm-eval's own rule where false: an answer that
            begins with a stop string is empty.
    """

    LOCAL: ClassVar[tuple[str, ...]] = ("data", "include_path")

    SHAPE: ClassVar = CellShape((frozenset({"name"}),), optional=frozenset({"shots", "prompt"}))

    kind: Literal["lm_eval"] = "lm_eval"
    tasks: list[str] = Field(min_length=1)
    include_path: str | Annotated[list[str], Field(min_length=1)] | None = None
    num_fewshot: Shots | Annotated[list[Shots], Field(min_length=1)] | None = None
    metric: str | None = None
    data: Address | dict[str, Address] | None = None
    answer_base: Annotated[Literal[0, 1], Whole] | None = None
    perturb: list[Perturbation] = Field(default_factory=list)
    skip_white_space: bool = False

    @field_validator("tasks", "num_fewshot", "perturb")
    @classmethod
    def _each_once(cls, value: Any) -> Any:
        # Compared as file names, so that no two variants write the same file.
        names = [path_safe(str(one)) for one in value] if isinstance(value, list) else []
        for again in names:
            if names.count(again) > 1:
                raise ValueError(f"'{again}' is listed more than once")
        return value

    @model_validator(mode="after")
    def _folders_of_its_tasks(self) -> LmEvalEntry:
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
        """Make sure that lm-eval knows the tasks, and that their data are available.

        Raises:
            RequestError: A name is not lm-eval's; a task declares no metric and the entry names none, or the
                metric is no score of single items; a task cannot be evaluated with shots, or not at all; it
                needs a package that is not installed; local data are not as the task reads them; a data set
                is neither in the local cache nor available from the hub; a task's prompts do not allow a
                change in `perturb`; or a task generates nothing, and `skip_white_space` is set.
        """
        for folder in self._folders:
            check_included(folder)
        self.variants()
        numbers = self.num_fewshot if isinstance(self.num_fewshot, list) else [self.num_fewshot or 0]
        checked: set[str] = set()
        for task in self.tasks:
            known(task, self._folders)
        for task in self.tasks:
            for leaf in leaves(self._index, task):
                entry = self._index[leaf]
                found = declared(entry)
                check_supported(found, leaf, self.metric or first_metric(task, self._folders), max(numbers))
                check_imports(entry, task)
                if self.skip_white_space and not generates(entry):
                    raise RequestError(
                        f"skip_white_space: lm-eval's task '{leaf}' generates no text "
                        f"(output_type: {found.get('output_type')}). Take skip_white_space out of the "
                        "entry, or put the tasks that generate into one of their own."
                    )
                if task in self.folders:
                    self._check_folder(task, entry)
                elif (repository := hub_data(found)) and repository not in checked:
                    checked.add(repository)
                    splits = [evaluated_split(found), shots_split(found) if max(numbers) else None]
                    check_hub(repository, task, [split for split in splits if split])
        for task in self.tasks if self.perturb else ():
            self._check_perturbed(task)

    def notes(self) -> list[str]:
        """What stands out about local data."""
        found = [
            note
            for task in self.folders
            for leaf in leaves(self._index, task)
            for note in self._check_folder(task, self._index[leaf])
        ]
        return list(dict.fromkeys(found))

    def _check_folder(self, task: str, entry: Any) -> list[str]:
        numbers = self.num_fewshot if isinstance(self.num_fewshot, list) else [self.num_fewshot or 0]
        return check_folder(entry, self.folders[task], max(numbers), f"data of '{task}'", self.answer_base)

    def generation_settings(self) -> dict[str, dict[str, Any]]:
        """Generation settings by single task, as their YAMLs have them; of tasks that lm-eval knows."""
        names = [leaf for task in self.tasks for leaf in leaves(self._index, task)]
        return {name: found for name in names if (found := generation_settings(declared(self._index[name])))}

    def _check_perturbed(self, task: str) -> None:
        """Build a task and make sure that its prompts allow the changes in `perturb`.

        Raises:
            RequestError: They do not.
        """
        from archbench.tasks.lm_eval.perturb import LmEvalPrompts
        from archbench.tasks.work.loading import load_tasks, quiet

        # With the most shots: what is not possible with them is not possible with fewer.
        work = self._work(task, max(self._numbers, key=lambda number: number or 0))
        with quiet():
            loaded = load_tasks(work, seed=0)["tasks"]
        for name, built in loaded.items():
            prompts = LmEvalPrompts(built, built.get_config("num_fewshot"), self.limit)
            for how in self.perturb:
                if why := prompts.why_not(how):
                    raise RequestError(
                        f"perturb of '{task}': {how} is not possible for lm-eval's task '{name}', since "
                        f"{why}. Possible: {', '.join(prompts.possible()) or 'none'}. Take {how} out of "
                        f"`perturb`, or '{task}' out of the entry and into one of its own."
                    )

    def variants(self) -> list[Variant]:
        """One variant for each task and number of shots, and one more for each change to its prompts.

        Raises:
            RequestError: As for `check`, where the metric has to be looked up.
        """
        plain = [
            (
                Variant(
                    name=path_safe(task) + ("" if number is None else f"-{number}shot"),
                    labels={"name": task} if number is None else {"name": task, "shots": number},
                    work=self._work(task, number),
                    metric=self.metric or first_metric(task, self._folders),
                ),
                number,
            )
            for task in self.tasks
            for number in self._numbers
        ]
        return [one for one, _ in plain] + [
            one.perturbed(how)
            for one, number in plain
            for how in self.perturb
            # Where the task's own number of shots is used, `check` makes sure that there are enough.
            if number is None or number >= NEEDED_SHOTS.get(how, 0)
        ]

    def _work(self, task: str, number: int | None) -> LmEval:
        metadata: dict[str, Any] = {SKIP: True} if self.skip_white_space else {}
        if self.answer_base is not None:
            metadata["answer_base"] = self.answer_base
        return LmEval(
            [task],
            number,
            metadata,
            library=True,
            include=self._folders,
            data={task: self.folders[task]} if task in self.folders else {},
            limit=self.limit,
        )

    @property
    def _numbers(self) -> list[int | None]:
        return list(self.num_fewshot) if isinstance(self.num_fewshot, list) else [self.num_fewshot]

    @property
    def _folders(self) -> tuple[str, ...]:
        """Folders of the user's own task YAMLs, by their whole paths."""
        named = [self.include_path] if isinstance(self.include_path, str) else self.include_path or []
        return tuple(str(expanded(one).resolve()) for one in named)

    @property
    def _index(self) -> dict[str, Any]:
        return task_index(self._folders)

    def digest(self) -> str:
        """Hex SHA-256 of limit, local data and lm-eval's version, which fixes prompts and data sets' names.

        What a hub serves under those names is not covered: it is not known before the tasks are loaded.
        """
        parts: list[Any] = [self.kind, self.limit, importlib.metadata.version("lm_eval")]
        parts += [{task: folder_digest(folder) for task, folder in self.folders.items()}] * bool(self.folders)
        parts += [SKIP] * self.skip_white_space
        parts += [{"answer_base": self.answer_base}] * (self.answer_base is not None)
        parts += [[included_digest(folder) for folder in self._folders]] * bool(self._folders)
        return digest(parts, spaces=True)
