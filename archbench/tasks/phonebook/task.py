"""What the YAMLs in `tasks/phonebook` name: data set builder and task class, both for lm-eval 0.4.13."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import datasets
from lm_eval.api.task import ConfigurableTask

from archbench.answers import SKIP, answer_of
from archbench.errors import RequestError
from archbench.tasks.lengths import required_counter
from archbench.tasks.metadata import check_settings, refuse_misspelt
from archbench.tasks.perturbations import Perturbation
from archbench.tasks.phonebook import scoring
from archbench.tasks.phonebook.entry import PhonebookEntry
from archbench.tasks.phonebook.items import Layout, items_by_entries, items_by_length
from archbench.tasks.phonebook.pool import DIGITS, pool_of
from archbench.tasks.phonebook.prompts import Format
from archbench.tasks.phonebook.prompts import perturb as perturb_prompt


def dataset(
    form: Format,
    entries: int | None = None,
    length: int | None = None,
    books: int = 20,
    queries: int = 5,
    depths: list[int] | None = None,
    seed: int = 0,
    limit: int | None = None,
    tokenizer: str | None = None,
    data: str | None = None,
    digits: int = DIGITS,
    pretrained: str | None = None,
    skip_white_space: bool = True,
    worked_examples: bool = True,
    perturb: Perturbation | None = None,
    **others: Any,
) -> dict[str, datasets.Dataset]:
    """Build the items; lm-eval calls it with the task's metadata.

    Args:
        form: The format, from the YAML.
        entries: Size of a book in entries.
        length: Size in tokens, answer included; give one of the two.
        books: Books.
        queries: Questions per book.
        depths: Depths of the queried entries, in percent, instead of `queries`.
        seed: Seed of the books.
        limit: Only the first so many items.
        tokenizer: Folder or hub id of the tokenizer that counts `length`.
        data: Text file with a name a line, instead of archbench's own names.
        digits: Digits of a number.
        perturb: One change to every prompt, of the same books (`archbench.tasks.perturbations`): what it adds
            comes on top of `length`.
        pretrained: The model, from lm-eval's `--model_args`: its tokenizer counts where none is named.
        skip_white_space: Whether white space before an answer is skipped (`PhonebookTask`).
        worked_examples: Whether `reversed` has worked examples before its question.
        **others: What else lm-eval puts into the metadata.

    Returns:
        The split `test`.

    Raises:
        RequestError: The size is missing or not possible.
    """
    refuse_misspelt(others, dataset, "archbench_phonebook")
    if (entries is None) == (length is None):
        raise RequestError(
            "The archbench_phonebook tasks need the size of a book, in entries or in tokens: pass the "
            'lm-eval metadata {"entries": 50} or {"length": 2048}, on the command line as --metadata '
            "'{\"entries\": 50}'."
        )
    settings: dict[str, Any] = {
        "books": books,
        "queries": queries,
        "depths": depths,
        "limit": limit,
        "digits": digits,
    }
    settings |= {SKIP: skip_white_space, "worked_examples": worked_examples}
    size = {"entries": [entries]} if length is None else {"lengths": [length]}
    check_settings(PhonebookEntry, settings | size, "archbench_phonebook")
    layout = Layout(
        queries, None if depths is None else tuple(depths), pool_of(data, digits), worked_examples
    )
    if entries is not None:
        items = items_by_entries(seed, form, entries, books, layout)
    else:
        count = required_counter(tokenizer or pretrained, "Phonebook")
        items = items_by_length(seed, form, length or 0, books, layout, count)
    made = list(itertools.islice(items, limit))
    if perturb is not None:
        made = [item | {"prompt": perturb_prompt(item["prompt"], form, perturb)} for item in made]
    return {"test": datasets.Dataset.from_list(made)}


def prompt(doc: Mapping[str, Any]) -> str:
    """The prompt of an item, as it is: no text of a book is read as a template."""
    return str(doc["prompt"])


class PhonebookTask(ConfigurableTask):  # type: ignore[misc]  # lm-eval is not typed
    """One format of the phonebook at one size.

    White space before an answer is skipped, unless the metadata say `skip_white_space: false`: a model that
    begins with a line break would otherwise be stopped before it has written anything. lm-eval's models
    have no such setting: they generate without stop strings, and the text is cut here. `archbench run` passes
    the setting to its engine (`generation_kwargs`), which stops at the end of the answer.

    Attributes:
        generation_kwargs: Settings of the generation for an engine that can skip white space.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        # lm-eval hands over the whole YAML, but its TaskConfig does not know the key that named this class.
        config = {key: value for key, value in config.items() if key != "class"}
        settings = dict(config["generation_kwargs"])
        skip = bool((config.get("metadata") or {}).get(SKIP, True))
        self.generation_kwargs = settings | ({SKIP: True} if skip else {})
        if skip:
            cut = partial(_cut, stop=tuple(settings["until"]))
            config["generation_kwargs"] = settings | {"until": []}
            pipeline = [{"function": "custom", "filter_fn": cut}, {"function": "take_first"}]
            config["filter_list"] = [{"name": "none", "filter": pipeline}]
        super().__init__(config=config)

    def item_details(self, doc: Mapping[str, Any], response: str) -> dict[str, int | str]:
        """Further columns of the item's row, for archbench's runner."""
        return scoring.details(doc, response)


def _cut(
    responses: Iterable[Sequence[str]], docs: Sequence[Mapping[str, Any]], *, stop: Sequence[str]
) -> list[list[str]]:
    """The answers in the texts of each document; a filter of lm-eval."""
    return [[answer_of(text, stop, skip_white_space=True) for text in texts] for texts in responses]
