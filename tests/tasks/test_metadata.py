"""Settings in lm-eval's metadata: what is nearly one of ours is refused, what is the model's is let pass."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from lm_eval.models.api_models import TemplateAPI
from lm_eval.models.huggingface import HFLM

from archbench.errors import RequestError
from archbench.tasks.metadata import refuse_misspelt
from archbench.tasks.mmlu import task as mmlu
from archbench.tasks.perplexity import task as perplexity
from archbench.tasks.phonebook import task as phonebook
from archbench.tasks.ruler import task as ruler

DATASETS = [mmlu.dataset, perplexity.dataset, phonebook.dataset, ruler.dataset]


@pytest.mark.parametrize(
    ("dataset", "key", "meant"),
    [
        (phonebook.dataset, "entires", "entries"),
        (phonebook.dataset, "book", "books"),
        (ruler.dataset, "lenght", "length"),
        (ruler.dataset, "tokeniser", "tokenizer"),
        (ruler.dataset, "hotpot_qa", "hotpotqa"),
        (mmlu.dataset, "subject", "subjects"),
        (perplexity.dataset, "window", "windows"),
    ],
)
def test_a_misspelt_setting_is_refused(dataset: Any, key: str, meant: str) -> None:
    with pytest.raises(RequestError, match=f"'{key}' is not a setting .* Did you mean '{meant}'"):
        dataset(**{key: 8}, **({} if dataset is mmlu.dataset else {first(dataset): "vt"}))


@pytest.mark.parametrize(
    ("dataset", "settings", "message"),
    [
        (
            phonebook.dataset,
            {"entries": 8, "queries": 0},
            "queries: .* greater than or equal to 1, but it is 0",
        ),
        (phonebook.dataset, {"entries": 8, "digits": "3"}, "digits: .* valid integer, but it is '3'"),
        (phonebook.dataset, {"entries": 8, "depths": [0, 150]}, "depths.1: .* 100, but it is 150"),
        (phonebook.dataset, {"entries": "8"}, "entries.0: .* valid integer"),
        (ruler.dataset, {"length": 512, "samples": 0}, "samples: .* greater than or equal to 1"),
        (ruler.dataset, {"length": -1}, "lengths.0: .* greater than or equal to 1"),
        (perplexity.dataset, {"data": "x", "windows": 0}, "windows: .* greater than or equal to 1"),
    ],
)
def test_a_setting_out_of_bounds_is_refused(dataset: Any, settings: dict[str, Any], message: str) -> None:
    names = {phonebook.dataset: "standard", ruler.dataset: "vt", perplexity.dataset: "context"}
    with pytest.raises(RequestError, match=message):
        dataset(names[dataset], **settings)


def first(dataset: Any) -> str:
    return next(iter(inspect.signature(dataset).parameters))


@pytest.mark.parametrize("dataset", DATASETS)
def test_what_is_lm_evals_or_another_tasks_is_let_pass(dataset: Any) -> None:
    theirs = [inspect.signature(one.__init__) for one in (HFLM, TemplateAPI)]
    ours = [inspect.signature(one) for one in DATASETS]
    keys = {name for one in [*theirs, *ours] for name in one.parameters} - {
        *inspect.signature(dataset).parameters
    }
    more = {"version", "config_source", "tokenizer_mode", "max_model_len", "num_fewshot"}
    refuse_misspelt(keys | more, dataset, "archbench")
