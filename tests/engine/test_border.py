"""What a log-likelihood is of: the text's own tokens, whatever the tokenizer puts around or across them."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import pytest
import torch
from tokenizers import Regex, Tokenizer, normalizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from archbench.engine import load_backend, load_lm
from archbench.errors import RequestError, RunError
from tests.engine.test_hflm import hflm
from tests.engine.tiny import SENTENCES, VOCAB, make_model, make_tokenizer, prompts, rolling, scored

QUESTION = "Question: which town is larger?\nAnswer:"
OPTIONS = [(QUESTION, letter) for letter in (" A", " B", " C", " Elmford")] + [("", "Ada lives here")]
GREEDY = {"until": ["\n\n"], "max_gen_toks": 6, "do_sample": False}


def around(before: str, after: str) -> PreTrainedTokenizerBase:
    """The tiny tokenizer with special tokens around every text."""
    made = Tokenizer.from_str(make_tokenizer(bos=True).backend_tokenizer.to_str())
    ids = [("<|endoftext|>", 0), ("<s>", 1)]
    template = f"{before} $A {after}".strip()
    made.post_processor = processors.TemplateProcessing(single=template, special_tokens=ids)
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|endoftext|>", bos_token="<s>")


def log_likelihood(ids: list[int], start: int) -> float:
    with torch.inference_mode():
        logprobs = make_model("llama")(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return sum(float(logprobs[i - 1, ids[i]]) for i in range(start, len(ids)))


@pytest.mark.parametrize("before", ["", "<s>", "<s> <s>"])
@pytest.mark.parametrize("after", ["<|endoftext|>", "<s> <|endoftext|>"])
@pytest.mark.parametrize("cache_bytes", [0, 2**20])
def test_special_tokens_behind_a_text_change_nothing(before: str, after: str, cache_bytes: int) -> None:
    plain = load_lm(make_model("llama"), around(before, ""), cache_bytes=cache_bytes)
    lm = load_lm(make_model("llama"), around(before, after), cache_bytes=cache_bytes)
    scores = lm.loglikelihood(scored(*OPTIONS))
    assert scores == plain.loglikelihood(scored(*OPTIONS))
    assert len({value for value, _ in scores}) == len(OPTIONS)
    assert [lm.token_counts(*pair) for pair in OPTIONS] == [plain.token_counts(*pair) for pair in OPTIONS]
    assert lm.loglikelihood_rolling(rolling(*SENTENCES)) == plain.loglikelihood_rolling(rolling(*SENTENCES))
    for asked in ([(QUESTION, GREEDY)], [(text, GREEDY) for text in (QUESTION, *SENTENCES)]):
        assert lm.generate_until(prompts(*asked)) == plain.generate_until(prompts(*asked))


def test_an_end_that_the_configuration_asks_for_is_left_out_too() -> None:
    made = Tokenizer.from_str(make_tokenizer(bos=True).backend_tokenizer.to_str())
    names = {"eos_token": "<|endoftext|>", "bos_token": "<s>"}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, add_eos_token=True, add_bos_token=True, **names
    )
    assert tokenizer.encode("12")[-1] == tokenizer.eos_token_id
    lm, plain = (load_lm(make_model("llama"), one) for one in (tokenizer, make_tokenizer(bos=True)))
    assert lm.loglikelihood(scored(*OPTIONS)) == plain.loglikelihood(scored(*OPTIONS))


def test_what_cannot_be_told_from_the_text_is_refused() -> None:
    tokenizer = around("", "<|endoftext|> $A")
    with pytest.raises(RequestError, match=r"cannot be read off the text.*differs from text to text"):
        load_lm(make_model("llama"), tokenizer)
    made = Tokenizer.from_str(make_tokenizer().backend_tokenizer.to_str())
    made.normalizer = normalizers.Replace(Regex(r"\z"), "!")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|endoftext|>")
    assert tokenizer.encode("12") != make_tokenizer().encode("12")
    with pytest.raises(RequestError, match="ends every text with token"):
        load_lm(make_model("llama"), tokenizer)


def test_a_class_of_lm_eval_with_such_a_tokenizer_is_refused(tmp_path: Path) -> None:
    make_model("llama").save_pretrained(tmp_path)
    around("<s>", "<|endoftext|>").save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(RequestError, match=r"mine puts special tokens \(<\|endof"):
            load_backend("hf", {"device": "cpu"}, name="mine", source=tmp_path, tokenizer=tmp_path)


@pytest.fixture
def beyond() -> PreTrainedTokenizerBase:
    """A tokenizer whose end-of-text and padding tokens the model has no embedding for."""
    tokenizer = copy.deepcopy(make_tokenizer())
    fill = [f"<fill{i}>" for i in range(VOCAB - len(tokenizer))]
    tokenizer.add_tokens(fill)
    tokenizer.add_special_tokens({"eos_token": "<end>", "pad_token": "<pad>"})
    assert tokenizer.eos_token_id >= VOCAB
    assert tokenizer.pad_token_id >= VOCAB
    return tokenizer


@pytest.mark.parametrize("cache_bytes", [0, 2**20])
def test_padding_and_an_end_beyond_the_embedding_do_no_harm(
    beyond: PreTrainedTokenizerBase, cache_bytes: int, caplog: pytest.LogCaptureFixture
) -> None:
    model = copy.deepcopy(make_model("llama"))
    model.generation_config.eos_token_id = None
    lm, plain = (load_lm(model, one, cache_bytes=cache_bytes) for one in (beyond, make_tokenizer()))
    pairs = [*OPTIONS[:-1], (SENTENCES[0], " cat and more of it"), ("12 and", " 30")]
    assert lm.loglikelihood(scored(*pairs)) == plain.loglikelihood(scored(*pairs))
    equal = [(text[:12], {"until": ["e"], "max_gen_toks": n}) for text in SENTENCES for n in (3, 9)]
    assert not caplog.records
    assert len(lm.generate_until(prompts(*equal))) == len(equal)
    assert lm.never_ends
    assert not plain.never_ends
    assert "end-of-text token" in caplog.text


def test_a_stand_in_beyond_the_embedding_is_an_error_where_it_is_needed(
    beyond: PreTrainedTokenizerBase,
) -> None:
    lm = load_lm(make_model("llama"), beyond)
    expected = (
        rf"token {beyond.eos_token_id} \(which .* stands in for an empty context\).*{VOCAB} tokens only"
    )
    for ask in (
        lambda: lm.loglikelihood(scored(OPTIONS[-1], OPTIONS[0])),
        lambda: lm.loglikelihood_rolling(rolling(SENTENCES[0])),
        lambda: lm.generate_until(prompts(("", GREEDY))),
    ):
        with pytest.raises(RunError, match=expected):
            ask()


def merging(*, bos: bool = False) -> PreTrainedTokenizerBase:
    """The tiny tokenizer with `:A` and `: B` as one token each, as large vocabularies have them."""
    tokenizer = copy.deepcopy(make_tokenizer(bos=bos, vocab=VOCAB - 2))
    tokenizer.add_tokens([":A", ": B"])
    assert len(tokenizer) <= VOCAB
    return tokenizer


@pytest.mark.parametrize("bos", [False, True])
def test_a_token_across_the_border_is_scored_as_the_text_has_it(bos: bool) -> None:
    tokenizer = merging(bos=bos)
    context = "Answer:"
    options = ["A", " B", " C"]
    wholes = [tokenizer.encode(context + option) for option in options]
    start = len(tokenizer.encode("Answer"))
    assert all(ids[:start] == tokenizer.encode("Answer") for ids in wholes)
    lm = load_lm(make_model("llama"), tokenizer)
    got = lm.loglikelihood(scored(*((context, option) for option in options)))
    # The third has no token across the border; to be compared, it is scored from the same token.
    assert [value for value, _ in got] == pytest.approx(
        [log_likelihood(ids, start) for ids in wholes], abs=1e-4
    )
    assert [lm.token_counts(context, option) for option in options] == [
        (start, len(ids) - start) for ids in wholes
    ]
    assert lm.usage.pairs_spanned == 2
    ((alone, _),) = lm.loglikelihood(scored((context, " C")))
    assert alone == pytest.approx(log_likelihood(wholes[2], start + 1), abs=1e-4)


@pytest.mark.parametrize("bos", [False, True])
def test_lm_evals_definitions_are_lm_evals(bos: bool) -> None:
    tokenizer = merging(bos=bos)
    pairs = [("Answer:", " B or C"), ("Answer:", " C"), (SENTENCES[2][:-5], "swer: B")]
    lm = load_lm(make_model("llama"), tokenizer, border="lm_eval")
    reference = hflm(make_model("llama"), tokenizer)
    got = lm.loglikelihood(scored(*pairs))
    expected = reference.loglikelihood(scored(*pairs), disable_tqdm=True)
    assert [value for value, _ in got] == pytest.approx([value for value, _ in expected], abs=1e-4)
    assert lm.usage.pairs_spanned >= 1
    ours = load_lm(make_model("llama"), tokenizer).loglikelihood(scored(*pairs))
    assert abs(ours[0][0] - expected[0][0]) > 0.1
    with pytest.raises(RunError, match=r"no token of its own.*border: exact"):
        lm.loglikelihood(scored(("Answer:", "A")))


def test_every_token_of_a_text_counts_once_after_a_begin_of_text_token() -> None:
    tokenizer = make_tokenizer(bos=True)
    text = SENTENCES[0]
    ids = tokenizer.encode(text)
    exact, parity = (load_lm(make_model("llama"), tokenizer, border=one) for one in ("exact", "lm_eval"))
    (value,) = exact.loglikelihood_rolling(rolling(text))
    assert value == pytest.approx(log_likelihood(ids, 1), abs=1e-4)
    assert [value] == pytest.approx([ll for ll, _ in exact.loglikelihood(scored(("", text)))], abs=1e-4)
    assert exact.token_counts("", text) == (1, len(ids) - 1)
    assert exact.loglikelihood_rolling(rolling("<s>" + text)) == pytest.approx([value], abs=1e-4)
    (twice,) = parity.loglikelihood_rolling(rolling(text))
    assert twice == pytest.approx(log_likelihood([ids[0], *ids], 1), abs=1e-4)
    assert abs(twice - value) > 0.1


def test_other_definitions_are_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(RequestError, match=r"border is 'strict'; expected 'exact' or 'lm_eval'"):
        load_lm(make_model("llama"), tokenizer, border="strict")
