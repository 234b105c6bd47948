"""Generations that share prefixes are those of `model.generate`, prompt by prompt."""

from __future__ import annotations

import copy
import random
from typing import Any
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GenerationConfig, PreTrainedTokenizerBase

from archbench.engine import load_lm
from archbench.engine.cache import cascade, states
from archbench.engine.cache.corrections import exact_states
from archbench.engine.generation import batches
from archbench.engine.generation.generate import Generator
from archbench.engine.generation.jobs import Job
from archbench.engine.lm import ArchbenchLM
from archbench.engine.scoring.batching import Budget
from archbench.engine.usage import Meter, Usage
from tests.engine.test_sharing import Coupled
from tests.engine.tiny import CONFIGS, VOCAB, make_model, make_tokenizer
from tests.engine.tiny import prompts as asking

BOOK = "".join(
    f"{name} lives at number {number}.\n" for number, name in enumerate(["Ada", "Bo", "Cy", "Di"] * 2)
)
QUERIES = ["Ada lives", "Where does Bo live? Bo", "Cy", "Where does Cy live, and at which number? At", "Cy"]
SAMPLED = {"do_sample": True, "temperature": 1.5}


def job(
    prompt: list[int], max_new: int, stop: tuple[str, ...] = (), seed: int | None = None, **options: Any
) -> Job:
    options["do_sample"] = seed is not None
    return Job(tuple(prompt), max_new, stop, tuple(sorted(options.items())), seed)


def book_jobs(seed: int) -> list[Job]:
    """Two books with questions of unequal length, some of which begin others, with limits and stops."""
    rng = random.Random(seed)
    jobs = []
    for _ in range(2):
        book = [rng.randrange(1, VOCAB) for _ in range(rng.randint(60, 70))]
        query = book + [rng.randrange(1, VOCAB) for _ in range(12)]
        for length in (0, 1, 2, 5, 12):
            jobs.append(job(query[: len(book) + length], rng.randint(1, 9), rng.choice([(), ("e", "1")])))
        jobs += [job(book + [rng.randrange(1, VOCAB)] * 3, 6, seed=i, temperature=1.3) for i in range(2)]
    return list(dict.fromkeys(jobs))


def alone(name: str, jobs: list[Job]) -> list[tuple[str, int]]:
    """Every job by `model.generate`, on its own."""
    lm = load_lm(make_model(name), make_tokenizer())
    generator = Generator(lm.model, lm._codec)
    with exact_states(lm.model):
        return [generator.generate([one])[0] for one in jobs]


def shared(
    name: str, jobs: list[Job], *, cache_bytes: int = 10**9, batch_tokens: int = 8192
) -> tuple[list[tuple[str, int]], Usage]:
    """All jobs on their trie."""
    lm = load_lm(make_model(name), make_tokenizer())
    found = {}
    meter = Meter()
    budget = Budget(batch_tokens, cache_bytes)
    with exact_states(lm.model):
        for batch in batches.generate_jobs(jobs, lm._scorer, lm._generator, budget, meter):
            assert not found.keys() & batch.keys()
            found |= batch
    return [found[one] for one in jobs], meter.usage


@pytest.mark.parametrize("name", CONFIGS)
def test_shared_equals_alone(name: str) -> None:
    jobs = book_jobs(0)
    with mock.patch.object(Generator, "generate", side_effect=AssertionError("not shared")):
        got, counts = shared(name, jobs)
    assert got == alone(name, jobs)
    requested = sum(len(one.prompt) + new - 1 for one, (_, new) in zip(jobs, got, strict=True))
    assert counts.tokens_forwarded < requested / 2


@pytest.mark.parametrize("name", ["llama", "mistral", "nemotron_h", "jamba"])
@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(1, 3),
    cache_bytes=st.sampled_from([1, 20_000, 60_000, 10**9]),
    batch_tokens=st.integers(1, 600),
    shuffle=st.randoms(use_true_random=False),
)
def test_any_memory_batch_and_order_give_the_same(
    name: str, seed: int, cache_bytes: int, batch_tokens: int, shuffle: random.Random
) -> None:
    jobs = book_jobs(seed)
    expected = dict(zip(jobs, alone(name, jobs), strict=True))
    shuffle.shuffle(jobs)
    got, _ = shared(name, jobs, cache_bytes=cache_bytes, batch_tokens=batch_tokens)
    assert got == [expected[one] for one in jobs]


@pytest.mark.parametrize("name", ["llama", "nemotron_h_pure", "mamba"])
@settings(max_examples=15, deadline=None)
@given(
    tails=st.lists(
        st.tuples(st.lists(st.integers(1, 3), max_size=8), st.integers(1, 6)), min_size=2, max_size=10
    ),
    stem=st.integers(1, 40),
)
def test_any_tree_of_prompts_equals_prompts_alone(
    name: str, tails: list[tuple[list[int], int]], stem: int
) -> None:
    jobs = list(dict.fromkeys(job([9] * stem + tail, max_new) for tail, max_new in tails))
    got, _ = shared(name, jobs)
    assert got == alone(name, jobs)


