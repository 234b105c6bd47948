"""Generation is exact: cached equals recomputed, batched equals alone, sampled from its own seed."""

from __future__ import annotations

import copy
from unittest import mock

import pytest
import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from archbench.engine import TooLongError, load_lm
from archbench.errors import RequestError
from tests.engine.tiny import CONFIGS, SENTENCES, UNSHARED, make_model, prompts

PROMPTS = [SENTENCES[0], SENTENCES[1], SENTENCES[1][:12], SENTENCES[3], SENTENCES[3][:9]]


def recomputed_ids(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: str, count: int
) -> list[int]:
    """Greedy continuation with a full forward pass per token and no cache."""
    ids = tokenizer.encode(prompt)
    start = len(ids)
    with torch.inference_mode():
        while len(ids) < start + count and (len(ids) == start or ids[-1] != tokenizer.eos_token_id):
            ids.append(int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return ids[start:]


def recomputed(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: str, count: int) -> str:
    return str(tokenizer.decode(recomputed_ids(model, tokenizer, prompt, count), skip_special_tokens=True))


@pytest.mark.parametrize("name", UNSHARED)
def test_models_whose_state_is_not_fit_are_decoded_without_it(
    name: str, tokenizer: PreTrainedTokenizerBase
) -> None:
    """rwkv's state is wrong for several rows, recurrent_gemma's lives on in the model, xlstm's raises."""
    model = make_model(name)
    texts = ["", "a", "b", "ab", "cd", SENTENCES[0], SENTENCES[3], ""]
    settings = {"until": [], "max_gen_toks": 8}
    lm = load_lm(model, tokenizer)
    expected = [recomputed(model, tokenizer, text or tokenizer.eos_token, 8) for text in texts]
    assert lm.generate_until(prompts(*((text, settings) for text in texts))) == expected
    assert [lm.generate_until(prompts((text, settings)))[0] for text in reversed(texts)] == expected[::-1]


@pytest.mark.parametrize("name", CONFIGS)
def test_greedy_equals_recomputing_every_step(name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    model = make_model(name)
    settings = {"until": [], "max_gen_toks": 20}
    got = load_lm(model, tokenizer).generate_until(prompts(*((prompt, settings) for prompt in PROMPTS)))
    assert got == [recomputed(model, tokenizer, prompt, 20) for prompt in PROMPTS]


def test_recurrent_layers_alone_still_generate_from_their_state(tokenizer: PreTrainedTokenizerBase) -> None:
    model = make_model("nemotron_h_pure")
    lm = load_lm(model, tokenizer)
    assert lm.exactness.continues, "measured before the hook is there"
    lengths = []
    handle = model.register_forward_hook(
        lambda module, args, kwargs, output: lengths.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    try:
        lm.generate_until(prompts((SENTENCES[0], {"until": [], "max_gen_toks": 6})))
    finally:
        handle.remove()
    assert lengths == [len(tokenizer.encode(SENTENCES[0])), 1, 1, 1, 1, 1]


def test_stop_strings_are_cut_off_in_every_row(tokenizer: PreTrainedTokenizerBase) -> None:
    model = make_model("llama")
    lm = load_lm(model, tokenizer)
    whole = recomputed(model, tokenizer, SENTENCES[0], 30)
    for stop in (whole[7], whole[5:9], whole[10:13]):
        request = (SENTENCES[0], {"until": [stop, "never there"], "max_gen_toks": 30})
        assert lm.generate_until(prompts(request)) == [whole.split(stop)[0]]
    before = lm.usage
    lm.generate_until(prompts((SENTENCES[0], {"until": whole[2], "max_gen_toks": 30})))
    assert lm.usage.since(before).tokens_forwarded < len(tokenizer.encode(SENTENCES[0])) + 29


def test_a_row_that_ends_early_is_not_changed_by_its_neighbours(tokenizer: PreTrainedTokenizerBase) -> None:
    model = make_model("llama")
    ids = tokenizer.encode(" ".join(SENTENCES))
    texts = [tokenizer.decode(ids[start : start + 6]) for start in range(0, len(ids) - 6, 6)]
    requests = [(text, {"until": ["e", "a"], "max_gen_toks": 16}) for text in texts]
    lm = load_lm(model, tokenizer)
    alone = [lm.generate_until(prompts(request))[0] for request in requests]
    batched = load_lm(model, tokenizer)
    assert batched.generate_until(prompts(*requests)) == alone
    assert batched.usage.batches < len(requests)
    assert len({len(text) for text in alone}) > 1


def test_end_of_text_ends_a_generation(tokenizer: PreTrainedTokenizerBase) -> None:
    model = copy.deepcopy(make_model("llama"))
    ids = recomputed_ids(model, tokenizer, SENTENCES[0], 8)
    model.generation_config = GenerationConfig(eos_token_id=[ids[4]])
    request = {"until": [], "max_gen_toks": 8}
    lm = load_lm(model, tokenizer)
    (text,) = lm.generate_until(prompts((SENTENCES[0], request)))
    assert text == tokenizer.decode(ids[: ids.index(ids[4]) + 1])
    assert len(text) < len(recomputed(model, tokenizer, SENTENCES[0], 8))


def test_the_checkpoints_own_generation_settings_do_not_count(tokenizer: PreTrainedTokenizerBase) -> None:
    model = copy.deepcopy(make_model("llama"))
    request = prompts((SENTENCES[0], {"until": [], "max_gen_toks": 20}))
    expected = load_lm(model, tokenizer).generate_until(request)
    model.generation_config = GenerationConfig(repetition_penalty=9.0, do_sample=True, temperature=3.0)
    assert load_lm(model, tokenizer).generate_until(request) == expected
    assert model.generation_config.repetition_penalty == 9.0
    penalised = prompts((SENTENCES[0], {"until": [], "max_gen_toks": 20, "repetition_penalty": 9.0}))
    assert load_lm(model, tokenizer).generate_until(penalised) != expected


def test_samples_depend_on_the_seed_and_nothing_else(tokenizer: PreTrainedTokenizerBase) -> None:
    model = make_model("llama")
    settings = {"until": [], "max_gen_toks": 12, "do_sample": True, "temperature": 1.5}
    requests = [(text, settings) for text in (SENTENCES[0], SENTENCES[1], SENTENCES[0], SENTENCES[3])]
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = load_lm(model, tokenizer).generate_until(prompts(*requests))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    lm = load_lm(model, tokenizer, batch_tokens=1)
    assert lm.generate_until(prompts(*reversed(requests[1:]))) == [first[3], first[0], first[1]]
    assert first[0] != first[2], "a repeated prompt is a new sample"
    assert load_lm(model, tokenizer, seed=1).generate_until(prompts(*requests)) != first


def test_identical_greedy_prompts_are_generated_once(tokenizer: PreTrainedTokenizerBase) -> None:
    lm = load_lm(make_model("mamba2"), tokenizer)
    a, b = lm.generate_until(prompts(*[(SENTENCES[0], {"until": [], "max_gen_toks": 4})] * 2))
    assert a == b
    assert lm.usage.requests == 2
    assert lm.usage.tokens_requested == 2 * lm.usage.tokens_forwarded


def test_an_empty_prompt_starts_from_the_prefix_token(tokenizer: PreTrainedTokenizerBase) -> None:
    model = make_model("llama")
    request = {"until": [], "max_gen_toks": 6}
    (text,) = load_lm(model, tokenizer).generate_until(prompts(("", request)))
    assert text == recomputed(model, tokenizer, "<|endoftext|>", 6)


def test_running_out_of_memory_halves_the_batch(tokenizer: PreTrainedTokenizerBase) -> None:
    model = make_model("llama")
    requests = [(f"{number} and", {"until": [], "max_gen_toks": 4}) for number in range(1, 9)]
    expected = load_lm(model, tokenizer).generate_until(prompts(*requests))
    generate = model.generate

    def small(*args: object, input_ids: torch.Tensor, **kwargs: object) -> torch.Tensor:
        if len(input_ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory (pretended)")
        return generate(*args, input_ids=input_ids, **kwargs)

    lm = load_lm(model, tokenizer, cache_bytes=0)
    with mock.patch.object(model, "generate", small):
        assert lm.generate_until(prompts(*requests)) == expected
    assert lm.usage.backoffs > 0


def test_too_long_is_an_error_before_anything_is_generated(tokenizer: PreTrainedTokenizerBase) -> None:
    lm = load_lm(make_model("llama"), tokenizer, max_length=40)
    fits, not_fits = {"until": [], "max_gen_toks": 4}, {"until": [], "max_gen_toks": 39}
    with pytest.raises(TooLongError, match=r"Request 1 \(prompt and max_gen_toks 39\) .*at most 40"):
        lm.generate_until(prompts(("12 and", fits), ("12 and", not_fits)))
    assert lm.usage.batches == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temprature": 0.7}, "'temprature' is not supported. Did you mean 'temperature'"),
        ({"num_beams": 4}, "'num_beams' is not supported"),
        ({"do_sample": True, "temperature": 0.0}, "contradicts itself"),
        ({"max_gen_toks": 0}, "at least 1"),
        ({"max_gen_toks": "ten"}, "'max_gen_toks' is 'ten'; a whole number"),
        ({"until": [None]}, r"'until' is \[None\]; a text or a list of texts"),
        ({"until": 7}, "'until' is 7"),
        ({"until": ["\n", ""]}, "none of them empty"),
        ({"do_sample": "yes"}, "'do_sample' is 'yes'; true or false"),
        ({"temperature": None}, "'temperature' is None; a number"),
        ({"temperature": float("nan")}, "'temperature' is nan; a number"),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    settings: dict[str, object], message: str, tokenizer: PreTrainedTokenizerBase
) -> None:
    with pytest.raises(RequestError, match=message):
        load_lm(make_model("llama"), tokenizer).generate_until(prompts(("12", settings)))


def test_no_stop_string_may_be_said_in_three_ways(tokenizer: PreTrainedTokenizerBase) -> None:
    ways: list[dict[str, object]] = [{"until": None}, {"until": []}, {}]
    requests = prompts(*(("12 and", {"max_gen_toks": 6, **way}) for way in ways))
    assert len(set(load_lm(make_model("llama"), tokenizer).generate_until(requests))) == 1
