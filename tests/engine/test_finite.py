"""Logits that are no numbers are an error with a name on every path, not a score or an empty text."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lm_eval.api.model import LM
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from archbench.engine import RequestStore, load_lm
from archbench.engine.backend import BackendLM
from archbench.engine.lm import ArchbenchLM
from archbench.engine.scoring.finite import NotFiniteError, check_logits
from archbench.engine.sharing.trials import _prompts
from archbench.errors import RequestError
from tests.engine.tiny import SENTENCES, VOCAB, make_model, make_tokenizer, prompts, rolling, scored


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


def masked(name: str) -> PreTrainedModel:
    """A model that masks the last entries of its vocabulary."""
    model = copy.deepcopy(make_model(name))
    head = torch.nn.Linear(32, VOCAB)
    head.weight.data = model.get_output_embeddings().weight.data.clone()
    head.bias.data = torch.zeros(VOCAB).index_fill(0, torch.arange(VOCAB - 9, VOCAB), -math.inf)
    model.set_output_embeddings(head)
    return model


def constant(name: str) -> PreTrainedModel:
    """A model to which all tokens are alike."""
    model = copy.deepcopy(make_model(name))
    model.get_output_embeddings().weight.data.zero_()
    return model


@pytest.mark.parametrize("make", [masked, constant])
@pytest.mark.parametrize("name", ["llama", "mamba"])
def test_masked_tokens_and_equal_logits_cost_no_sharing(
    name: str, make: Callable[[str], PreTrainedModel], tokenizer: PreTrainedTokenizerBase
) -> None:
    found = load_lm(make(name), tokenizer).exactness
    assert (found.level, found.batched, found.reason) == ("chunk", True, "")
    assert all(math.isfinite(error) for error in found.errors.values())


def test_masking_that_depends_on_the_batch_is_seen(tokenizer: PreTrainedTokenizerBase) -> None:
    model = masked("llama")
    bias = model.get_output_embeddings().bias.data
    free = bias.clone()
    free[-1] = 0.0
    unpadded = model.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        bias.copy_(free if len(kwargs["input_ids"]) > 1 else bias.new_tensor(masks))
        return unpadded(*args, **kwargs)

    masks = bias.tolist()
    model.forward = forward
    found = load_lm(model, tokenizer).exactness
    assert (found.level, found.batched, found.errors["batched"]) == ("none", False, math.inf)


def test_a_batch_that_is_not_finite_where_each_row_is_runs_row_by_row(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    model = copy.deepcopy(make_model("llama"))
    plain = model.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        found = plain(*args, **kwargs)
        if len(kwargs["input_ids"]) > 1:
            found.logits = found.logits * math.nan
        return found

    model.forward = forward
    lm = load_lm(model, tokenizer)
    expected = load_lm(make_model("llama"), tokenizer)
    requests = scored((SENTENCES[0], " cat"), (SENTENCES[1], " dog"))
    assert not lm.exactness.batched
    found = [one for one, _ in lm.loglikelihood(requests)]
    assert found == pytest.approx([one for one, _ in expected.loglikelihood(requests)], abs=1e-4)


def test_a_masked_target_is_named(tokenizer: PreTrainedTokenizerBase) -> None:
    model = masked("llama")
    model.get_output_embeddings().bias.data[tokenizer.encode(" cat")[0]] = -math.inf
    with pytest.raises(NotFiniteError, match=r"request 0 under .*-inf.*masks a token"):
        load_lm(model, tokenizer).loglikelihood(scored((SENTENCES[0], " cat")))


def test_a_damaged_embedding_fails_only_what_reads_it(tokenizer: PreTrainedTokenizerBase) -> None:
    pairs = scored((SENTENCES[0], " cat")), scored((SENTENCES[3], " dog"))
    texts = [{*tokenizer.encode("".join(requests[0].args))} for requests in pairs]
    model = copy.deepcopy(make_model("llama"))
    model.get_input_embeddings().weight.data[min(texts[0] - texts[1])] = math.nan
    lm = load_lm(model, tokenizer, max_length=39)
    with pytest.raises(NotFiniteError):
        lm.loglikelihood(pairs[0])
    assert lm.loglikelihood(pairs[1]) == load_lm(make_model("llama"), tokenizer).loglikelihood(pairs[1])


@pytest.mark.parametrize("name", ["llama", "mamba"])
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"do_sample": True, "temperature": 1e-40}, "temperature 1e-40"),
        ({"repetition_penalty": 1e-45}, "repetition_penalty 1e-45"),
        ({"no_repeat_ngram_size": 1, "max_gen_toks": VOCAB + 1}, "no_repeat_ngram_size 1"),
    ],
    ids=["temperature", "penalty", "repeats"],
)
def test_settings_that_leave_no_token_are_named_and_not_the_model(
    name: str, rows: int, settings: dict[str, Any], why: str
) -> None:
    model = copy.deepcopy(make_model(name))
    if "max_gen_toks" in settings:
        model.config.max_position_embeddings = 2 * VOCAB
    lm = load_lm(model, make_tokenizer())
    asked = {"max_gen_toks": 4} | settings
    # The end of text stands in the prompt, so that it may not be repeated either.
    texts = [f"{SENTENCES[0]}<|endoftext|>{row}" for row in range(rows)]
    with pytest.raises(NotFiniteError, match=rf"settings \({why}\) leave no token to choose"):
        lm.generate_until(prompts(*((text, asked) for text in texts)))


@pytest.mark.parametrize(
    "settings",
    [
        {"do_sample": True, "temperature": math.nan},
        {"do_sample": True, "top_p": math.nan},
        {"repetition_penalty": math.inf},
        {"repetition_penalty": 0.0},
    ],
)
def test_settings_that_are_no_numbers_are_refused(
    settings: dict[str, Any], tokenizer: PreTrainedTokenizerBase
) -> None:
    lm = load_lm(make_model("llama"), tokenizer)
    for texts in (SENTENCES[:1], SENTENCES[:2]):
        with pytest.raises(RequestError, match="generation setting"):
            lm.generate_until(prompts(*((text, {"max_gen_toks": 2} | settings) for text in texts)))


def test_rows_that_have_ended_may_become_anything(tokenizer: PreTrainedTokenizerBase) -> None:
    """What is fed after an end is padding: here the end token's embedding is no number."""
    plain = load_lm(make_model("llama"), tokenizer)
    texts = ["The baker", "Ada lives", "12 and 30"]
    lengths = {len(tokenizer.encode(text)) for text in texts}
    first = plain.generate_until(prompts(*((text, {"max_gen_toks": 1}) for text in texts)))
    asked = [(text, {"max_gen_toks": 6, "until": [first[0]]}) for text in texts]
    expected = plain.generate_until(prompts(*asked))
    assert expected[0] == ""
    assert any(expected[1:]), f"others go on ({lengths})"
    model = copy.deepcopy(make_model("llama"))
    model.get_input_embeddings().weight.data[tokenizer.eos_token_id] = math.nan
    for cache_bytes in (0, 2**20):
        lm = load_lm(model, tokenizer, cache_bytes=cache_bytes, max_length=39)
        assert lm.generate_until(prompts(*asked)) == expected