def test_tokens_fed_one_at_a_time_are_exact() -> None:
    jobs = [job([5] * 200 + [10 + tail] * (1 + tail % 3), 5) for tail in range(10)]
    for name in ("llama", "nemotron_h"):
        lm = load_lm(make_model(name), make_tokenizer())
        steps = lm.exactness._replace(level="steps")
        with mock.patch.object(batches, "exactness", return_value=steps):
            got, counts = shared(name, jobs)
        assert got == alone(name, jobs)
        assert counts.tokens_forwarded < sum(len(one.prompt) for one in jobs) / 2


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 3},
        {"seed": 3, "temperature": 2.0, "top_k": 7},
        {"seed": 3, "top_p": 0.8},
        {"seed": 3, "min_p": 0.05, "temperature": 0.7},
        {"seed": 3, "top_k": 40, "top_p": 0.9, "temperature": 3.0, "repetition_penalty": 1.5},
        {"repetition_penalty": 2.0},
        {"no_repeat_ngram_size": 2},
    ],
)
def test_every_setting_does_what_it_does_alone(options: dict[str, Any]) -> None:
    jobs = [job([5] * 60 + tail, 12, **options) for tail in ([1], [2, 3], [2, 3, 4, 5], [6] * 9)]
    got, _ = shared("llama", jobs)
    assert got == alone("llama", jobs)
    assert got != alone("llama", [job(list(one.prompt), 12) for one in jobs]), (
        "the setting makes a difference"
    )


def texts(lm: ArchbenchLM, queries: list[str], **fields: Any) -> list[str]:
    given: dict[str, Any] = {"until": [], "max_gen_toks": 8, **fields}
    return list(lm.generate_until(asking(*((BOOK + query, given) for query in queries))))


def test_a_book_asked_often_is_read_once(tokenizer: PreTrainedTokenizerBase) -> None:
    model = make_model("nemotron_h")
    lm = load_lm(model, tokenizer)
    got = texts(lm, QUERIES)
    usage = lm.usage
    assert got == texts(load_lm(model, tokenizer, cache_bytes=0), QUERIES)
    assert usage.requests == len(QUERIES)
    assert usage.tokens_forwarded <= 1.1 * usage.tokens_distinct
    assert usage.tokens_forwarded < usage.tokens_requested / 3
    plain = load_lm(model, tokenizer, cache_bytes=0)
    texts(plain, QUERIES)
    assert plain.usage.tokens_distinct == usage.tokens_distinct
    assert plain.usage.tokens_requested == usage.tokens_requested


def test_samples_depend_on_nothing_but_their_seed(tokenizer: PreTrainedTokenizerBase) -> None:
    model = make_model("llama")
    state = torch.get_rng_state()
    first = texts(load_lm(model, tokenizer), QUERIES, **SAMPLED)
    assert torch.equal(torch.get_rng_state(), state)
    assert first[2] != first[4], "a repeated prompt is a new sample"
    assert texts(load_lm(model, tokenizer), QUERIES[:3][::-1], **SAMPLED) == first[:3][::-1]
    assert texts(load_lm(model, tokenizer, cache_bytes=0), QUERIES, **SAMPLED) == first
    assert texts(load_lm(model, tokenizer, seed=1), QUERIES, **SAMPLED) != first


def test_no_memory_for_prefixes_shares_none(tokenizer: PreTrainedTokenizerBase) -> None:
    lm = load_lm(make_model("llama"), tokenizer, cache_bytes=0)
    texts(lm, QUERIES[:4])
    assert lm.usage.tokens_forwarded == lm.usage.tokens_requested


def test_end_of_text_and_stops_end_rows_apart(tokenizer: PreTrainedTokenizerBase) -> None:
    model = copy.deepcopy(make_model("llama"))
    whole = texts(load_lm(model, tokenizer), QUERIES, max_gen_toks=20)
    stop = whole[0][3]
    assert texts(load_lm(model, tokenizer), QUERIES, max_gen_toks=20, until=[stop]) == [
        text.split(stop)[0] for text in whole
    ]
    ids = tokenizer.encode(whole[1])
    model.generation_config = GenerationConfig(eos_token_id=ids[2:4])
    got = texts(load_lm(model, tokenizer), QUERIES, max_gen_toks=20)
    assert got == texts(load_lm(model, tokenizer, cache_bytes=0), QUERIES, max_gen_toks=20)
    assert len(got[1]) < len(whole[1])


