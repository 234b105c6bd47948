"""Inputs that a model cannot take whole: an error, or left without an answer; never cut."""

from __future__ import annotations

import math

import pytest

from archbench.engine import TooLongError, load_lm
from archbench.errors import RequestError
from tests.engine.tiny import make_model, make_tokenizer, prompts, rolling, scored

LIMIT = 12
SHORT, LONG = ("Where is it?", " A"), ("Where does Ada live? Ada lives in Brackwater.", " B")


def test_excluded_pairs_get_no_number_and_the_others_the_same_one() -> None:
    model, tokenizer = make_model("llama"), make_tokenizer()
    plain = load_lm(model, tokenizer)
    expected = plain.loglikelihood(scored(SHORT, LONG))
    lm = load_lm(model, tokenizer, max_length=LIMIT, too_long="exclude")
    (short, greedy), (long, claimed) = lm.loglikelihood(scored(SHORT, LONG))
    assert short == pytest.approx(expected[0][0], abs=1e-5)
    assert greedy == expected[0][1]
    assert math.isnan(long)
    assert not claimed
    assert [lm.excluded(pair) for pair in (SHORT, LONG)] == [False, True]
    assert lm.token_counts(*LONG) == plain.token_counts(*LONG), "how long it is, is known all the same"
    assert lm.usage.requests == 2
    assert lm.usage.tokens_requested < plain.usage.tokens_requested


def test_the_limit_is_exact() -> None:
    model, tokenizer = make_model("llama"), make_tokenizer()
    plain = load_lm(model, tokenizer)
    plain.loglikelihood(scored(LONG))
    counts = plain.token_counts(*LONG)
    assert counts is not None
    # The last token is predicted, never fed.
    for limit, excluded in ((sum(counts) - 1, False), (sum(counts) - 2, True)):
        lm = load_lm(model, tokenizer, max_length=limit, too_long="exclude")
        assert math.isnan(lm.loglikelihood(scored(LONG))[0][0]) is excluded
        assert lm.excluded(LONG) is excluded


def test_too_long_a_prompt_is_answered_by_nothing() -> None:
    model, tokenizer = make_model("llama"), make_tokenizer()
    asked = [(text, {"until": [], "max_gen_toks": 3, "do_sample": False}) for text, _ in (SHORT, LONG, SHORT)]
    alone = load_lm(model, tokenizer).generate_until(prompts(asked[0]))
    lm = load_lm(model, tokenizer, max_length=LIMIT, too_long="exclude")
    assert lm.generate_until(prompts(*asked)) == [*alone, "", *alone]
    assert [lm.excluded(one) for one in asked] == [False, True, False]


def test_nothing_is_left_where_everything_is_too_long() -> None:
    lm = load_lm(make_model("llama"), make_tokenizer(), max_length=3, too_long="exclude")
    assert all(math.isnan(score) for score, _ in lm.loglikelihood(scored(SHORT, LONG)))
    assert lm.generate_until(prompts((LONG[0], {"until": []}))) == [""]
    assert lm.usage.tokens_forwarded == 0


def test_texts_are_cut_into_windows_and_never_excluded() -> None:
    model, tokenizer = make_model("llama"), make_tokenizer()
    text = " ".join(LONG)
    excluding = load_lm(model, tokenizer, max_length=LIMIT, too_long="exclude")
    strict = load_lm(model, tokenizer, max_length=LIMIT)
    assert excluding.loglikelihood_rolling(rolling(text)) == strict.loglikelihood_rolling(rolling(text))


def test_an_error_unless_told_otherwise() -> None:
    lm = load_lm(make_model("llama"), make_tokenizer(), max_length=LIMIT)
    with pytest.raises(TooLongError, match="too_long=exclude"):
        lm.loglikelihood(scored(SHORT, LONG))
    with pytest.raises(RequestError, match="'error' or 'exclude'"):
        load_lm(make_model("llama"), make_tokenizer(), too_long="cut")
