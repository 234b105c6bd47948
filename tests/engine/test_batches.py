"""Finished batches come back one by one: stored before they count; a stop leaves nothing behind."""

from __future__ import annotations

import contextlib
import copy
import gc
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache, PreTrainedTokenizerBase

from archbench.engine import RequestStore, load_lm
from archbench.engine.cache.corrections import exact_states
from archbench.engine.scoring.batching import Budget
from archbench.engine.sharing.exactness import PLAIN, exactness
from archbench.engine.sharing.trie import Trie
from archbench.engine.sharing.walk import score_trie
from archbench.engine.usage import Meter
from tests.engine.test_sharing import tree
from tests.engine.tiny import SENTENCES, make_model, make_tokenizer, prompts, rolling, scored

STEMS = [f"{sentence * 2} {number}:" for sentence in SENTENCES[:3] for number in range(3)]
ASK: dict[str, Callable[[Any], Any]] = {
    "scores": lambda lm: lm.loglikelihood(
        scored(*((stem, f" {word}") for stem in STEMS for word in ("it", "that")))
    ),
    "texts": lambda lm: lm.loglikelihood_rolling(rolling(*STEMS)),
    "generations": lambda lm: lm.generate_until(
        prompts(*((stem, {"until": [], "max_gen_toks": 4}) for stem in STEMS))
    ),
}


@settings(max_examples=15, deadline=None)
@given(
    name=st.sampled_from(["llama", "mistral", "mamba"]),
    cache_bytes=st.sampled_from([0, 1, 20_000, 10**9]),
    batch_tokens=st.integers(1, 600),
    shares=st.booleans(),
)
def test_a_trie_is_scored_target_by_target_once_each(
    name: str, cache_bytes: int, batch_tokens: int, shares: bool
) -> None:
    """Whatever the walk does in between: this is all that its callers rely on."""
    lm = load_lm(make_model(name), make_tokenizer())
    trie = Trie([(context, continuation) for _, context, continuation in tree(0)])
    meter, passes = Meter(), lm._scorer.passes
    with exact_states(lm.model):
        found = exactness(lm._scorer) if shares else PLAIN
        batches = score_trie(trie, lm._scorer, Budget(batch_tokens, cache_bytes), found, meter)
        scores = []
        for batch in batches:
            assert meter.usage.batches, "work is counted before its scores are yielded"
            scores += batch
    places = [(path, place) for path, targets in enumerate(trie.targets) for place in range(len(targets))]
    assert sorted((path, place) for path, place, _ in scores) == places
    assert lm._scorer.passes - passes >= meter.usage.batches > 0


@pytest.mark.parametrize("asked", ASK)
@pytest.mark.parametrize("cache_bytes", [2**29, 0])
def test_answers_are_stored_before_they_count_as_done(
    asked: str, cache_bytes: int, tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    path = tmp_path / "requests.sqlite"
    done_and_stored = []

    def count(done: int, total: int) -> None:
        with contextlib.closing(sqlite3.connect(path)) as file:
            tables = ("scores", "generations")
            rows = [file.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]
        done_and_stored.append((done, sum(rows)))

    with contextlib.closing(RequestStore(path)) as store:
        lm = load_lm(
            make_model("llama"), tokenizer, batch_tokens=60, cache_bytes=cache_bytes, store=store,
            progress=count, max_length=150,
        )  # fmt: skip
        ASK[asked](lm)
    finished = [done for done, _ in done_and_stored]
    assert any(0 < done < finished[-1] for done in finished), "batch by batch"
    assert finished == sorted(finished)
    assert all(stored >= done for done, stored in done_and_stored)


@pytest.mark.parametrize("asked", ASK)
@pytest.mark.parametrize("name", ["llama", "mamba", "nemotron_h"])
def test_a_stop_between_batches_leaves_the_model_as_it_was(
    asked: str, name: str, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Also while the error, and with it every frame that it went through, is still alive."""
    model = copy.deepcopy(make_model(name))
    expected = ASK[asked](load_lm(model, tokenizer, batch_tokens=200))

    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        ASK[asked](load_lm(model, tokenizer, batch_tokens=200, progress=stop))
    assert ASK[asked](load_lm(model, tokenizer, batch_tokens=200)) == expected
    del stopped
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("asked", ASK)
def test_no_state_outlives_its_requests(asked: str, tokenizer: PreTrainedTokenizerBase) -> None:
    lm = load_lm(make_model("nemotron_h"), tokenizer, batch_tokens=200)
    assert lm.exactness.level == "chunk"
    gc.collect()
    before = sum(issubclass(type(one), DynamicCache) for one in gc.get_objects())
    ASK[asked](lm)
    gc.collect()
    assert sum(issubclass(type(one), DynamicCache) for one in gc.get_objects()) <= before
