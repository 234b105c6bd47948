"""Answers are found again by the same model and the same request, and by nothing else."""

from __future__ import annotations

import contextlib
import copy
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import GenerationConfig, PreTrainedTokenizerFast

from archbench.engine import RequestStore, load_lm
from archbench.errors import RunError
from tests.engine.tiny import SENTENCES, make_model, prompts, scored

PAIRS = [(sentence[:cut], " the end") for sentence in SENTENCES for cut in (4, 9, 14)]
TEXTS = [SENTENCES[0][:12], SENTENCES[0][:15], SENTENCES[1][:12]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RequestStore]:
    with contextlib.closing(RequestStore(tmp_path / "requests.sqlite")) as opened:
        yield opened


class StoppedError(Exception):
    pass


def test_a_stopped_run_asks_for_the_rest_only(
    store: RequestStore, tokenizer: PreTrainedTokenizerFast
) -> None:
    expected = load_lm(make_model("nemotron_h"), tokenizer).loglikelihood(scored(*PAIRS))

    def stop(done: int, total: int) -> None:
        if done >= total // 3:
            raise StoppedError

    stopped = load_lm(make_model("nemotron_h"), tokenizer, batch_tokens=24, progress=stop, store=store)
    with pytest.raises(StoppedError):
        stopped.loglikelihood(scored(*PAIRS))
    again = load_lm(make_model("nemotron_h"), tokenizer, store=store)
    found = again.loglikelihood(scored(*PAIRS))
    assert [one[0] for one in found] == pytest.approx([one[0] for one in expected], abs=1e-4)
    assert [one[1] for one in found] == [one[1] for one in expected]
    assert len(PAIRS) // 3 <= again.usage.requests_known < len(PAIRS)
    assert again.usage.tokens_distinct > 0
    third = load_lm(make_model("nemotron_h"), tokenizer, store=store)
    assert third.loglikelihood(scored(*PAIRS)) == found
    assert third.usage.requests_known == len(PAIRS)
    assert third.usage.tokens_forwarded == 0


def test_other_weights_and_other_requests_find_nothing(
    store: RequestStore, tokenizer: PreTrainedTokenizerFast
) -> None:
    load_lm(make_model("llama"), tokenizer, store=store).loglikelihood(scored(("12", " and")))
    changed = copy.deepcopy(make_model("llama"))
    changed.get_input_embeddings().weight.data[0, 0] += 1e-3
    for model, pair in (
        (changed, ("12", " and")),
        (make_model("llama"), ("12", " an")),
        # The same tokens, cut elsewhere.
        (make_model("llama"), ("12 and", " and")),
    ):
        lm = load_lm(model, tokenizer, store=store)
        lm.loglikelihood(scored(pair))
        assert lm.usage.requests_known == 0


def test_generations_are_kept_with_their_settings_and_seeds(
    store: RequestStore, tokenizer: PreTrainedTokenizerFast
) -> None:
    greedy = {"until": ["."], "max_gen_toks": 5}
    sampled = {"until": ["."], "max_gen_toks": 5, "do_sample": True, "temperature": 1.0}
    first = load_lm(make_model("llama"), tokenizer, store=store)
    texts = [first.generate_until(prompts(*((text, how) for text in TEXTS))) for how in (greedy, sampled)]
    again = load_lm(make_model("llama"), tokenizer, store=store)
    assert [
        again.generate_until(prompts(*((text, how) for text in TEXTS))) for how in (greedy, sampled)
    ] == texts
    assert again.usage.requests_known == 2 * len(TEXTS)
    assert again.usage.tokens_forwarded == 0
    other = load_lm(make_model("llama"), tokenizer, store=store, seed=1)
    other.generate_until(prompts(*((text, sampled) for text in TEXTS)))
    other.generate_until(prompts(*((text, greedy | {"max_gen_toks": 6}) for text in TEXTS)))
    assert other.usage.requests_known == 0


def test_a_killed_process_loses_only_the_batch_in_flight(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    make_model("llama").save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    script = f"""
        import os, signal
        from pathlib import Path
        from archbench.engine import RequestStore, load_lm
        from tests.engine.test_store import PAIRS
        from tests.engine.tiny import scored

        def kill(done, total):
            if done:
                os.kill(os.getpid(), signal.SIGKILL)

        folder = Path({str(tmp_path)!r})
        store = RequestStore(folder / "requests.sqlite")
        load_lm(folder / "model", batch_tokens=24, progress=kill, store=store).loglikelihood(scored(*PAIRS))
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    with contextlib.closing(RequestStore(tmp_path / "requests.sqlite")) as store:
        lm = load_lm(tmp_path / "model", store=store)
        lm.loglikelihood(scored(*PAIRS))
    assert 0 < lm.usage.requests_known < len(PAIRS)


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(RunError, match=r"requests\.sqlite.*delete the file"):
        RequestStore(path)


def test_a_newer_layout_is_refused(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "requests.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 99")
    with pytest.raises(RunError, match="newer archbench"):
        RequestStore(path)


def test_other_tokens_that_end_a_text_find_nothing(
    store: RequestStore, tokenizer: PreTrainedTokenizerFast
) -> None:
    """They come from generation_config.json, which the model's fingerprint leaves out."""
    greedy = {"until": [], "max_gen_toks": 6}
    first = load_lm(make_model("llama"), tokenizer, store=store)
    (long,) = first.generate_until(prompts((TEXTS[0], greedy)))
    model = copy.deepcopy(make_model("llama"))
    model.generation_config = GenerationConfig(eos_token_id=list(range(len(tokenizer))))
    second = load_lm(model, tokenizer, store=store)
    assert second.fingerprint == first.fingerprint
    (short,) = second.generate_until(prompts((TEXTS[0], greedy)))
    assert second.usage.requests_known == 0
    assert long.startswith(short)
    assert short != long
