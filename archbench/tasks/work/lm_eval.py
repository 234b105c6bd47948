"""Work that puts items to a model through lm-eval's evaluator: archbench's own tasks and lm-eval's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from archbench.tasks.work.base import Evaluation, Needs, Subject, Work


@dataclass(frozen=True)
class LmEval(Work):
    """lm-eval tasks, with everything needed to load them.

    Attributes:
        tasks: What `lm_eval.tasks.TaskManager.load` takes.
        num_fewshot: Shots per prompt; None leaves each task's own number.
        metadata: For `TaskManager(metadata=...)`; reaches the tasks' dataset builders.
        library: Whether the tasks are in lm-eval's own index (about 5 s to build). Otherwise in archbench's.
        include: Further folders of task YAMLs, by their whole paths; for tasks of lm-eval's index.
        data: Folders to read instead of the hub, by name in `tasks`; for tasks of lm-eval's index.
        limit: Only the first so many documents of each task; None where the tasks apply their own limit.
    """

    tasks: list[str | dict[str, Any]]
    num_fewshot: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    library: bool = False
    include: tuple[str, ...] = ()
    data: dict[str, str] = field(default_factory=dict)
    limit: int | None = None

    @property
    def needs(self) -> Needs:
        """The model."""
        return "model"

    def key(self) -> list[Any]:
        """Tasks and shots; what is in `metadata` is in the entry's digest, and folders by their content."""
        return [self.tasks, self.num_fewshot]

    def run(self, subject: Subject, *, metric: str | None, seed: int) -> Evaluation:
        """Put the items to the member's model."""
        # Brings lm-eval along, which nothing else here needs.
        from archbench.tasks.work.evaluate import evaluate

        return evaluate(subject.model(), self, metric=metric, seed=seed)

    def texts(self, seed: int) -> list[str]:
        """Every text that the tasks put to a model, each once, in order."""
        from archbench.tasks.work.evaluate import texts

        return texts(self, seed=seed)

    def perturbed(self, how: str) -> LmEval:
        """The same tasks with their prompts changed in one thing."""
        return replace(self, metadata=self.metadata | {"perturb": how})