def test_a_stored_score_that_is_no_number_is_asked_for_again(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    requests = scored((SENTENCES[0], " cat"))
    with contextlib.closing(RequestStore(tmp_path / "r.sqlite")) as store:
        expected = load_lm(make_model("llama"), tokenizer, store=store).loglikelihood(requests)
        for broken in ("NULL", "9e999"):
            store._file.execute(f"UPDATE scores SET logprob = {broken}")
            assert load_lm(make_model("llama"), tokenizer, store=store).loglikelihood(requests) == expected


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

    class Listing(Broken):
        def loglikelihood(self, requests: Any) -> Any:
            return [[np.float32("nan"), False]] * len(requests)

    lm = BackendLM(Listing(), backend="listing", name="b", too_long="error", progress=False)
    with pytest.raises(NotFiniteError, match=r"'listing'.*nan"):
        lm.loglikelihood(scored(("a", "b")))
    lm = BackendLM(Broken(), backend="broken", name="b", too_long="error", progress=False)
    with pytest.raises(NotFiniteError, match=r"request 0 under b .*'broken'.*nan"):
        lm.loglikelihood(scored(("a", "b")))
    with pytest.raises(NotFiniteError, match="-inf"):
        lm.loglikelihood_rolling(rolling("a"))
    assert lm.generate_until(prompts(("a", {}))) == ["fine"]


def damaged_where_the_check_does_not_look(tokenizer: PreTrainedTokenizerBase) -> tuple[PreTrainedModel, str]:
    """A model with the embedding of one token no number, and that token's text: no trial prompt holds it."""
    (token,) = tokenizer.encode(" Elmford")
    assert token not in np.concatenate(_prompts(VOCAB))
    model = copy.deepcopy(make_model("llama"))
    model.get_input_embeddings().weight.data[token] = math.nan
    return model, tokenizer.decode([token])


@pytest.mark.parametrize(
    "settings",
    [{}, {"do_sample": True, "temperature": 0.5, "top_k": 5}, {"repetition_penalty": 1.2}],
    ids=["greedy", "sampled", "penalised"],
)
@pytest.mark.parametrize("texts", [["{}"], ["{}", "{} and"], ["The{}", "The{} mill", "The"]])
@pytest.mark.parametrize("cache_bytes", [0, 2**29])
def test_a_generation_names_what_the_exactness_check_did_not_read(
    cache_bytes: int, texts: list[str], settings: dict[str, Any], tokenizer: PreTrainedTokenizerBase
) -> None:
    """On both paths: `model.generate` (no memory, or a single prompt) and shared decoding."""
    model, bad = damaged_where_the_check_does_not_look(tokenizer)
    lm = load_lm(model, tokenizer, cache_bytes=cache_bytes)
    assert lm.exactness.level == "chunk"
    asked = [(text.format(bad), {"until": ["\n"], "max_gen_toks": 4} | settings) for text in texts]
    with pytest.raises(NotFiniteError, match=r"logits are not finite in float32.*damaged"):
        lm.generate_until(prompts(*asked))
    fine = [
        (text.format(""), {"until": ["\n"], "max_gen_toks": 1} | settings) for text in ("The", "The mill")
    ]
    assert len(lm.generate_until(prompts(*fine))) == len(fine)
