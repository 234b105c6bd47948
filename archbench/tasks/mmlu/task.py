"""What the YAMLs in `tasks/mmlu` name: the data set builder and the task class, both for lm-eval 0.4.13.

lm-eval draws shots from one pool per task, and its sampler does not know the evaluated document, which is why
its own MMLU is 57 tasks. Here one task holds all subjects of a format, so that any set of subjects works
without writing YAMLs, and gives the sampler the pool of the document's own subject before each prompt is
built.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import datasets
from lm_eval.api.task import ConfigurableTask

from archbench.errors import RequestError
from archbench.tasks.metadata import refuse_misspelt
from archbench.tasks.mmlu.answer_key import Base
from archbench.tasks.mmlu.data import Item, load, too_few_shots
from archbench.tasks.mmlu.prompts import LETTERS
from archbench.tasks.mmlu.prompts import description as rendered_description
from archbench.tasks.perturbations import PREAMBLE, SEPARATOR, Perturbation

_NUMBERS = ("1", "2", "3", "4")

_FEATURES = datasets.Features(
    {
        "id": datasets.Value("string"),
        "subject": datasets.Value("string"),
        "category": datasets.Value("string"),
        "description": datasets.Value("string"),
        "question_prefix": datasets.Value("string"),
        "question": datasets.Value("string"),
        "choices": datasets.List(datasets.Value("string")),
        "answer": datasets.Value("int64"),
        "labels": datasets.List(datasets.Value("string")),
        "label_end": datasets.Value("string"),
        "answer_prefix": datasets.Value("string"),
    }
)


def dataset(
    data: str | None = None,
    subjects: Sequence[str] | None = None,
    limit: int | None = None,
    description: bool | str = True,
    question_prefix: str = "",
    perturb: Perturbation | None = None,
    answer_base: Base | None = None,
    **others: Any,
) -> dict[str, datasets.Dataset]:
    """Build the splits that the three tasks share; lm-eval calls it with the task's metadata.

    Args:
        data: A folder or a hub data set id.
        subjects: Only these; None for all.
        limit: Only the first so many items of each subject; None for all.
        description: See `archbench.tasks.mmlu.prompts.description`.
        question_prefix: Text before every question, such as `Question: `.
        perturb: One change to every prompt (`archbench.tasks.perturbations`); None for none.
        answer_base: What answers that are numbers are counted from (0 or 1); None for 0.
        **others: What else lm-eval puts into the metadata.

    Returns:
        `test` and `dev`, the latter empty where the data have none.

    Raises:
        RequestError: The data cannot be used.
    """
    refuse_misspelt(others, dataset, "archbench_mmlu")
    if data is None:
        raise RequestError(
            "The archbench_mmlu tasks need to know where the questions are: pass the lm-eval metadata "
            '{"data": "<folder with test and dev, or hub data set id>"}, on the command line as '
            '--metadata \'{"data": "..."}\'.'
        )
    questions = load(data, subjects=subjects, limit=limit, answer_base=answer_base)

    def split(items: Sequence[Item]) -> datasets.Dataset:
        rows = [
            row(item, description=description, question_prefix=question_prefix, perturb=perturb)
            for item in items
        ]
        # Column by column: from a list of rows, an empty split would have no columns.
        columns = {name: [one[name] for one in rows] for name in _FEATURES}
        return datasets.Dataset.from_dict(columns, features=_FEATURES)

    return {
        "test": split(questions.test),
        "dev": split([shot for shots in questions.dev.values() for shot in shots]),
    }


def row(
    item: Item, *, description: bool | str, question_prefix: str, perturb: Perturbation | None = None
) -> dict[str, Any]:
    """An item as a document: what `archbench.tasks.mmlu.prompts` renders and item rows keep."""
    moved = 1 if perturb == "option_order" else 0
    places = len(item.choices)
    before = f"{PREAMBLE}\n\n" if perturb == "preamble" else ""
    return {
        "id": item.id,
        "subject": item.subject,
        "category": item.category,
        "description": before + rendered_description(item.subject, description),
        "question_prefix": question_prefix,
        "question": item.question,
        "choices": [item.choices[(at - moved) % places] for at in range(places)],
        "answer": (item.answer + moved) % places,
        "labels": list(_NUMBERS if perturb == "labels" else LETTERS),
        "label_end": ")" if perturb == "delimiter" else ".",
        "answer_prefix": "The answer is" if perturb == "answer_prefix" else "Answer:",
    }


class MmluTask(ConfigurableTask):  # type: ignore[misc]  # lm-eval is not typed
    """One format of MMLU over all subjects; shots are the first of the item's own subject."""

    def __init__(self, config: dict[str, Any]) -> None:
        # lm-eval hands over the whole YAML, but its TaskConfig does not know the key that named this class.
        config = {key: value for key, value in config.items() if key != "class"}
        self._perturb = (config.get("metadata") or {}).get("perturb")
        if self._perturb == "separator":
            config["fewshot_delimiter"] = SEPARATOR
        super().__init__(config=config)
        self._shots: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for shot in self.dataset["dev"]:
            self._shots[shot["subject"]].append(shot)

    def fewshot_context(self, doc: dict[str, Any], num_fewshot: int, **options: Any) -> Any:
        """The prompt of a document; see `ConfigurableTask.fewshot_context`.

        Raises:
            RequestError: The document's subject has fewer shots than requested.
        """
        shots = self._shots[doc["subject"]]
        if len(shots) < num_fewshot:
            raise too_few_shots(str(self.config.metadata["data"]), doc["subject"], len(shots), num_fewshot)
        shots = shots[:num_fewshot]
        self.sampler.replace_df(shots[::-1] if self._perturb == "shot_order" else shots)
        return super().fewshot_context(doc, num_fewshot=num_fewshot, **options)

    def process_results(self, doc: dict[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, Any]:
        """An item's metrics; no numbers where a log-likelihood is none, since then no choice is the best."""
        finite = all(math.isfinite(loglikelihood) for loglikelihood, _ in results)
        stand_ins = [(0.0, False)] * len(results)
        found: dict[str, Any] = super().process_results(doc, results if finite else stand_ins)
        return found if finite else dict.fromkeys(found, math.nan)
