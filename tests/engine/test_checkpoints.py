"""Checkpoints as they lie on disk, in the forms in which they are most easily read wrong."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma4Config,
    Gemma4ForConditionalGeneration,
    Llama4Config,
    Llama4ForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from archbench.engine import load_lm
from archbench.errors import RequestError
from archbench.identity import model_fingerprint
from archbench.models.load import load_model
from tests.engine.tiny import SENTENCES, VOCAB, make_model, prompts, rolling, scored

BODY: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 48,
    "max_position_embeddings": 256,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": None,
}
EYES: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
CONTEXT = " ".join(SENTENCES)
PAIRS = [(CONTEXT, f" {word}") for word in ("cat", "mill", "42")] + [(SENTENCES[0], " grey"), ("", CONTEXT)]


def enlarged(model: PreTrainedModel) -> PreTrainedModel:
    """With weights so large that predictions differ."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.dim() >= 2:
            torch.nn.init.normal_(parameter.data, std=0.3)
    return model.eval()


def plain(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pair: tuple[str, str]) -> float:
    """Log-likelihood by one forward pass over the whole text."""
    context = tokenizer.encode(pair[0]) or [tokenizer.eos_token_id]
    ids = torch.tensor([context + tokenizer.encode(pair[1])])
    with torch.inference_mode():
        logprobs = model(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)
    places = range(len(context), ids.shape[1])
    return sum(float(logprobs[0, at - 1, ids[0, at]]) for at in places)


