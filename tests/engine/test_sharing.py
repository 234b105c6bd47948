"""Shared prefixes give the numbers of plain forward passes, whatever the requests, memory and model."""

from __future__ import annotations

import copy
import functools
import logging
import random
from typing import Any
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from archbench.engine import load_lm
from archbench.engine.cache import corrections as caches
from archbench.engine.lm import ArchbenchLM
from tests.engine.tiny import CONFIGS, SENTENCES, UNSHARED, VOCAB, make_model, make_tokenizer, scored

Request = tuple[None, list[int], list[int]]


def tree(
    seed: int, *, subjects: int = 2, questions: int = 5, options: int = 3, shots: int = 50
) -> list[Request]:
    """Requests as a few-shot task makes them: shots, questions under them, options under those."""
    rng = random.Random(seed)

    def draw(low: int, high: int) -> list[int]:
        return [rng.randrange(VOCAB) for _ in range(rng.randint(low, high))]

    requests: list[Request] = []
    start = draw(4, 4)
    for _ in range(subjects):
        prefix = start + draw(shots, shots + 20)
        for _ in range(questions):
            question = prefix + draw(5, 30)
            requests += [(None, question, draw(1, 6)) for _ in range(options)]
    return requests


def answers(lm: ArchbenchLM, requests: list[Request]) -> list[tuple[float, bool]]:
    return list(lm._loglikelihood_tokens(requests))


@functools.cache
def plain(name: str, seed: int) -> list[tuple[float, bool]]:
    """Every request on its own, without a cache."""
    lm = load_lm(make_model(name), make_tokenizer(), cache_bytes=0, batch_tokens=1)
    return answers(lm, tree(seed))


def same(got: list[tuple[float, bool]], expected: list[tuple[float, bool]]) -> None:
    assert [logprob for logprob, _ in got] == pytest.approx([logprob for logprob, _ in expected], abs=1e-4)
    assert [greedy for _, greedy in got] == [greedy for _, greedy in expected]


@pytest.mark.parametrize("name", CONFIGS)
def test_shared_equals_plain(name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    lm = load_lm(make_model(name), tokenizer)
    assert lm.exactness.level == "chunk"
    same(answers(lm, tree(0)), plain(name, 0))
    # Five questions of very different lengths: of few, more is computed again than of many (test_trie.py).
    assert lm.usage.tokens_forwarded <= 1.5 * lm.usage.tokens_distinct
    assert lm.usage.tokens_forwarded < lm.usage.tokens_requested / 3


@pytest.mark.parametrize("name", ["llama", "mistral", "nemotron_h", "jamba"])
@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 1),
    cache_bytes=st.sampled_from([1, 5_000, 20_000, 60_000, 10**9]),
    batch_tokens=st.integers(1, 600),
    shuffle=st.randoms(use_true_random=False),
)
def test_any_memory_batch_and_order_give_the_same(
    name: str, seed: int, cache_bytes: int, batch_tokens: int, shuffle: random.Random
) -> None:
    requests, expected = tree(seed), plain(name, seed)
    order = list(range(len(requests)))
    shuffle.shuffle(order)
    lm = load_lm(make_model(name), make_tokenizer(), cache_bytes=cache_bytes, batch_tokens=batch_tokens)
    got = answers(lm, [requests[i] for i in order])
    same(got, [expected[i] for i in order])


@pytest.mark.parametrize("name", ["llama", "nemotron_h_pure", "mamba"])
@settings(max_examples=12, deadline=None)
@given(
    words=st.lists(
        st.tuples(
            st.lists(st.integers(1, 2), min_size=1, max_size=6),
            st.lists(st.integers(1, 2), min_size=1, max_size=4),
        ),
        min_size=2,
        max_size=12,
    )
)
def test_any_tree_of_requests_equals_requests_alone(
    name: str, words: list[tuple[list[int], list[int]]]
) -> None:
    requests: list[Request] = [(None, [9] * 30 + [3] * context[0] + context, more) for context, more in words]
    shared = load_lm(make_model(name), make_tokenizer())
    alone = load_lm(make_model(name), make_tokenizer(), cache_bytes=0)
    got = answers(shared, requests)
    same(got, [answers(alone, [request])[0] for request in requests])
    for i, request in enumerate(requests):
        assert got[i] == got[requests.index(request)], "identical requests tie exactly"


