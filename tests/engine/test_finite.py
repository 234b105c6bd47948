"""Logits that are no numbers are an error with a name on every path, not a score or an empty text."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lm_eval.api.model import LM
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from archbench.engine import load_lm
from archbench.engine.backend import BackendLM
from archbench.engine.finite import NotFiniteError, check_logits
from archbench.engine.lm import ArchbenchLM
from tests.engine.tiny import SENTENCES, make_model, prompts, rolling, scored


def overflowing(name: str) -> PreTrainedModel:
    """In float16, a model whose last hidden states overflow."""
    model = copy.deepcopy(make_model(name))
    head: torch.nn.Module = model.get_output_embeddings()
    head.weight.data *= 4e4
    return model.to(torch.float16)


def poisoned(name: str) -> PreTrainedModel:
    """A model with one weight that is no number, of a token that no random prompt need hold."""
    model = copy.deepcopy(make_model(name))
    head: torch.nn.Module = model.get_output_embeddings()
    head.weight.data[7, 3] = math.nan
    return model


REQUESTS: dict[str, Callable[[ArchbenchLM], Any]] = {
    "scores": lambda lm: lm.loglikelihood(scored((SENTENCES[0], " cat"), (SENTENCES[0], " dog"))),
    "one score": lambda lm: lm.loglikelihood(scored((SENTENCES[0], " cat"))),
    "texts": lambda lm: lm.loglikelihood_rolling(rolling(SENTENCES[1])),
    "generations": lambda lm: lm.generate_until(
        prompts((SENTENCES[0], {"max_gen_toks": 3}), (SENTENCES[0] + " And", {"max_gen_toks": 3}))
    ),
    "one generation": lambda lm: lm.generate_until(prompts((SENTENCES[0], {"max_gen_toks": 3}))),
    "a sampled generation": lambda lm: lm.generate_until(
        prompts((SENTENCES[0], {"max_gen_toks": 3, "do_sample": True, "temperature": 1.0}))
    ),
    "the exactness check": lambda lm: lm.exactness,
}


@pytest.mark.parametrize("asked", REQUESTS)
@pytest.mark.parametrize("name", ["llama", "mamba"])
def test_overflow_in_float16_is_named(name: str, asked: str, tokenizer: PreTrainedTokenizerBase) -> None:
    lm = load_lm(overflowing(name), tokenizer)
    with pytest.raises(NotFiniteError, match=r"not finite in float16.*float32"):
        REQUESTS[asked](lm)


@pytest.mark.parametrize("asked", REQUESTS)
def test_a_damaged_weight_is_named(asked: str, tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(NotFiniteError, match=r"not finite in float32.*damaged"):
        REQUESTS[asked](load_lm(poisoned("llama"), tokenizer))


def test_masked_entries_of_the_vocabulary_are_fine() -> None:
    logits = torch.tensor([[0.0, -math.inf, 1.0], [2.0, 0.0, -math.inf]])
    model = make_model("llama")
    check_logits(logits, model)
    check_logits(logits[:0], model)
    for bad in (math.nan, math.inf):
        wrong = logits.clone()
        wrong[1, 1] = bad
        with pytest.raises(NotFiniteError):
            check_logits(wrong, model)
    with pytest.raises(NotFiniteError):
        check_logits(torch.full((1, 3), -math.inf), model)


def test_other_model_classes_are_held_to_it_too() -> None:
    class Broken(LM):  # type: ignore[misc]
        def loglikelihood(self, requests: Any) -> Any:
            return [(math.nan, False)] * len(requests)

        def loglikelihood_rolling(self, requests: Any) -> Any:
            return [-math.inf] * len(requests)

        def generate_until(self, requests: Any) -> Any:
            return ["fine"] * len(requests)

    lm = BackendLM(Broken(), backend="broken", name="b", too_long="error", progress=False)
    with pytest.raises(NotFiniteError, match=r"request 0 under b .*'broken'.*nan"):
        lm.loglikelihood(scored(("a", "b")))
    with pytest.raises(NotFiniteError, match="-inf"):
        lm.loglikelihood_rolling(rolling("a"))
    assert lm.generate_until(prompts(("a", {}))) == ["fine"]
