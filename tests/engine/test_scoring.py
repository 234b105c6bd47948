"""Scores do not depend on batches, order or neighbours; errors stand where silence would lie."""

from __future__ import annotations

import copy
import random
from typing import Any
from unittest import mock

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerBase

from archbench.engine import Usage, load_lm
from archbench.engine.sharing import walk
from tests.engine.tiny import CONFIGS, SENTENCES, VOCAB, make_model, make_tokenizer, rolling, scored

LETTERS = [(SENTENCES[2][:-2], letter) for letter in "ABCD"]
PAIRS = [
    *LETTERS,
    (SENTENCES[0], " cat"),
    (SENTENCES[0], " one grey cat lives in Elmford"),
    ("", SENTENCES[3]),
    ("12", " and"),
    ("12", " and 30 make 42"),
]


def alone(name: str) -> list[tuple[float, bool]]:
    lm = load_lm(make_model(name), make_tokenizer())
    return [lm.loglikelihood(scored(pair))[0] for pair in PAIRS]


def same(got: list[tuple[float, bool]], expected: list[tuple[float, bool]]) -> None:
    assert [logprob for logprob, _ in got] == pytest.approx([logprob for logprob, _ in expected], abs=1e-4)
    assert [greedy for _, greedy in got] == [greedy for _, greedy in expected]


@pytest.mark.parametrize("name", CONFIGS)
def test_batched_equals_alone(name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    lm = load_lm(make_model(name), tokenizer)
    same(lm.loglikelihood(scored(*PAIRS)), alone(name))
    assert lm.usage.tokens_padded > 0


@pytest.mark.parametrize("name", ["llama", "nemotron_h", "nemotron_h_moe", "jamba"])
@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(len(PAIRS))), batch_tokens=st.integers(1, 400))
def test_any_order_and_any_batch_size_give_the_same(name: str, order: list[int], batch_tokens: int) -> None:
    lm = load_lm(make_model(name), make_tokenizer(), batch_tokens=batch_tokens)
    got = lm.loglikelihood(scored(*(PAIRS[i] for i in order)))
    expected = alone_once(name)
    same(got, [expected[i] for i in order])


_alone: dict[str, list[tuple[float, bool]]] = {}


def alone_once(name: str) -> list[tuple[float, bool]]:
    if name not in _alone:
        _alone[name] = alone(name)
    return _alone[name]