def test_a_nested_text_config_with_soft_capping_tied_embeddings_and_a_window(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    text = BODY | {
        "sliding_window": 8,
        "layer_types": ["sliding_attention", "full_attention"],
        "final_logit_softcapping": 2.0,
        "global_head_dim": 8,
        "hidden_size_per_layer_input": 0,
        "num_kv_shared_layers": 0,
        "pad_token_id": 0,
    }
    config = Gemma4Config(text_config=text, vision_config=None, audio_config=None)
    enlarged(Gemma4ForConditionalGeneration(config)).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["text_config"]["sliding_window"] == 8
    lm = load_lm(tmp_path, tokenizer, device="cpu")
    reference = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert reference.get_output_embeddings().weight is reference.get_input_embeddings().weight
    got = [logprob for logprob, _ in lm.loglikelihood(scored(*PAIRS))]
    assert got == pytest.approx([plain(reference, tokenizer, pair) for pair in PAIRS], abs=1e-4)
    with torch.inference_mode():
        logits = lm.model(input_ids=torch.tensor([tokenizer.encode(CONTEXT)])).logits
    assert 1.5 < float(logits.abs().max()) <= 2.0
    assert lm.max_length == 256
    for field, value in (("sliding_window", 16), ("final_logit_softcapping", None)):
        changed = load_model(tmp_path, device="cpu")
        setattr(changed.config.text_config, field, value)
        assert model_fingerprint(changed) != model_fingerprint(lm.model), f"{field} is in the fingerprint"


def test_a_model_of_several_senses_is_read_as_its_language_model(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase, caplog: pytest.LogCaptureFixture
) -> None:
    text = BODY | {"intermediate_size_mlp": 48, "num_local_experts": 2, "moe_layers": [0]}
    eyes = EYES | dict.fromkeys(("vision_output_dim", "projector_input_dim", "projector_output_dim"), 16)
    config = Llama4Config(text_config=text | {"attention_chunk_size": 64}, vision_config=eyes)
    whole = enlarged(Llama4ForConditionalGeneration(config))
    whole.save_pretrained(tmp_path)
    lm = load_lm(tmp_path, tokenizer, device="cpu")
    assert "weights for images or sound were not read: multi_modal_projector" in caplog.text
    got = [logprob for logprob, _ in lm.loglikelihood(scored(*PAIRS))]
    # Of the language model within: the whole one of transformers 5.24 fails on text without pictures.
    alone = whole.language_model
    assert got == pytest.approx([plain(alone, tokenizer, pair) for pair in PAIRS], abs=1e-4)
    fields = json.loads((tmp_path / "config.json").read_text())
    fields["text_config"] |= {
        "num_hidden_layers": 1,
        "layer_types": ["full_attention"],
        "no_rope_layers": [0],
    }
    (tmp_path / "config.json").write_text(json.dumps(fields))
    with pytest.raises(RequestError, match=r"does not use: (language_)?model\.(model\.)?layers\.1"):
        load_model(tmp_path)


def test_shards_are_the_model(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    for name in ("llama_tied", "mamba2", "jamba"):
        whole, parts = tmp_path / name / "whole", tmp_path / name / "parts"
        make_model(name).save_pretrained(whole)
        make_model(name).save_pretrained(parts, max_shard_size="20KB")
        assert len(list(parts.glob("model-*.safetensors"))) > 2
        first, second = (load_lm(folder, tokenizer, device="cpu") for folder in (whole, parts))
        assert first.fingerprint == second.fingerprint
        assert first.loglikelihood(scored(*PAIRS)) == second.loglikelihood(scored(*PAIRS))
        assert first.loglikelihood_rolling(rolling(*SENTENCES)) == second.loglikelihood_rolling(
            rolling(*SENTENCES)
        )


def test_sampling_set_in_a_file_does_not_count(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    make_model("llama").save_pretrained(tmp_path)
    request = prompts((SENTENCES[0], {"until": [], "max_gen_toks": 20}))
    lm = load_lm(tmp_path, tokenizer, device="cpu")
    expected, fingerprint = lm.generate_until(request), lm.fingerprint
    path = tmp_path / "generation_config.json"
    sampling = {"do_sample": True, "temperature": 3.0, "top_k": 1, "repetition_penalty": 9.0}
    lengths = {"max_new_tokens": 1, "num_beams": 2, "suppress_tokens": [1, 2]}
    path.write_text(json.dumps(json.loads(path.read_text()) | sampling | lengths))
    lm = load_lm(tmp_path, tokenizer, device="cpu")
    assert lm.model.generation_config.repetition_penalty == 9.0
    assert lm.generate_until(request) == expected
    assert lm.fingerprint == fingerprint


def test_a_stop_string_that_no_single_token_holds_stops(tokenizer: PreTrainedTokenizerBase) -> None:
    lm = load_lm(make_model("llama"), tokenizer)
    (whole,) = lm.generate_until(prompts((SENTENCES[0], {"until": [], "max_gen_toks": 24})))
    ids = tokenizer.encode(whole)
    pieces = [tokenizer.decode([one]) for one in ids]
    joined = next(
        (at, stop)
        for at in range(3, len(pieces) - 1)
        if (stop := pieces[at][-1:] + pieces[at + 1][:1]).isascii()
        and len(stop) == 2
        and not any(stop in piece for piece in pieces)
    )
    stop = joined[1]
    cut = [whole.split(stop)[0]]
    assert lm.generate_until(prompts((SENTENCES[0], {"until": [stop], "max_gen_toks": 24}))) == cut
    longest = "".join(pieces[joined[0] - 1 : joined[0] + 2])
    assert lm.generate_until(prompts((SENTENCES[0], {"until": [longest], "max_gen_toks": 24}))) == [
        whole.split(longest)[0]
    ]


@pytest.mark.parametrize("name", ["llama", "mamba2"])
def test_of_equally_likely_tokens_the_first_is_greedy(name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """In bfloat16 logits tie often; flag, generation and every way of sharing take the first of equals."""
    model = copy.deepcopy(make_model(name)).to(torch.bfloat16)
    context = tokenizer.encode(SENTENCES[0])
    with torch.inference_mode():
        best = int(model(input_ids=torch.tensor([context]), use_cache=False).logits[0, -1].argmax())
    first, second = sorted({best, 5 if best != 5 else 7})
    head = model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach().clone())
    head.weight.data[[first, second]] = head.weight.data[best].clone()
    third = next(one for one in range(8, VOCAB) if one not in (first, second))
    lm = load_lm(model, tokenizer)
    requests = [(("", ""), context, [token]) for token in (first, second, third)]
    found = lm._loglikelihood_tokens(requests)
    assert [greedy for _, greedy in found] == [True, False, False]
    assert found[0][0] == found[1][0]
    assert [lm._loglikelihood_tokens([one])[0][1] for one in requests] == [True, False, False]
    (text,) = lm.generate_until(prompts((SENTENCES[0], {"until": [], "max_gen_toks": 1})))
    assert text == tokenizer.decode([first], skip_special_tokens=True)
