"""What a log-likelihood is of: the text's own tokens, whatever the tokenizer puts around or across them."""

from __future__ import annotations

import contextlib
import copy
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, normalizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from archbench.engine import RequestStore, load_backend, load_lm
from archbench.engine.limits import TooLongError
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
    with pytest.raises(RequestError, match=r"cannot be told from the text.*differs from text to text"):
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
    shared = log_likelihood(tokenizer.encode(context), start)
    values = [value for value, _ in got]
    assert values == pytest.approx([log_likelihood(ids, start) - shared for ids in wholes], abs=1e-4)
    # The third has no token across the border: its score is that of its own token.
    assert values[2] == pytest.approx(log_likelihood(wholes[2], start + 1), abs=1e-4)
    assert [lm.token_counts(context, option) for option in options] == [
        (start, 1),
        (start, 1),
        (start + 1, len(wholes[2]) - start - 1),
    ]
    assert lm.usage.pairs_spanned == 2


def alone(
    pairs: Sequence[tuple[str, str]], tokenizer: PreTrainedTokenizerBase, **options: Any
) -> list[float]:
    """Log-likelihoods of pairs, each put to a model of its own."""
    lms = [load_lm(make_model("llama"), tokenizer, **options) for _ in pairs]
    return [lm.loglikelihood(scored(pair))[0][0] for lm, pair in zip(lms, pairs, strict=True)]


ITEMS = {
    "options of one item": [("Answer:", option) for option in ("A", " B", " C", " Elmford", "yes")],
    "the same context in two items": [
        ("Answer:", " C"),
        ("Answer:", "yes"),
        ("Answer:", "A"),
        ("Answer:", " D"),
    ],
    "one continuation after two contexts": [("The town: B", " or C"), ("The town:", " B or C")],
    "a token spans after one context alone": [("The mill:", "Ada"), ("The mill", "Ada"), ("", "Ada")],
    "no token in common": [(":", "A"), (":", " C"), ("x", " C")],
}


@pytest.mark.parametrize("cache_bytes", [0, 2**20])
@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("item", ITEMS)
def test_a_score_depends_on_its_own_request_alone(item: str, bos: bool, cache_bytes: int) -> None:
    """Not on the options next to it, on other items with the same context, or on how many items there are."""
    tokenizer, pairs = merging(bos=bos), ITEMS[item]
    lm = load_lm(make_model("llama"), tokenizer, cache_bytes=cache_bytes)
    together = [value for value, _ in lm.loglikelihood(scored(*pairs))]
    assert lm.usage.pairs_spanned > 0
    assert together == pytest.approx(alone(pairs, tokenizer), abs=1e-4)
    counts = [lm.token_counts(*pair) for pair in pairs]
    few = load_lm(make_model("llama"), tokenizer, cache_bytes=cache_bytes)
    assert [value for value, _ in few.loglikelihood(scored(*pairs[1:]))] == pytest.approx(
        together[1:], abs=1e-4
    )
    assert [few.token_counts(*pair) for pair in pairs[1:]] == counts[1:]


@given(
    context=st.text(alphabet="An:B \né", min_size=1, max_size=9).map("Q".__add__),
    options=st.lists(st.text(alphabet="A:B é", min_size=1, max_size=5), min_size=2, max_size=4, unique=True),
)
@settings(max_examples=25, deadline=None)
def test_options_differ_as_their_whole_texts_do(context: str, options: list[str]) -> None:
    """After a begin-of-text token: what is compared holds nothing of the text that options share."""
    tokenizer = merging(bos=True)
    lm = load_lm(make_model("llama"), tokenizer)
    got = [value for value, _ in lm.loglikelihood(scored(*((context, one) for one in options)))]
    wholes = [log_likelihood(tokenizer.encode(context + one), 1) for one in options]
    before = log_likelihood(tokenizer.encode(context.rstrip()), 1)
    assert got == pytest.approx([whole - before for whole in wholes], abs=1e-3)
    for option in options:
        counts = lm.token_counts(context, option)
        assert counts is not None
        assert sum(counts) == len(tokenizer.encode(context + option))
        assert counts[1] >= 1


def test_tokens_that_hold_some_of_the_continuation_are_counted() -> None:
    """Others of the whole text are the context's, although the context alone has other tokens there."""
    tokenizer = copy.deepcopy(make_tokenizer(vocab=VOCAB - 2))
    tokenizer.add_tokens(["xy", ":yes"])
    context, option = "Answer: x", "y:yes or no"
    whole = tokenizer.encode(context + option)
    lm = load_lm(make_model("llama"), tokenizer)
    lm.loglikelihood(scored((context, option)))
    before = len(tokenizer.encode("Answer: "))
    assert tokenizer.encode(context)[:before] == whole[:before], "the token xy is the first that spans"
    assert lm.token_counts(context, option) == (before, len(whole) - before)


def test_normalised_accuracy_does_not_depend_on_an_option_that_is_chosen_by_neither() -> None:
    tokenizer = merging()
    options = ["A", " B", "yes it is so", " no"]
    lm = load_lm(make_model("llama"), tokenizer)
    every, fewer = (
        lm.loglikelihood(scored(*(("Answer:", one) for one in some))) for some in (options, options[2:])
    )
    per_character = [
        [value / len(one) for (value, _), one in zip(found, some, strict=True)]
        for found, some in ((every, options), (fewer, options[2:]))
    ]
    assert per_character[0][2:] == pytest.approx(per_character[1], abs=1e-4)


@pytest.mark.parametrize("too_long", ["error", "exclude"])
def test_what_is_subtracted_has_to_fit_too(too_long: str) -> None:
    """The context alone may have more tokens than the whole text: it is then what is too long."""
    tokenizer = copy.deepcopy(make_tokenizer(vocab=VOCAB - 1))
    tokenizer.add_tokens([" zqzqz!"])
    context, option = "Where is zqzqz", "!"
    whole, before = (len(tokenizer.encode(text)) for text in (context + option, context))
    assert whole < before
    lm = load_lm(make_model("llama"), tokenizer, max_length=whole, too_long=too_long)
    if too_long == "error":
        with pytest.raises(TooLongError, match="Request 0"):
            lm.loglikelihood(scored((context, option), ("Where", " is")))
        return
    (out, _), (value, _) = lm.loglikelihood(scored((context, option), ("Where", " is")))
    assert math.isnan(out)
    assert math.isfinite(value)
    assert lm.excluded((context, option))
    assert not lm.excluded(("Where", " is"))


def test_kept_answers_are_put_together_again(tmp_path: Path) -> None:
    pairs = ITEMS["options of one item"]
    with contextlib.closing(RequestStore(tmp_path / "r.sqlite")) as store:
        first = load_lm(make_model("llama"), merging(), store=store).loglikelihood(
            scored(*pairs[2:], pairs[0])
        )
        lm = load_lm(make_model("llama"), merging(), store=store)
        again = lm.loglikelihood(scored(*pairs[2:], pairs[0]))
        assert again == first
        assert lm.usage.tokens_forwarded == 0
        assert [value for value, _ in lm.loglikelihood(scored(*pairs))] == pytest.approx(
            alone(pairs, merging()), abs=1e-4
        )


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