@pytest.mark.parametrize("name", ["llama", "mistral", "gemma2", "nemotron_h", "mamba2"])
@pytest.mark.parametrize("limit", [30_000, 60_000, 200_000])
def test_memory_held_stays_within_the_budget(
    name: str, limit: int, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Counted by what tensors keep alive, not by what they show: a window is a view of all that went by."""
    from archbench.engine.sharing import held as share

    totals = []
    admit = share.Pool.admit

    def storages(values: dict[Any, Any]) -> dict[int, int]:
        found = {}
        for value in values.values():
            if isinstance(value, dict):
                found |= storages(value)
            elif isinstance(value, torch.Tensor):
                found[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return found

    def spy(pool: Any, held: Any) -> None:
        admit(pool, held)
        found = {}
        for one in filter(None, (ref() for ref in pool._held)):
            for layer in one.cache.layers:
                found |= storages(vars(layer))
        totals.append(sum(found.values()))

    lm = load_lm(make_model(name), tokenizer, cache_bytes=limit)
    with mock.patch.object(share.Pool, "admit", spy):
        same(answers(lm, tree(0)), plain(name, 0))
    assert max(totals, default=0) <= limit
    assert lm.usage.tokens_forwarded <= lm.usage.tokens_requested


@pytest.mark.parametrize("name", [*CONFIGS, *UNSHARED])
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_any_requests_equal_transformers_own_forward_pass(name: str, data: st.DataObject) -> None:
    """Prefixes of one another, duplicates, the same tokens cut elsewhere; any memory and batch."""
    token = st.integers(0, VOCAB - 1)
    few = st.integers(1, 2)
    stem = data.draw(st.lists(token, min_size=1, max_size=60))
    tails = data.draw(
        st.lists(
            st.tuples(
                st.integers(0, 60),
                st.lists(few, max_size=12),
                st.lists(st.one_of(few, token), min_size=1, max_size=6),
            ),
            min_size=1,
            max_size=8,
        )
    )
    requests: list[Request] = []
    for cut, context, continuation in tails:
        whole = [*stem[cut:], *context] or [7]
        requests.append((None, whole, continuation))
        if len(whole) > 1:
            requests.append((None, whole[:-1], [whole[-1], *continuation]))
    lm = load_lm(
        make_model(name),
        make_tokenizer(),
        cache_bytes=data.draw(st.sampled_from([0, 3000, 20_000, 200_000, 10**9])),
        batch_tokens=data.draw(st.sampled_from([1, 50, 8192])),
    )
    model = make_model(name)
    expected = []
    for _, context, continuation in requests:
        ids = torch.tensor([[*context, *continuation[:-1]]])
        with torch.inference_mode():
            logits = model(input_ids=ids, use_cache=False).logits[0].float().log_softmax(-1)
        own = logits[len(context) - 1 :]
        tokens = torch.tensor(continuation)
        greedy = bool((own.argmax(-1) == tokens).all())
        expected.append((float(own.gather(1, tokens[:, None]).sum()), greedy))
    same(answers(lm, requests), expected)


def test_without_the_scan_from_states_mamba_is_followed_token_by_token(
    tokenizer: PreTrainedTokenizerBase, caplog: pytest.LogCaptureFixture
) -> None:
    import contextlib

    for name in ("mamba", "falcon_mamba", "jamba"):
        model = copy.deepcopy(make_model(name))
        with mock.patch.object(caches, "scanning_from_states", return_value=contextlib.nullcontext()):
            lm = load_lm(model, tokenizer)
            with caplog.at_level(logging.WARNING):
                assert lm.exactness.level == "steps"
            assert "token by token" in caplog.text
            assert lm.exactness.errors["chunk"] > 1e-4
            few = tree(0)[:6]
            same(answers(lm, few), plain(name, 0)[:6])


def test_following_token_by_token_is_exact(tokenizer: PreTrainedTokenizerBase) -> None:
    from archbench.engine.sharing import pairs as scoring

    requests = [(None, [5] * 200 + [i, i + 1], [7, 8, i]) for i in range(10)]
    for name in ("llama", "nemotron_h"):
        lm = load_lm(make_model(name), tokenizer)
        steps = lm.exactness._replace(level="steps")
        with mock.patch.object(scoring, "exactness", return_value=steps):
            got = answers(lm, requests)
        same(got, answers(load_lm(make_model(name), tokenizer, cache_bytes=0), requests))
        assert lm.usage.tokens_forwarded < lm.usage.tokens_requested / 2


class Coupled(torch.nn.Module):
    """A layer whose output depends on the whole batch, as experts with a capacity do."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.inner(hidden) + 0.3 * hidden.mean(dim=0, keepdim=True)


def test_a_model_that_couples_its_rows_runs_unbatched(
    tokenizer: PreTrainedTokenizerBase, caplog: pytest.LogCaptureFixture
) -> None:
    model = copy.deepcopy(make_model("llama"))
    model.model.layers[0].mlp = Coupled(model.model.layers[0].mlp)
    lm = load_lm(model, tokenizer)
    with caplog.at_level(logging.WARNING):
        got = answers(lm, tree(0))
    assert not lm.exactness.batched
    assert "every input runs on its own" in caplog.text
    alone = load_lm(model, tokenizer, cache_bytes=0, batch_tokens=1)
    same(got, [answers(alone, [request])[0] for request in tree(0)])


def test_a_cache_of_a_foreign_kind_is_not_shared(tokenizer: PreTrainedTokenizerBase) -> None:
    from archbench.engine.cache import states

    model = copy.deepcopy(make_model("llama"))
    with mock.patch.object(states, "_FORKABLE", {"LinearAttentionLayer"}):
        lm = load_lm(model, tokenizer)
        got = answers(lm, tree(0))
    assert lm.exactness.level == "none"
    assert "DynamicLayer" in lm.exactness.reason
    same(got, plain("llama", 0))


def test_inputs_too_short_to_try_are_not_shared(tokenizer: PreTrainedTokenizerBase) -> None:
    lm = load_lm(copy.deepcopy(make_model("llama")), tokenizer, max_length=20)
    assert lm.exactness.level == "none"
    assert "limited to 20 tokens" in lm.exactness.reason


def test_bfloat16_shares_within_its_rounding(tokenizer: PreTrainedTokenizerBase) -> None:
    for name in ("llama", "nemotron_h", "mamba"):
        lm = load_lm(copy.deepcopy(make_model(name)).to(torch.bfloat16), tokenizer)
        assert lm.exactness.level == "chunk", lm.exactness


def test_what_was_found_is_plain_data(tokenizer: PreTrainedTokenizerBase) -> None:
    import json

    found = load_lm(make_model("llama"), tokenizer).exactness.summary()
    assert json.loads(json.dumps(found))["level"] == "chunk"


def test_progress_counts_every_request_once(tokenizer: PreTrainedTokenizerBase) -> None:
    calls: list[tuple[int, int]] = []
    lm = load_lm(make_model("llama"), tokenizer, progress=lambda *call: calls.append(call))
    requests = tree(0)
    answers(lm, requests)
    assert calls[-1] == (len(requests), len(requests))
    assert calls == sorted(calls)
    assert len(lm.loglikelihood(scored((SENTENCES[0], " cat")))) == 1


@pytest.mark.parametrize("name", UNSHARED)
def test_what_cannot_be_shared_says_so_and_is_scored_plainly(
    name: str, tokenizer: PreTrainedTokenizerBase, caplog: pytest.LogCaptureFixture
) -> None:
    # Said once per model, so to one that no other test has asked.
    lm = load_lm(copy.deepcopy(make_model(name)), tokenizer)
    requests = tree(0)[:6]
    with caplog.at_level(logging.WARNING):
        got = answers(lm, requests)
    assert lm.exactness.level == "none"
    assert lm.exactness.batched
    assert lm.exactness.reason in caplog.text
    for (logprob, greedy), (_, context, continuation) in zip(got, requests, strict=True):
        with torch.inference_mode():
            ids = torch.tensor([[*context, *continuation]])
            logits = lm.model(ids, use_cache=False).logits[0].log_softmax(-1)
        wanted = logits[len(context) - 1 : -1]
        chosen = wanted.gather(1, torch.tensor(continuation)[:, None])
        assert logprob == pytest.approx(float(chosen.sum()), abs=1e-4)
        assert greedy == (wanted.argmax(-1).tolist() == continuation)


@pytest.mark.parametrize("name", ["llama", "mamba2", "nemotron_h"])
def test_any_number_of_threads_decides_alike(name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    threads = torch.get_num_threads()
    try:
        found = []
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            found.append(answers(load_lm(make_model(name), tokenizer), tree(1)))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        same(other, found[0])


def test_left_padding_is_measured_and_not_relied_on(tokenizer: PreTrainedTokenizerBase) -> None:
    wrong = load_lm(make_model("rwkv"), tokenizer).exactness.errors["left_padded"]
    right = load_lm(make_model("llama"), tokenizer).exactness
    assert right.errors["left_padded"] < 1e-5
    assert wrong > 1e-2
    assert right.level == "chunk"