def test_running_out_of_memory_halves_the_batch(tokenizer: PreTrainedTokenizerBase) -> None:
    model = copy.deepcopy(make_model("llama"))
    names = ["Ada", "Bo", "Cy", "Di", "Ed", "Flo"]
    expected = texts(load_lm(model, tokenizer), names)

    def small(module: torch.nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        if len(kwargs["input_ids"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory (pretended)")

    lm = load_lm(model, tokenizer)
    handle = model.register_forward_pre_hook(small, with_kwargs=True)
    try:
        assert texts(lm, names) == expected
    finally:
        handle.remove()
    assert lm.usage.backoffs > 0


def test_a_model_that_couples_its_rows_generates_one_prompt_at_a_time(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    model = copy.deepcopy(make_model("llama"))
    model.model.layers[0].mlp = Coupled(model.model.layers[0].mlp)
    lm = load_lm(model, tokenizer)
    equal = [f"{query} and so on"[:7] for query in ("Ada", "Bos", "Cys")]
    assert texts(lm, equal) == [texts(lm, [one])[0] for one in equal]


def test_a_failed_batch_leaves_what_was_held_as_it_was(tokenizer: PreTrainedTokenizerBase) -> None:
    model = make_model("nemotron_h")
    lm = load_lm(model, tokenizer)
    ids = torch.tensor([tokenizer.encode(BOOK)])
    with torch.inference_mode(), exact_states(model):
        held = states.new_cache(model)
        places = torch.tensor([[0, ids.shape[1] - 1]])
        lm._scorer.forward(ids, places, held, 0)
        before = copy.deepcopy(held)
        branch = states.fork(held, torch.tensor([0, 0]), keep=True, room=3)
        again = states.fork(before, torch.tensor([0, 0]), keep=True)
        for step in range(3):
            fed = torch.tensor([[7 + step], [9]])
            at = ids.shape[1] + step
            last = torch.tensor([[0, 0], [1, 0]])
            grown = lm._scorer.forward(fed, last, branch, at)
            assert torch.equal(grown, lm._scorer.forward(fed, last, again, at))
    for one, other in zip(held.layers, before.layers, strict=True):
        for mine, theirs in zip(states._tensors(vars(one)), states._tensors(vars(other)), strict=True):
            assert torch.equal(mine, theirs)


@pytest.mark.parametrize("name", ["llama", "jamba", "mistral"])
def test_a_prefix_too_large_for_its_scores_is_copied_layer_by_layer(
    name: str, tokenizer: PreTrainedTokenizerBase
) -> None:
    model = make_model(name)
    expected = texts(load_lm(model, tokenizer, cache_bytes=0), QUERIES)
    with mock.patch.object(cascade, "_SCORES", 0):
        assert texts(load_lm(model, tokenizer), QUERIES) == expected


def test_attention_that_misses_the_prefix_is_found_out(tokenizer: PreTrainedTokenizerBase) -> None:
    expected = texts(load_lm(make_model("llama"), tokenizer, cache_bytes=0), QUERIES)
    assert load_lm(make_model("llama"), tokenizer).exactness.in_place
    model = copy.deepcopy(make_model("llama"))
    with mock.patch.object(cascade, "_with_prefix", lambda attention: attention):
        lm = load_lm(model, tokenizer)
        assert texts(lm, QUERIES) == expected
    assert not lm.exactness.in_place
    assert lm.exactness.level == "chunk"
    assert lm.exactness.errors["beside"] > 1e-3


def test_other_attention_implementations_copy_the_prefix(tokenizer: PreTrainedTokenizerBase) -> None:
    model = copy.deepcopy(make_model("llama"))
    model.set_attn_implementation("eager")
    lm = load_lm(model, tokenizer)
    assert texts(lm, QUERIES) == texts(load_lm(model, tokenizer, cache_bytes=0), QUERIES)
    assert not lm.exactness.in_place
    assert lm.usage.tokens_forwarded < lm.usage.tokens_requested / 2


def test_a_prefix_is_not_copied_for_its_branches(tokenizer: PreTrainedTokenizerBase) -> None:
    lm = load_lm(make_model("llama"), tokenizer)
    with torch.inference_mode():
        held = lm._scorer.logits([torch.arange(1, 101).numpy()], [], keep=True)[1]
        assert held is not None
        branch = states.fork(held, torch.tensor([0] * 30), keep=True, room=9, in_place=True)
        assert branch.layers[0].prefix[0].data_ptr() == held.layers[0].keys.data_ptr()
        copied = states.fork(held, torch.tensor([0] * 30), keep=True, room=9)
    assert states.size(copied) >= 30 * states.size(held) > 0
    assert branch.get_seq_length() == copied.get_seq_length() == 100


def test_progress_and_usage_count_every_request_once(tokenizer: PreTrainedTokenizerBase) -> None:
    calls: list[tuple[int, int]] = []
    lm = load_lm(make_model("llama"), tokenizer, progress=lambda *call: calls.append(call))
    texts(lm, QUERIES)
    assert calls[-1] == (len(QUERIES), len(QUERIES))
    assert calls == sorted(calls)
    assert isinstance(lm.usage, Usage)
