"""What the YAMLs in `tasks/phonebook` name: data set builder and task class, both for lm-eval 0.4.13."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import datasets
from lm_eval.api.task import ConfigurableTask

from archbench.errors import RequestError
from archbench.tasks.lengths import required_counter
from archbench.tasks.metadata import checked, refuse_misspelt
from archbench.tasks.perturb import Perturbation
from archbench.tasks.phonebook import scoring
from archbench.tasks.phonebook.entry import PhonebookEntry
from archbench.tasks.phonebook.items import Layout, items_by_entries, items_by_length
from archbench.tasks.phonebook.names import DIGITS, pool_of
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
    perturb: Perturbation | None = None,
    **others: Any,
) -> dict[str, datasets.Dataset]:
    """Build the items; lm-eval calls it with the task's metadata.

    Args:
        form: The format; the YAML says it.
        entries: Size of a book in entries.
        length: Size in tokens, answer included; give one of the two.
        books: Books.
        queries: Questions per book.
        depths: Depths asked at, in percent, instead of `queries`.
        seed: Seed of the books.
        limit: Only the first so many items.
        tokenizer: Folder or hub id of the tokenizer that counts `length`.
        data: Text file with a name a line, in place of archbench's own names.
        digits: Digits of a number.
        perturb: One change to every prompt, of the same books (`archbench.tasks.perturb`): what it adds comes
            on top of `length`.
        pretrained: The model, from lm-eval's `--model_args`: its tokenizer counts where none is named.
        **others: What else lm-eval puts into the metadata.

    Returns:
        The split `test`.

    Raises:
        RequestError: The size is missing or cannot be had.
    """
    refuse_misspelt(others, dataset, "archbench_phonebook")
    if (entries is None) == (length is None):
        raise RequestError(
            "The archbench_phonebook tasks need the size of a book, in entries or in tokens: pass the "
            'lm-eval metadata {"entries": 50} or {"length": 2048}, on the command line as --metadata '
            "'{\"entries\": 50}'."
        )
    settings = {"books": books, "queries": queries, "depths": depths, "limit": limit, "digits": digits}
    size = {"entries": [entries]} if length is None else {"lengths": [length]}
    checked(PhonebookEntry, settings | size, "archbench_phonebook")
    layout = Layout(queries, None if depths is None else tuple(depths), pool_of(data, digits))
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
    """One format of the phonebook at one size."""

    def __init__(self, config: dict[str, Any]) -> None:
        # lm-eval hands over the whole YAML, but its TaskConfig does not know the key that named this class.
        super().__init__(config={key: value for key, value in config.items() if key != "class"})

    def item_details(self, doc: Mapping[str, Any], response: str) -> dict[str, int | str]:
        """Further columns of the item's row; archbench's runner asks for them."""
        return scoring.details(doc, response)
