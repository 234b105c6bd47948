"""archbench's engine gives the numbers of lm-eval's own `HFLM`, on every kind of architecture."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from archbench.engine import load_lm
from archbench.engine.cache.corrections import _clamped_steps
from tests.engine.tiny import CONFIGS, SENTENCES, make_model, make_tokenizer, prompts, rolling, scored

with warnings.catch_warnings():
    # Its imports (accelerate, peft) warn about themselves.
    warnings.simplefilter("ignore")
    from lm_eval.models.huggingface import HFLM

PAIRS = [
    (SENTENCES[0], " The baker has a cat."),
    (SENTENCES[0], " The baker"),
    (SENTENCES[1] + " ", "Ada lives here"),
    ("", "Where does Ada live?"),
    ("<|endoftext|>", " Elmford"),
    ("  ", "two"),
    *((SENTENCES[2][:-2], letter) for letter in (" A", " B", " C", " D")),
    ("12 and", " 30 make 42"),
    ("12 and", " 30 make 42"),
]
GREEDY = {"until": ["e", "\n\n"], "max_gen_toks": 12, "do_sample": False}


def hflm(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, max_length: int = 256) -> HFLM:
    # Without this, HFLM fails on a model whose cache cannot tell its length (nemotron_h without attention).
    model.config.use_cache = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, max_length=max_length)


@pytest.mark.parametrize("name", CONFIGS)
def test_loglikelihoods_equal_hflm(name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    pairs = [pair for pair in PAIRS if pair[0].strip() or pair[0] == ""]  # HFLM fails on a context of spaces
    expected = hflm(make_model(name), tokenizer).loglikelihood(scored(*pairs), disable_tqdm=True)
    got = load_lm(make_model(name), tokenizer).loglikelihood(scored(*pairs))
    for (logprob, greedy), (expected_logprob, expected_greedy) in zip(got, expected, strict=True):
        assert logprob == pytest.approx(expected_logprob, abs=1e-4)
        assert greedy == expected_greedy


@pytest.mark.parametrize("name", ["llama", "gpt_neox", "mamba2", "nemotron_h", "jamba"])
def test_greedy_flags_are_true_where_hflm_says_so(name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    lm = load_lm(make_model(name), tokenizer)
    prompt = SENTENCES[0]
    own = next(
        text
        for length in range(1, 12)
        if (text := lm.generate_until(prompts((prompt, {"until": [], "max_gen_toks": length})))[0])
        and lm.tok_encode(prompt + text)[: len(lm.tok_encode(prompt))] == lm.tok_encode(prompt)
    )
    pairs = [(prompt, own), (prompt, own + "x")]
    expected = hflm(make_model(name), tokenizer).loglikelihood(scored(*pairs), disable_tqdm=True)
    assert [greedy for _, greedy in lm.loglikelihood(scored(*pairs))] == [greedy for _, greedy in expected]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("max_length", [8, 256])
def test_rolling_equals_hflm(name: str, max_length: int, tokenizer: PreTrainedTokenizerBase) -> None:
    texts = [*SENTENCES, "", " ".join(SENTENCES)]
    expected = hflm(make_model(name), tokenizer, max_length=max_length).loglikelihood_rolling(
        rolling(*texts), disable_tqdm=True
    )
    got = load_lm(make_model(name), tokenizer, max_length=max_length).loglikelihood_rolling(rolling(*texts))
    assert got == pytest.approx(expected, abs=1e-3, rel=1e-6)


@pytest.mark.parametrize("name", sorted(set(CONFIGS) - {"nemotron_h_pure"}))
def test_greedy_generation_equals_hflm(name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    requests = [(text[:20], GREEDY) for text in SENTENCES] + [
        (SENTENCES[1], {"until": " ", "max_gen_toks": 5})
    ]
    # Without it HFLM decodes nemotron_h with time steps that no forward pass of the model uses.
    with _clamped_steps(make_model(name)):
        expected = hflm(make_model(name), tokenizer).generate_until(prompts(*requests), disable_tqdm=True)
    assert load_lm(make_model(name), tokenizer).generate_until(prompts(*requests)) == expected


def test_a_begin_of_text_token_is_added_as_hflm_adds_it() -> None:
    model, tokenizer = make_model("llama"), make_tokenizer(bos=True)
    assert tokenizer.encode("12")[0] == tokenizer.bos_token_id
    pairs = [*PAIRS, ("<s>12 and", " 30")]
    reference, lm = hflm(model, tokenizer), load_lm(model, tokenizer, border="lm_eval")
    expected = reference.loglikelihood(scored(*pairs), disable_tqdm=True)
    got = lm.loglikelihood(scored(*pairs))
    assert [logprob for logprob, _ in got] == pytest.approx([logprob for logprob, _ in expected], abs=1e-4)
    assert lm.loglikelihood_rolling(rolling(*SENTENCES)) == pytest.approx(
        reference.loglikelihood_rolling(rolling(*SENTENCES), disable_tqdm=True), abs=1e-3
    )
    for text in (SENTENCES[0], "<s>12 and"):
        request = prompts((text, GREEDY))
        assert lm.generate_until(request) == reference.generate_until(request, disable_tqdm=True)


def test_bfloat16_log_softmax_is_float32(tokenizer: PreTrainedTokenizerBase) -> None:
    model = copy.deepcopy(make_model("llama")).to(torch.bfloat16)
    lm = load_lm(model, tokenizer)
    ((logprob, _),) = lm.loglikelihood(scored((SENTENCES[0], " cat")))
    context, continuation = lm._encode_pair(SENTENCES[0], " cat")
    with torch.inference_mode():
        logits = model(torch.tensor([context + continuation[:-1]])).logits[0, len(context) - 1 :].float()
    exact = logits.log_softmax(-1).gather(1, torch.tensor(continuation)[:, None]).sum().item()
    assert logprob == pytest.approx(exact, abs=1e-4)