@pytest.mark.parametrize("name", CONFIGS)
def test_a_mask_over_right_padding_changes_nothing(name: str) -> None:
    model = make_model(name)
    ids = torch.randint(1, VOCAB, (2, 20), generator=torch.Generator().manual_seed(1))
    ids[1, 12:] = 0
    mask = torch.ones_like(ids)
    mask[1, 12:] = 0
    with torch.inference_mode():
        plain = model(input_ids=ids, use_cache=False).logits
        masked = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        single = model(input_ids=ids[1:, :12], use_cache=False).logits
    torch.testing.assert_close(plain[1, :12], masked[1, :12], atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(plain[1, :12], single[0], atol=1e-4, rtol=1e-5)


def test_letters_and_identical_requests_cost_one_forward(tokenizer: PreTrainedTokenizerBase) -> None:
    lm = load_lm(make_model("llama"), tokenizer)
    scores = lm.loglikelihood(scored(*LETTERS, *LETTERS))
    length = len(tokenizer.encode(LETTERS[0][0]))
    assert lm.usage._replace(seconds=0.0, passes=0) == Usage(
        requests=8,
        pairs=8,
        tokens_requested=8 * length,
        tokens_distinct=length,
        tokens_forwarded=length,
        batches=1,
    )
    assert scores[:4] == scores[4:]
    assert lm.usage.since(lm.usage)._replace() == (0,) * len(lm.usage)


@pytest.mark.parametrize("name", CONFIGS)
def test_only_scored_positions_reach_the_head(name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    model = make_model(name)
    seen = []
    embedded = []
    lm = load_lm(model, tokenizer)
    assert lm.exactness.batched

    def spy(module: torch.nn.Module, args: tuple[torch.Tensor], output: torch.Tensor) -> None:
        seen.append((tuple(args[0].shape), tuple(output.shape)))

    handles = [
        model.get_output_embeddings().register_forward_hook(spy),
        model.get_input_embeddings().register_forward_hook(lambda m, a, out: embedded.append(out.shape)),
    ]
    try:
        lm.loglikelihood(scored(*LETTERS, (SENTENCES[0], " cat")))
    finally:
        for handle in handles:
            handle.remove()
    positions = 1 + len(tokenizer.encode(" cat"))
    assert seen == [((1, positions, 32), (1, positions, VOCAB))]
    ((rows, length, _),) = embedded
    assert rows == 2
    assert length > positions


@pytest.mark.parametrize("limit", [40, 90])
def test_running_out_of_memory_halves_the_batch(limit: int, tokenizer: PreTrainedTokenizerBase) -> None:
    model = make_model("llama")
    forward = model.forward

    def small(*args: object, input_ids: torch.Tensor, **kwargs: object) -> object:
        if input_ids.numel() > limit:
            raise torch.OutOfMemoryError("CUDA out of memory (pretended)")
        return forward(*args, input_ids=input_ids, **kwargs)

    lm = load_lm(model, tokenizer)
    pairs = [("12" + " and" * count, " 30") for count in range(1, 16)]
    expected = lm.loglikelihood(scored(*pairs))
    assert lm.usage.backoffs == 0
    with mock.patch.object(model, "forward", small):
        got = lm.loglikelihood(scored(*pairs))
    same(got, expected)
    assert lm.usage.backoffs >= 1
    assert lm.batch_tokens <= limit * 2


def test_logits_of_a_batch_stay_within_their_own_bound(tokenizer: PreTrainedTokenizerBase) -> None:
    model = make_model("llama")
    heights = []
    handle = model.get_output_embeddings().register_forward_hook(
        lambda module, args, output: heights.append(output.shape[1])
    )
    texts = [SENTENCES[0][:length] for length in range(20, 40)]
    try:
        lm = load_lm(model, tokenizer, cache_bytes=0)
        assert lm.exactness.batched
        heights.clear()
        expected = lm.loglikelihood_rolling(rolling(*texts))
        assert len(heights) == 1
        heights.clear()
        with mock.patch.object(walk, "_LOGITS_BYTES", 60 * VOCAB * 4):
            got = load_lm(model, tokenizer, cache_bytes=0).loglikelihood_rolling(rolling(*texts))
    finally:
        handle.remove()
    assert max(heights) <= 60
    assert got == pytest.approx(expected, abs=1e-4)


def test_weights_changed_in_place_are_another_model(tokenizer: PreTrainedTokenizerBase) -> None:
    model = copy.deepcopy(make_model("llama"))
    lm = load_lm(model, tokenizer)
    before = lm.fingerprint
    assert lm.fingerprint == before
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    assert lm.fingerprint != before


# transformers 5.20 fails on it in its own code (UnboundLocalError in modeling_rope_utils).
_since_5_21 = pytest.mark.skipif(
    transformers.__version__.startswith("5.20."), reason="needs transformers 5.21"
)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("llama", "dynamic"),
        ("llama", "longrope"),
        ("gemma3", "dynamic"),
        pytest.param("gemma3", "longrope", marks=_since_5_21),
    ],
)
def test_angles_that_go_with_the_length_are_those_of_each_input(
    name: str, kind: str, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Also where they are of one type of layer only, and whatever longer input came before."""
    angles: dict[str, Any] = {"rope_type": kind, "rope_theta": 10000.0, "factor": 4.0}
    if kind == "longrope":
        angles |= {"short_factor": [1.0] * 4, "long_factor": [8.0] * 4}
        angles |= {"original_max_position_embeddings": 64}
    body: dict[str, Any] = {
        "vocab_size": VOCAB,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "intermediate_size": 48,
        "max_position_embeddings": 64 if kind == "dynamic" else 256,
        "eos_token_id": 0,
    }
    if name == "gemma3":
        default = {"rope_type": "default", "rope_theta": 10000.0}
        body |= {"rope_parameters": {"full_attention": angles, "sliding_attention": default}}
        body |= {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 16}
    else:
        body |= {"rope_parameters": angles}
    config = AutoConfig.for_model("gemma3_text" if name == "gemma3" else name, **body)

    def fresh() -> Any:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = AutoModelForCausalLM.from_config(config).eval()
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    torch.nn.init.normal_(parameter.data, std=0.3)
        return model

    rng = random.Random(0)
    pairs = [
        ([rng.randrange(VOCAB) for _ in range(length)], [rng.randrange(VOCAB) for _ in range(3)])
        for length in (30, 160, 90, 31, 63, 64, 66)
    ]
    lm = load_lm(fresh(), tokenizer, max_length=256)
    for asked in (pairs, pairs[::-1]):
        got = lm._loglikelihood_tokens([(None, *pair) for pair in asked])
        for (context, continuation), (logprob, _) in zip(asked, got, strict=True):
            ids = torch.tensor([[*context, *continuation[:-1]]])
            with torch.inference_mode():
                logits = fresh()(input_ids=ids, use_cache=False).logits[0].log_softmax(-1)
            expected = logits[len(context) - 1 :].gather(1, torch.tensor(continuation)[:, None]).sum()
            assert logprob == pytest.approx(float(expected), abs=1e-4)


def test_experts_with_a_capacity_run_unbatched_even_where_short_prompts_do_not_fill_it(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    model = copy.deepcopy(make_model("mixtral"))
    model.config.expert_capacity = 64
    found = load_lm(model, tokenizer).exactness
    assert (found.level, found.batched) == ("none", False)
    assert "expert_capacity 64" in found.reason


def test_token_counts_are_those_of_the_encoding(tokenizer: PreTrainedTokenizerBase) -> None:
    lm = load_lm(make_model("llama"), tokenizer)
    assert lm.token_counts(*PAIRS[4]) is None
    lm.loglikelihood(scored(*PAIRS))
    whole, context = (len(tokenizer.encode(text)) for text in (SENTENCES[0] + " cat", SENTENCES[0]))
    assert lm.token_counts(*PAIRS[4]) == (context, whole - context)
    lm.loglikelihood_rolling(rolling(SENTENCES[1]))
    assert lm.token_counts("", SENTENCES[1]) == (1, len(tokenizer.encode(SENTENCES[1])))
    assert lm.token_counts(SENTENCES[0] + " ", "cat") is None


@pytest.mark.parametrize("stride", [1, 3, 8])
def test_a_stride_gives_each_token_the_context_that_fits(
    stride: int, tokenizer: PreTrainedTokenizerBase
) -> None:
    limit, text = 8, SENTENCES[0][:40]
    lm = load_lm(make_model("llama"), tokenizer, max_length=limit, rolling_stride=stride)
    ids = [lm.prefix_token_id, *lm.tok_encode(text)]
    assert len(ids) > 2 * limit
    expected = 0.0
    for first in range(1, len(ids)):
        # The window that predicts this token ends at `end`; it begins as early as fits.
        end = next(e for e in [limit, *range(limit + stride, len(ids), stride), len(ids) - 1] if e >= first)
        seen = torch.tensor([ids[max(0, end - limit) : first]])
        with torch.no_grad():
            logits = lm.model(seen).logits[0, -1]
        expected += float(logits.log_softmax(-1)[ids[first]])
    assert lm.loglikelihood_rolling(rolling(text)) == pytest.approx([expected], abs=1e-3)


def test_progress_counts_requests_and_ends_complete(tokenizer: PreTrainedTokenizerBase) -> None:
    calls: list[tuple[int, int]] = []
    lm = load_lm(
        make_model("llama"),
        tokenizer,
        batch_tokens=30,
        progress=lambda *call: calls.append(call),
        max_length=16,
    )
    lm.loglikelihood_rolling(rolling(*SENTENCES, ""))
    assert calls[-1] == (5, 5)
    assert calls == sorted(calls)
    calls.clear()
    shuffled = scored(*((f"{number} and", " two" * 3) for number in random.Random(0).sample(range(99), 8)))
    lm.loglikelihood(shuffled)
    assert len(calls) > 1
    assert calls[-1] == (8, 8)


def test_no_requests_no_work(tokenizer: PreTrainedTokenizerBase) -> None:
    lm = load_lm(make_model("llama"), tokenizer, progress=True)
    assert lm.loglikelihood([]) == []
    assert lm.loglikelihood_rolling([]) == []
    assert lm.generate_until([]) == []


def test_rotary_angles_that_go_with_the_batchs_width_do_not_couple_rows(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    from transformers import AutoModelForCausalLM, Phi3Config

    rope = {
        "rope_type": "longrope", "rope_theta": 10000.0, "factor": 4.0, "short_factor": [1.0] * 4,
        "long_factor": [8.0] * 4, "original_max_position_embeddings": 12,
    }  # fmt: skip
    config = Phi3Config(
        vocab_size=VOCAB, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=48, original_max_position_embeddings=12,
        pad_token_id=0, rope_parameters=rope,
    )  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    pairs = [("12", " and"), (SENTENCES[0], " one grey cat lives in Elmford")]
    together = load_lm(model, tokenizer).loglikelihood(scored(*pairs))
    single = [load_lm(model, tokenizer).loglikelihood(scored(pair))[0] for pair in pairs]
    same(together, single)


def test_work_is_counted_while_it_is_done(tokenizer: PreTrainedTokenizerBase) -> None:
    """A bar can tell tokens per second before the last answer is there."""
    seen: list[tuple[int, int, int]] = []

    def note(done: int, total: int) -> None:
        seen.append((done, lm.usage.tokens_requested, lm.usage.tokens_forwarded))

    lm = load_lm(make_model("llama"), tokenizer, batch_tokens=40, progress=note)
    lm.loglikelihood(scored(*((sentence, f" {word}") for sentence in SENTENCES for word in ("one", "two"))))
    halfway = [requested for done, requested, _ in seen if 0 < done < 8]
    assert halfway, "more than one batch"
    assert all(0 < requested < lm.usage.tokens_requested for requested in halfway)
    assert [forwarded for *_, forwarded in seen] == sorted(forwarded for *_, forwarded in seen)
    assert seen[-1][1:] == (lm.usage.tokens_requested, lm.usage.tokens_forwarded)
