"""What the YAMLs in `tasks/ruler` name: data set builder and task class, both for lm-eval 0.4.13."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import datasets
from lm_eval.api.task import ConfigurableTask

from archbench.errors import RequestError
from archbench.tasks.lengths import required_counter
from archbench.tasks.metadata import check_settings, refuse_misspelt
from archbench.tasks.ruler import scoring
from archbench.tasks.ruler.entry import RulerEntry
from archbench.tasks.ruler.subtasks import Sources, Task, items
from archbench.tasks.ruler.vocabulary import DIGITS


def dataset(
    ruler_task: Task,
    length: int | None = None,
    samples: int = 500,
    seed: int = 0,
    essays: str | None = None,
    squad: str | None = None,
    hotpotqa: str | None = None,
    data: str | None = None,
    digits: int = DIGITS,
    tokenizer: str | None = None,
    pretrained: str | None = None,
    **others: Any,
) -> dict[str, datasets.Dataset]:
    """Build the items; lm-eval calls it with the task's metadata.

    Args:
        ruler_task: The task, from the YAML.
        length: Tokens of prompt and answer.
        samples: Items.
        seed: Seed of the items.
        essays: Folder of texts for the haystack `essay`; the package's own where absent.
        squad: File of SQuAD, for `qa_1`.
        hotpotqa: File of HotpotQA, for `qa_2`.
        data: File of names, for the keys of needles; archbench's words where absent.
        digits: Digits of the numbers in needles.
        tokenizer: Folder or hub id of the tokenizer that counts.
        pretrained: The model, from lm-eval's `--model_args`: its tokenizer counts where none is named.
        **others: What else lm-eval puts into the metadata.

    Returns:
        The split `test`.

    Raises:
        RequestError: The length is missing or too short, or a file is missing.
    """
    refuse_misspelt(others, dataset, "archbench_ruler")
    if length is None:
        raise RequestError(
            'The archbench_ruler tasks need a length in tokens: pass the lm-eval metadata {"length": 4096}, '
            "on the command line as --metadata '{\"length\": 4096}'."
        )
    check_settings(
        RulerEntry, {"tasks": [ruler_task], "lengths": [length], "samples": samples}, "archbench_ruler"
    )
    if not isinstance(digits, int) or not 2 <= digits <= DIGITS:
        raise RequestError(f"digits: {digits!r}: expected a whole number from 2 to {DIGITS}.")
    count = required_counter(tokenizer or pretrained, "RULER")
    made = items(ruler_task, seed, length, samples, Sources(essays, squad, hotpotqa, data, digits), count)
    return {"test": datasets.Dataset.from_list(list(made))}


def prompt(doc: Mapping[str, Any]) -> str:
    """The prompt of an item, as it is: nothing in it is read as a template."""
    return str(doc["prompt"])


class RulerTask(ConfigurableTask):  # type: ignore[misc]  # lm-eval is not typed
    """One of the thirteen tasks at one length."""

    def __init__(self, config: dict[str, Any]) -> None:
        # lm-eval hands over the whole YAML, but its TaskConfig does not know the key that named this class.
        super().__init__(config={key: value for key, value in config.items() if key != "class"})
        # The answer's room depends on the tokenizer and the length, which the YAML does not know.
        self.config.generation_kwargs["max_gen_toks"] = self.dataset["test"][0]["room"]

    def item_details(self, doc: Mapping[str, Any], response: str) -> dict[str, int | str]:
        """Further columns of the item's row, for archbench's runner."""
        known = {name: value for name, value in doc["details"].items() if value is not None}
        return known | {"answer_form": scoring.answer_form(doc, response)}
