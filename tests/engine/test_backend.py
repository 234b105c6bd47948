"""Members on lm-eval's own classes: the same numbers, and nothing cut there quietly."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import pytest

from archbench.engine import BackendLM, EngineOptions, TooLongError, check_backend, load_backend, load_lm
from archbench.errors import RequestError
from tests.engine.tiny import make_model, make_tokenizer, prompts, rolling, scored

PAIRS = [("Where does Ada live?", " Elmford"), ("Where does Ada live?", " Brackwater"), ("", "Ada")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model."""
    path = tmp_path_factory.mktemp("backend")
    make_model("llama").save_pretrained(path)
    make_tokenizer().save_pretrained(path)
    return path


def load(folder: Path, **more: Any) -> BackendLM:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_backend("hf", {"device": "cpu"}, name="mine", source=folder, tokenizer=folder, **more)


def test_the_class_answers(folder: Path) -> None:
    lm, ours = load(folder), load_lm(folder)
    for got, expected in zip(
        lm.loglikelihood(scored(*PAIRS)), ours.loglikelihood(scored(*PAIRS)), strict=True
    ):
        assert got[0] == pytest.approx(expected[0], abs=1e-4)
        assert got[1] == expected[1]
    assert [lm.token_counts(*pair) for pair in PAIRS] == [ours.token_counts(*pair) for pair in PAIRS]
    text = "Ada lives in Brackwater, near the old mill."
    assert lm.loglikelihood_rolling(rolling(text)) == pytest.approx(
        ours.loglikelihood_rolling(rolling(text)), abs=1e-4
    )
    asked = (PAIRS[0][0], {"until": ["\n"], "max_gen_toks": 4, "do_sample": False})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert lm.generate_until(prompts(asked)) == ours.generate_until(prompts(asked))
    assert lm.usage.requests == 5
    told = lm.describe()
    assert told["backend"] == "hf"
    assert told["longest_input"] == 256
    assert told["parameters"] == sum(p.numel() for p in make_model("llama").parameters())


def test_what_the_class_would_cut_never_reaches_it(folder: Path) -> None:
    lm = load(folder, options=EngineOptions(max_length=8))
    with pytest.raises(TooLongError, match=r"mine takes at most 8 .*Prompts are never truncated"):
        lm.loglikelihood(scored(*PAIRS))
    # lm-eval takes the limit under several names; a small one fits, whatever it is called.
    for name in ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"):
        with pytest.raises(TooLongError, match="prompt and max_gen_toks 8"):
            lm.generate_until(prompts(("Ada", {"until": [], name: 8})))
        assert len(lm.generate_until(prompts(("Ada", {"until": [], name: 2})))) == 1
    excluding = load(folder, options=EngineOptions(max_length=8, too_long="exclude"))
    answers = excluding.loglikelihood(scored(*PAIRS))
    assert [math.isnan(answer) for answer, _ in answers] == [True, True, False]
    assert [excluding.excluded(pair) for pair in PAIRS] == [True, True, False]


def test_progress_is_told(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    load(folder, progress=lambda done, total: told.append((done, total))).loglikelihood(scored(*PAIRS))
    assert told[-1] == (3, 3)


def test_a_class_without_lengths_is_said_to_be_unchecked() -> None:
    lm = load_backend("dummy", {"write_out": False}, name="nobody")
    assert lm.describe()["longest_input"] == "not known here, so lengths are not checked"
    assert len(lm.loglikelihood(scored(*PAIRS))) == 3
    assert lm.token_counts(*PAIRS[0]) is None
    assert lm.tok_encode("Ada") is None


def test_mistakes_are_told_in_a_sentence(folder: Path) -> None:
    with pytest.raises(RequestError, match=r"no model class 'vlm'\. Did you mean 'vllm'"):
        check_backend("vlm")
    with pytest.raises(
        RequestError, match=r"'vllm' of mine cannot be used here: .*vllm.*Install what it needs"
    ):
        load_backend("vllm", {}, name="mine", source=folder)
    with pytest.raises(RequestError, match=r"'hf' could not be made for mine \(.*no_such"):
        load_backend("hf", {"no_such": 1, "device": "cpu"}, name="mine", source=folder)
    with pytest.raises(RequestError, match="takes no 'dtype'"):
        load_backend(
            "gguf", {"base_url": "http://localhost:1"}, name="mine", options=EngineOptions(dtype="float32")
        )
