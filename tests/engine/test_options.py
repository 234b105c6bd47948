"""The engine's settings are one object, which users give by name."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from archbench.engine import EngineOptions, load_lm
from archbench.engine.options import OptionFields
from archbench.errors import RequestError
from archbench.suite import EngineSettings
from tests.engine.tiny import SENTENCES, make_model, scored

FIELDS = {field.name: field.default for field in dataclasses.fields(EngineOptions)}


def test_every_option_can_be_given_by_name() -> None:
    assert list(OptionFields.__annotations__) == list(FIELDS)


def test_a_suites_settings_are_the_options_with_the_same_defaults() -> None:
    suite = EngineSettings().model_dump(exclude={"threads"})
    assert suite == {name: default for name, default in FIELDS.items() if name != "seed"}


def test_options_by_name_and_as_an_object_are_the_same(tokenizer: PreTrainedTokenizerBase) -> None:
    model = make_model("llama")
    options = EngineOptions(batch_tokens=40, max_length=50, border="lm_eval")
    named = load_lm(model, tokenizer, batch_tokens=40, max_length=50, border="lm_eval")
    given = load_lm(model, tokenizer, options)
    assert named.options == given.options == options
    assert (given.batch_tokens, given.max_length, given.border) == (40, 50, "lm_eval")
    requests = scored((SENTENCES[0][:20], " cat"))
    assert named.loglikelihood(requests) == given.loglikelihood(requests)
    assert load_lm(model, tokenizer, options, max_length=60).options == dataclasses.replace(
        options, max_length=60
    )


def test_options_do_not_change(tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_lm(make_model("llama"), tokenizer).options.seed = 1  # type: ignore[misc]


def test_an_unknown_option_names_the_nearest(tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(RequestError, match=r"no setting 'max_lenght'. Did you mean 'max_length'\?"):
        load_lm(make_model("llama"), tokenizer, max_lenght=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_tokens": 0}, r"batch_tokens \(0\)"),
        ({"max_length": 0}, r"max_length \(0\) count tokens"),
        ({"cache_bytes": -1}, r"cache_bytes \(-1\) counts bytes"),
        ({"rolling_stride": 0}, r"rolling_stride \(0\)"),
        ({"too_long": "cut"}, "too_long is 'cut'; expected 'error' or 'exclude'"),
        ({"border": "strict"}, "border is 'strict'; expected 'exact' or 'lm_eval'"),
    ],
)
def test_a_value_that_an_option_cannot_have_is_refused_before_a_model_is_loaded(
    wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        load_lm("no/such/folder", **wrong)
