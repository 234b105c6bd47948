"""What the engine counts is what the model was fed."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from unittest import mock

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from archbench.engine.lm import ArchbenchLM
from archbench.engine.load import load_lm
from archbench.engine.sharing import pairs as scoring
from tests.engine.tiny import SENTENCES, make_model, prompts, scored

STEM = " ".join(SENTENCES)
PAIRS = [(STEM + f" Number {number}: what is", f" {word}") for number in range(6) for word in ("it", "that")]
ASKED = [(STEM + f" Number {number}:", {"until": ["e"], "max_gen_toks": 6 + number}) for number in range(4)]


@contextlib.contextmanager
def watched(lm: ArchbenchLM) -> Iterator[list[tuple[int, int]]]:
    """Shapes of what is fed to the model, after it was put to the test."""
    shapes: list[tuple[int, int]] = []
    assert lm.exactness

    def note(module: torch.nn.Module, args: object, kwargs: dict[str, torch.Tensor], output: object) -> None:
        rows, width = kwargs["input_ids"].shape
        shapes.append((rows, width))

    handle = lm.model.register_forward_hook(note, with_kwargs=True)
    try:
        yield shapes
    finally:
        handle.remove()


@pytest.mark.parametrize(
    ("name", "cache_bytes"),
    [("llama", 2**29), ("nemotron_h", 2**29), ("llama", 0), ("llama", 60_000), ("rwkv", 2**29)],
)
def test_every_token_and_every_pass_is_counted(
    name: str, cache_bytes: int, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Also where nothing is shared, and where a text without states is read again for every token."""
    lm = load_lm(make_model(name), tokenizer, cache_bytes=cache_bytes)
    for ask in (lambda: lm.loglikelihood(scored(*PAIRS)), lambda: lm.generate_until(prompts(*ASKED))):
        before = lm.usage
        with watched(lm) as shapes:
            ask()
        used = lm.usage.since(before)
        assert used.passes == len(shapes)
        assert used.tokens_forwarded + used.tokens_padded == sum(rows * width for rows, width in shapes)
        assert used.tokens_distinct <= used.tokens_forwarded


def test_passes_of_steps_are_counted(tokenizer: PreTrainedTokenizerBase) -> None:
    requests = [(None, [5] * 200 + [i, i + 1], [7, 8, i]) for i in range(10)]
    lm = load_lm(make_model("llama"), tokenizer)
    steps = lm.exactness._replace(level="steps")
    with watched(lm) as shapes, mock.patch.object(scoring, "exactness", return_value=steps):
        lm._loglikelihood_tokens(requests)
    assert lm.usage.passes == len(shapes) > lm.usage.batches


@pytest.mark.parametrize("name", ["llama", "rwkv"])
def test_what_could_be_shared_does_not_depend_on_the_model(
    name: str, tokenizer: PreTrainedTokenizerBase
) -> None:
    plain = load_lm(make_model("llama"), tokenizer)
    plain.loglikelihood(scored(*PAIRS))
    lm = load_lm(make_model(name), tokenizer)
    with mock.patch.object(lm._scorer, "depends_on_width", True):
        lm.loglikelihood(scored(*PAIRS))
    assert lm.usage.tokens_distinct == plain.usage.tokens_distinct
    assert lm.usage.tokens_requested == plain.usage.tokens_requested


def test_the_exactness_check_is_no_work_of_the_requests(tokenizer: PreTrainedTokenizerBase) -> None:
    """It is made once for a model, so that the work would depend on who asked first."""
    model = copy.deepcopy(make_model("llama"))
    used = []
    for _ in range(2):
        lm = load_lm(model, tokenizer)
        lm.loglikelihood(scored(*PAIRS))
        used.append(lm.usage._replace(seconds=0.0))
    assert used[0] == used[1]
