"""What is no character is refused in one paragraph, by whatever way it reaches the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from archbench.engine import load_lm
from archbench.engine.lm import ArchbenchLM
from archbench.errors import RequestError
from archbench.tasks.lengths import TokenCounter
from tests.engine.tiny import make_model, make_tokenizer, prompts, rolling, scored

HALF = "a \ud800 b"
GREEDY: dict[str, Any] = {"until": ["x"], "max_gen_toks": 3, "do_sample": False}
SAMPLED = GREEDY | {"do_sample": True, "temperature": 1.0}


@pytest.fixture(scope="module")
def lm() -> ArchbenchLM:
    return load_lm(make_model("llama"), make_tokenizer())


@pytest.mark.parametrize(
    "use",
    [
        lambda lm: lm.loglikelihood(scored((HALF, " b"))),
        lambda lm: lm.loglikelihood(scored(("a", HALF))),
        lambda lm: lm.loglikelihood(scored(("", HALF))),
        lambda lm: lm.loglikelihood_rolling(rolling("a", HALF)),
        lambda lm: lm.generate_until(prompts((HALF, GREEDY))),
        lambda lm: lm.generate_until(prompts((HALF, SAMPLED))),
        lambda lm: lm.generate_until(prompts(("a", GREEDY | {"until": [HALF]}))),
        lambda lm: lm.tok_encode(HALF),
        lambda lm: lm.tok_encode(HALF, add_special_tokens=False),
        lambda lm: TokenCounter(lm.tokenizer)(HALF),
        lambda lm: TokenCounter(lm.tokenizer).pieces([HALF]),
    ],
)
def test_half_of_a_surrogate_pair_is_refused(lm: ArchbenchLM, use: Callable[[ArchbenchLM], object]) -> None:
    with pytest.raises(RequestError, match=r"holds U\+D800, half of a surrogate pair.*a .ud800 b'") as error:
        use(lm)
    assert "\n" not in str(error.value)
    str(error.value).encode()


def test_what_is_no_text_is_refused(lm: ArchbenchLM) -> None:
    with pytest.raises(RequestError, match="is None; a text was expected"):
        lm.tok_encode(None)  # type: ignore[arg-type]


def test_whole_pairs_are_characters(lm: ArchbenchLM) -> None:
    assert len(lm.tok_encode("\U0001f600")) == 4
