"""What cannot be scored is an error that says so; nothing is scored in silence."""

from __future__ import annotations

import copy
from unittest import mock

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from archbench.engine import TooLongError, load_lm
from archbench.errors import RequestError, RunError
from tests.engine.test_scoring import PAIRS
from tests.engine.tiny import SENTENCES, VOCAB, make_model, scored


@pytest.mark.parametrize("change", ["none", "embedding", "bypassed"])
def test_a_head_that_cannot_be_hooked_is_an_error(change: str, tokenizer: PreTrainedTokenizerBase) -> None:
    model = copy.deepcopy(make_model("llama"))
    if change == "none":
        model.get_output_embeddings = lambda: None
    elif change == "embedding":
        model.get_output_embeddings = model.get_input_embeddings
    else:
        unused = torch.nn.Linear(32, VOCAB)
        model.get_output_embeddings = lambda: unused
    with pytest.raises(RunError, match="cannot score with"):
        load_lm(model, tokenizer).loglikelihood(scored(PAIRS[0]))


def test_a_single_input_too_large_for_memory_is_an_error(tokenizer: PreTrainedTokenizerBase) -> None:
    model = make_model("llama")
    lm = load_lm(model, tokenizer)
    with (
        mock.patch.object(model, "forward", side_effect=torch.OutOfMemoryError("pretended")),
        pytest.raises(RunError, match="Memory ran out on a single input"),
    ):
        lm.loglikelihood(scored(*PAIRS))


def test_other_failures_of_the_model_are_not_taken_for_memory(tokenizer: PreTrainedTokenizerBase) -> None:
    model = make_model("llama")
    with (
        mock.patch.object(model, "forward", side_effect=RuntimeError("shapes differ")),
        pytest.raises(RuntimeError, match="shapes differ"),
    ):
        load_lm(model, tokenizer).loglikelihood(scored(*PAIRS))


def test_too_long_is_an_error_before_anything_is_forwarded(tokenizer: PreTrainedTokenizerBase) -> None:
    lm = load_lm(make_model("llama"), tokenizer)
    long = " and" * 300
    with pytest.raises(TooLongError, match=r"Request 1 .*has \d+ tokens, but .* at most 256"):
        lm.loglikelihood(scored(PAIRS[0], (long, " B")))
    assert lm.usage.batches == 0


def test_an_input_of_exactly_the_limit_fits(tokenizer: PreTrainedTokenizerBase) -> None:
    context, continuation = PAIRS[5]
    length = len(tokenizer.encode(context + continuation)) - 1
    load_lm(make_model("llama"), tokenizer, max_length=length).loglikelihood(scored(PAIRS[5]))
    with pytest.raises(TooLongError, match=f"has {length} tokens"):
        load_lm(make_model("llama"), tokenizer, max_length=length - 1).loglikelihood(scored(PAIRS[5]))


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        *((name, 256) for name in ("llama", "nemotron_h", "falcon_h1", "zamba2", "granitemoehybrid", "lfm2")),
        *((name, None) for name in ("mamba", "mamba2", "falcon_mamba", "nemotron_h_pure", "rwkv", "xlstm")),
    ],
)
def test_limit_is_the_configs_and_none_without_attention(
    name: str, limit: int | None, tokenizer: PreTrainedTokenizerBase
) -> None:
    lm = load_lm(make_model(name), tokenizer)
    assert lm.max_length == limit or (limit is None and lm.max_length > 10**9)


def test_a_token_across_the_border_is_told(
    tokenizer: PreTrainedTokenizerBase, caplog: pytest.LogCaptureFixture
) -> None:
    lm = load_lm(make_model("llama"), tokenizer)
    text = SENTENCES[0]
    ids = tokenizer.encode(text)
    ends = [len(tokenizer.decode(ids[:n])) for n in range(1, len(ids))]
    inside = next(at for at in range(2, len(text) - 1) if at not in ends and text[at] != " ")
    assert len(lm.loglikelihood(scored((text[: ends[3]], text[ends[3] :]), (text, " cat")))) == 2
    assert not caplog.records
    lm.loglikelihood(scored((text[:inside], text[inside:]), (text, " cat")))
    assert "in 1 of 2 scored continuations a token spans the border" in caplog.text


def test_a_model_in_training_mode_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    model = copy.deepcopy(make_model("llama"))
    lm = load_lm(model, tokenizer)
    model.train()
    with pytest.raises(RequestError, match=r"training mode.*model\.eval\(\)"):
        lm.loglikelihood(scored(PAIRS[0]))


def test_a_diverged_model_is_an_error(tokenizer: PreTrainedTokenizerBase) -> None:
    model = copy.deepcopy(make_model("llama"))
    model.model.norm.weight.data[0] = float("nan")
    with pytest.raises(RunError, match=r"llama.*: logits are not finite in float32"):
        load_lm(model, tokenizer).loglikelihood(scored(PAIRS[0]))


def test_a_continuation_without_tokens_is_an_error(tokenizer: PreTrainedTokenizerBase) -> None:
    for pair in [("12 and", ""), ("", ""), ("", "<|endoftext|>")]:
        with pytest.raises(RunError, match=r"Request 0: the continuation .* has no token of its own"):
            load_lm(make_model("llama"), tokenizer).loglikelihood(scored(pair))


def test_a_foreign_tokenizer_is_an_error(tokenizer: PreTrainedTokenizerBase) -> None:
    foreign = copy.deepcopy(tokenizer)
    foreign.add_tokens(["Brackwater"] + [f"<x{i}>" for i in range(VOCAB)])
    with pytest.raises(RunError, match=f"has embeddings for {VOCAB} tokens"):
        load_lm(make_model("llama"), foreign).loglikelihood(scored(("in <x319>", " lives Ada")))


def test_a_stride_longer_than_the_window_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(RequestError, match="at most the longest input"):
        load_lm(make_model("llama"), tokenizer, max_length=8, rolling_stride=9)
