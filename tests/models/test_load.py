"""Loading refuses whatever transformers would fill in or guess; fingerprints tell models apart."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertLMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from archbench.engine import load_lm
from archbench.errors import RequestError, RunError
from archbench.identity import model_fingerprint, tokenizer_fingerprint
from archbench.models.build import build_config
from archbench.models.load import load_model, load_tokenizer
from archbench.registry.sources import check_model_folder


def build(seed: int = 0, **fields: object) -> PreTrainedModel:
    torch.manual_seed(seed)
    small = {
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
    }
    return LlamaForCausalLM(LlamaConfig(vocab_size=11, hidden_size=8, **{**small, **fields}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build().save_pretrained(tmp_path / "tiny-llama")
    return tmp_path / "tiny-llama"


def edit_config(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_saved_model_loads_as_it_was(folder: Path) -> None:
    model = load_model(folder)
    assert not model.training
    assert model.dtype == torch.float32
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), build().parameters(), strict=True))
    assert load_model(str(folder), dtype="bfloat16", device="cpu").dtype == torch.bfloat16


def test_dtype_auto_is_the_checkpoints(tmp_path: Path) -> None:
    build().to(torch.bfloat16).save_pretrained(tmp_path)
    assert load_model(tmp_path).dtype == torch.bfloat16
    assert load_model(tmp_path, dtype=torch.float32).dtype == torch.float32


def test_a_model_object_is_taken_as_it_is() -> None:
    model = build().train()
    assert load_model(model) is model
    assert not model.training
    assert load_model(model, dtype="float32", device="cpu") is model
    with pytest.raises(RequestError, match=r"in torch.float32, not torch.bfloat16. Convert it"):
        load_model(model, dtype="bfloat16")
    with pytest.raises(RequestError, match="revision"):
        load_model(model, revision="main")


def test_an_object_that_is_no_model_is_named(folder: Path) -> None:
    with pytest.raises(RequestError, match="A Linear was given as model"):
        load_lm(torch.nn.Linear(1, 1))  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="A Tokenizer was given as tokenizer"):
        load_lm(folder, Tokenizer(models.BPE()))  # type: ignore[arg-type]


def test_missing_weights_are_named_and_not_made_up(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.down_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RequestError, match=r"1 weight .* not in .*tiny-llama: model.layers.1.mlp.down_proj"):
        load_model(folder)


def test_a_deeper_config_than_weights_is_refused(folder: Path) -> None:
    edit_config(folder, num_hidden_layers=3)
    with pytest.raises(RequestError, match=r"9 weights that the architecture needs"):
        load_model(folder)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    edit_config(folder, intermediate_size=24)
    with pytest.raises(RequestError, match=r"do not fit its config.json; the first is .*mlp"):
        load_model(folder)


def test_a_shallower_config_than_weights_is_refused(folder: Path) -> None:
    edit_config(folder, num_hidden_layers=1)
    with pytest.raises(RequestError, match=r"9 weights .* does not use: model.layers.1.input_layernorm"):
        load_model(folder)


def test_pickled_weights_are_not_touched(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(RequestError, match=r"has no weights \(expected model.safetensors"):
        load_model(folder)
    (folder / "pytorch_model.bin").write_bytes(b"not a pickle")
    with pytest.raises(RequestError, match=r"pytorch_model.bin would have to be unpickled"):
        load_model(folder)


def test_a_damaged_file_is_named(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"short")
    with pytest.raises(
        RequestError,
        match=r"tiny-llama/model\.safetensors cannot be read.* it has 5 bytes",
    ):
        load_model(folder)


def test_unknown_architectures_get_the_nearest_name(folder: Path) -> None:
    edit_config(folder, model_type="lama")
    with pytest.raises(RequestError, match=r"model_type 'lama'.*Did you mean 'llama'"):
        load_model(folder)
    edit_config(folder, model_type="bart-classifier")
    with pytest.raises(RequestError, match="no causal language model"):
        load_model(folder)


def test_folders_that_are_none(folder: Path) -> None:
    with pytest.raises(RequestError, match=r"tiny-lama does not exist. Did you mean 'tiny-llama'"):
        load_model(folder.parent / "tiny-lama")
    with pytest.raises(RequestError, match=r"is a file"):
        load_model(folder / "config.json")
    with pytest.raises(RequestError, match="revisions belong to hub ids"):
        load_model(folder, revision="main")
    shutil.move(folder / "config.json", folder / "configuration.json")
    with pytest.raises(RequestError, match=r"has no config.json"):
        load_model(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(RequestError, match=r"config.json is not a model configuration in JSON"):
        load_model(folder)


def test_a_hub_id_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(RequestError, match="'nobody/nothing', which is no local folder"):
        load_model("nobody/nothing")
    with pytest.raises(RequestError, match="'nobody/nothing', which is no local folder"):
        load_tokenizer("nobody/nothing")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "bfloat"}, "dtype 'bfloat' is not known. Did you mean 'bfloat16'"),
        ({"device": "gpu"}, "device 'gpu' is not known"),
        ({"device": "cuda:99"}, "torch sees"),
    ],
)
def test_options_that_cannot_be_given(folder: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        load_model(folder, **options)


def tiny_tokenizer(*extra: str) -> PreTrainedTokenizerFast:
    vocab = {word: i for i, word in enumerate(["<e>", "a", "b", "c", *extra])}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocab, unk_token="<e>")), eos_token="<e>"
    )


def test_tokenizers_come_from_the_models_folder_or_are_missed(folder: Path) -> None:
    with pytest.raises(RequestError, match="holds no tokenizer with a vocabulary"):
        load_lm(folder)
    tiny_tokenizer().save_pretrained(folder)
    lm = load_lm(folder)
    assert lm.tok_encode("a") == [1]
    assert load_lm(load_model(folder)).tok_encode("a") == [1]
    assert load_lm(build(), folder).fingerprint == lm.fingerprint
    with pytest.raises(RequestError, match="give its tokenizer too"):
        load_lm(build())


def test_a_tokenizer_without_end_of_text_is_refused() -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    with pytest.raises(RequestError, match="has no eos_token"):
        load_lm(build(), tokenizer)


def test_model_fingerprint_survives_saving_and_sees_every_change(folder: Path) -> None:
    model = build()
    fingerprint = model_fingerprint(model)
    assert model_fingerprint(build()) == fingerprint
    assert model_fingerprint(load_model(folder)) == fingerprint
    changed = {fingerprint, model_fingerprint(build(seed=1)), model_fingerprint(build(rms_norm_eps=1e-5))}
    for name, weight in model.named_parameters():
        other = copy.deepcopy(model)
        other.get_parameter(name).data.view(-1)[-1] = weight.data.view(-1)[-1].nextafter(torch.tensor(9.0))
        changed.add(model_fingerprint(other))
    changed.add(model_fingerprint(copy.deepcopy(model).to(torch.bfloat16)))
    changed.add(model_fingerprint(copy.deepcopy(model).to(torch.bfloat16).float()))
    assert len(changed) == 5 + len(list(model.parameters()))


def test_a_model_that_is_not_in_memory_has_no_fingerprint() -> None:
    with pytest.raises(RunError, match="is not in memory"):
        model_fingerprint(build().to("meta"))


def test_tokenizer_fingerprint_sees_rules_and_not_padding(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    fingerprint = tokenizer_fingerprint(tokenizer)
    tokenizer.save_pretrained(tmp_path)
    assert tokenizer_fingerprint(load_tokenizer(tmp_path)) == fingerprint
    tokenizer.pad_token = "<e>"
    padded = tokenizer_fingerprint(tokenizer)
    tokenizer(["a", "b"], padding="max_length", max_length=4, truncation=True)
    assert tokenizer_fingerprint(tokenizer) == padded
    assert tokenizer_fingerprint(tiny_tokenizer("d")) != fingerprint
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{{ messages }}"
    assert tokenizer_fingerprint(tokenizer) != fingerprint
    # Generated texts are decoded with it: stored ones would be of the other kind.
    words = tiny_tokenizer(".")
    words.clean_up_tokenization_spaces = True
    assert words.decode([1, 4]) != tiny_tokenizer(".").decode([1, 4])
    assert tokenizer_fingerprint(words) != tokenizer_fingerprint(tiny_tokenizer("."))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"model_type": "bert"}, "'bert' reads in both directions"),
        ({"model_type": "xlnet"}, "'xlnet' reads in both directions"),
        ({"model_type": "bart", "is_encoder_decoder": True}, "'bart' is an encoder-decoder"),
        ({"model_type": "t5", "is_encoder_decoder": True}, "'t5' is an encoder-decoder"),
    ],
)
def test_models_that_are_not_causal_are_refused(folder: Path, fields: dict[str, Any], why: str) -> None:
    edit_config(folder, **fields)
    with pytest.raises(RequestError, match=rf"config\.json: model_type {why}") as error:
        load_model(folder)
    assert "\n" not in str(error.value)
    with pytest.raises(RequestError, match=rf"suite: .*config\.json: model_type {why}"):
        check_model_folder(folder, "suite")


def test_a_bidirectional_model_object_is_refused_and_a_decoder_taken() -> None:
    small = {"vocab_size": 11, "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1}
    small |= {"intermediate_size": 16}
    with pytest.raises(RequestError, match="'bert' reads in both directions"):
        load_model(BertForMaskedLM(BertConfig(**small)))
    with pytest.raises(RequestError, match="architecture: model_type 'bert' reads in both directions"):
        build_config({"model_type": "bert", **small})
    assert build_config({"model_type": "bert", "is_decoder": True, **small}).is_decoder
    assert load_model(BertLMHeadModel(BertConfig(**small, is_decoder=True))).config.is_decoder
