"""White space before an answer: no part of it, and no end of it, however a tokenizer cuts the text."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lm_eval.models.utils import postprocess_generated_text
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from archbench.answers import answer_of
from archbench.engine import load_lm
from archbench.engine.backend import BackendLM
from archbench.engine.generation.stopping import StopStrings
from archbench.engine.store import RequestStore
from archbench.errors import RequestError
from tests.doubles import Double
from tests.engine.tiny import prompts

TEXTS = st.text("ab \n\t\u00a0\u3000é", max_size=12)
STOPS = st.lists(st.text("ab \n\u3000é", max_size=3), max_size=3)


class Pieces:
    """A codec whose tokens are pieces of bytes, some of them special, which are no text."""

    def __init__(self, pieces: list[bytes], special: set[int]) -> None:
        self._pieces, self._special = pieces, special

    def decode(self, tokens: list[int], *, skip_special_tokens: bool = True) -> str:
        kept = [one for one in tokens if not (skip_special_tokens and one in self._special)]
        return b"".join(self._pieces[one] for one in kept).decode(errors="replace")


def until_completed(stop: StopStrings, count: int) -> int | None:
    """After how many tokens a generation is stopped; None if it is not."""
    return next((at + 1 for at in range(count) if stop.completed_by(at)), None)


@given(TEXTS, STOPS, st.booleans(), st.data())
def test_any_tokenisation_gives_the_answer_of_the_text(
    text: str, stop: list[str], skip: bool, data: st.DataObject
) -> None:
    whole = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(1, max(len(whole) - 1, 1)), max_size=len(whole)), "cuts"))
    ends = [*(cut for cut in cuts if cut < len(whole)), len(whole)]
    pieces = [whole[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    codec: Any = Pieces(pieces, set())
    stopped = until_completed(StopStrings(codec, stop, skip_white_space=skip), len(pieces))
    read = codec.decode(list(range(len(pieces) if stopped is None else stopped)))
    assert answer_of(read, stop, skip_white_space=skip) == answer_of(text, stop, skip_white_space=skip)
    if stopped is not None:
        # At the first token that completes one, and not before.
        earlier = codec.decode(list(range(stopped - 1)))
        assert not any(one in (earlier.lstrip() if skip else earlier) for one in stop if one)


@given(TEXTS, STOPS)
def test_without_skipping_the_answer_is_lm_evals(text: str, stop: list[str]) -> None:
    assert answer_of(text, stop, skip_white_space=False) == postprocess_generated_text(text, stop, None)


@given(TEXTS, STOPS)
def test_skipping_is_reading_the_text_without_its_white_space(text: str, stop: list[str]) -> None:
    found = answer_of(text, stop, skip_white_space=True)
    assert found == answer_of(text.lstrip(), stop, skip_white_space=False)
    assert found == answer_of(f"\n {text}", stop, skip_white_space=True)


def test_special_tokens_before_an_answer_are_skipped_unless_they_stop_it() -> None:
    codec: Any = Pieces([b"<s>", b"\n", b"4", b"\n"], special={0})
    assert until_completed(StopStrings(codec, ["\n"], skip_white_space=True), 4) == 4
    codec = Pieces([b"\n", b"<end>", b"4", b"\n"], special={1})
    assert until_completed(StopStrings(codec, ["\n", "<end>"], skip_white_space=True), 4) == 2


def test_long_white_space_and_long_answers_are_read_on() -> None:
    pieces = [b" \n"] * 300 + [b"\n4", b"2"] + [b"x"] * 300 + [b"\n", b"y"]
    codec: Any = Pieces(pieces, set())
    assert until_completed(StopStrings(codec, ["\n"], skip_white_space=True), len(pieces)) == 603


def follower(tokenizer: PreTrainedTokenizerBase, follows: dict[str, str]) -> PreTrainedModel:
    """A model whose next token is a function of the last one, and the end of text where none is given."""
    size = len(tokenizer)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=512,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=8,
        max_position_embeddings=128,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).eval()
    layer = model.model.layers[0]
    for parameter in (layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight, model.lm_head.weight):
        torch.nn.init.zeros_(parameter.data)
    model.model.embed_tokens.weight.data = torch.eye(size, 512)
    model.lm_head.weight.data[tokenizer.eos_token_id] = 0.01
    for before, after in follows.items():
        ((old,), (new,)) = (tokenizer.encode(one) for one in (before, after))
        model.lm_head.weight.data[new, old] = 1.0
    return model


CHAIN = {":": "\n", "\n": "4", "4": "2", "2": "0", "0": "\n", "?": " ", " ": "\t", "\t": "7", "7": "\n"}


@pytest.mark.parametrize("cache_bytes", [2**20, 0], ids=["trie", "generate"])
def test_an_answer_after_white_space_is_found_on_both_paths(
    cache_bytes: int, tokenizer: PreTrainedTokenizerBase
) -> None:
    lm = load_lm(follower(tokenizer, CHAIN), tokenizer, cache_bytes=cache_bytes)
    settings: dict[str, object] = {"until": ["\n"], "max_gen_toks": 12}
    skipping = settings | {"skip_white_space": True}
    # Rows of both kinds, of several lengths, beside each other; `3` is followed by the end of text.
    asked = [(text, one) for text in ("A:", "B:", "ab ?", "a3", "b:") for one in (settings, skipping)]
    said = lm.generate_until(prompts(*asked))
    assert said == ["", "420", "", "420", " \t7", "7", "", "", "", "420"]
    assert [lm.generate_until(prompts(one))[0] for one in asked] == said


@pytest.mark.parametrize("cache_bytes", [2**20, 0], ids=["trie", "generate"])
def test_nothing_but_white_space_is_an_empty_answer(
    cache_bytes: int, tokenizer: PreTrainedTokenizerBase
) -> None:
    model = follower(tokenizer, {":": "\n", "\n": " ", " ": "\n"})
    lm = load_lm(model, tokenizer, cache_bytes=cache_bytes)
    settings = {"until": ["\n"], "max_gen_toks": 6, "skip_white_space": True}
    assert lm.generate_until(prompts(("A:", settings), ("B:", settings))) == ["", ""]


def test_kept_answers_are_told_apart_by_the_setting(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Any
) -> None:
    model = follower(tokenizer, CHAIN)
    store = RequestStore(tmp_path / "answers.sqlite")
    for skip, said in ((False, ""), (True, "420"), (False, ""), (True, "420")):
        lm = load_lm(model, tokenizer, store=store)
        settings = {"until": ["\n"], "max_gen_toks": 8, "skip_white_space": skip}
        assert lm.generate_until(prompts(("A:", settings))) == [said]
    store.close()


def test_the_setting_is_true_or_false(tokenizer: PreTrainedTokenizerBase) -> None:
    lm = load_lm(follower(tokenizer, CHAIN), tokenizer)
    with pytest.raises(RequestError, match=r"Request 0: .* 'skip_white_space' is 'yes'; true or false"):
        lm.generate_until(prompts(("A:", {"until": ["\n"], "skip_white_space": "yes"})))


def test_models_on_other_engines_are_asked_without_it_and_cut_afterwards() -> None:
    class Writer(Double):
        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            self.asked = [request.args[1] for request in requests]
            return [f"\n{request.args[0]}\nmore" for request in requests]

    writer = Writer()
    lm = BackendLM(writer, backend="double", name="writer", too_long="error", progress=False)
    plain = {"until": ["\n"], "max_gen_toks": 8}
    requests = prompts(("a", plain | {"skip_white_space": True}), ("b", plain))
    assert lm.generate_until(requests) == ["a", "\nb\nmore"]
    assert writer.asked == [plain | {"until": []}, plain]
    assert requests[0].args[1]["skip_white_space"] is True
