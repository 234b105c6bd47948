"""What the YAMLs in `tasks/perplexity` name: data set builder and task class, both for lm-eval 0.4.13."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import datasets
from lm_eval.api.task import ConfigurableTask

from archbench.errors import RequestError
from archbench.tasks.lengths import required_counter
from archbench.tasks.metadata import check_settings, refuse_misspelt
from archbench.tasks.perplexity.entry import PerplexityEntry
from archbench.tasks.perplexity.texts import by_context, by_position, load_texts


def dataset(
    view: Literal["context", "position"],
    data: str | None = None,
    context: int = 0,
    contexts: list[int] | None = None,
    length: int = 1024,
    target: int = 64,
    windows: int = 50,
    limit: int | None = None,
    tokenizer: str | None = None,
    pretrained: str | None = None,
    **others: Any,
) -> dict[str, datasets.Dataset]:
    """Build the items; lm-eval calls it with the task's metadata.

    Args:
        view: Whether targets are put after contexts of one length, or windows are cut into buckets.
        data: A text file, or a folder of them.
        context: Tokens before each target.
        contexts: All context lengths that are compared; the one alone if None.
        length: Tokens of a window.
        target: Tokens of a target or bucket.
        windows: Number of targets or windows.
        limit: Only the first so many items.
        tokenizer: Folder or hub id of the tokenizer that counts.
        pretrained: The model, from lm-eval's `--model_args`: its tokenizer counts where none is named.
        **others: What else lm-eval puts into the metadata.

    Returns:
        The split `test`.

    Raises:
        RequestError: There is no text, or too little of it.
    """
    refuse_misspelt(others, dataset, "archbench_perplexity")
    if data is None:
        raise RequestError(
            'The archbench_perplexity tasks need a text: pass the lm-eval metadata {"data": "book.txt"}, on '
            'the command line as --metadata \'{"data": "book.txt"}\'.'
        )
    settings = {"data": data, "target": target, "windows": windows, "limit": limit}
    sizes = (
        {"contexts": contexts or [context]} if view == "context" else {"contexts": [], "lengths": [length]}
    )
    check_settings(PerplexityEntry, settings | sizes, "archbench_perplexity")
    source = tokenizer or pretrained
    count = required_counter(source, "Perplexity")
    texts = load_texts(data, str(source))
    items = (
        by_context(texts, contexts or [context], context, target, windows, count)
        if view == "context"
        else by_position(texts, length, target, windows, count)
    )
    return {"test": datasets.Dataset.from_list(list(itertools.islice(items, limit)))}


def context_of(doc: Mapping[str, Any]) -> str:
    """The context of an item, as it is: no text is read as a template."""
    return str(doc["context"])


def process_results(doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """The share of the target's bytes that coding it with the model would save.

    One minus bits per byte over 8 (Delétang et al. 2023, arXiv 2309.10668), so linear in the loss; 0 where
    the model's code would be longer than the text itself, and NaN where its log-likelihood is not finite.
    """
    loglikelihood = results[0][0]
    if not math.isfinite(loglikelihood):
        return {"compression": math.nan}
    bits = -loglikelihood / math.log(2)
    return {"compression": max(0.0, 1 - bits / (8 * doc["bytes"]))}


class PerplexityTask(ConfigurableTask):  # type: ignore[misc]  # lm-eval is not typed
    """Targets of long texts after their contexts."""

    def __init__(self, config: dict[str, Any]) -> None:
        # lm-eval hands over the whole YAML, but its TaskConfig does not know the key that named this class.
        super().__init__(config={key: value for key, value in config.items() if key != "class"})

    def item_details(self, doc: Mapping[str, Any], response: str) -> dict[str, int | str]:
        """Further columns of the item's row, for archbench's runner."""
        return {key: doc[key] for key in ("position", "tokens", "bytes", "passage")}
