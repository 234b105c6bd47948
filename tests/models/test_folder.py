"""A model folder says one thing: what changes the model is applied, refused by name, or stated."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from archbench.checkpoint import INDEX, tokenizer_files, weight_files
from archbench.errors import RequestError
from archbench.identity import model_fingerprint
from archbench.models.checks.remarks import model_remarks
from archbench.models.load import load_model, load_tokenizer
from archbench.registry.sources import check_model_folder
from archbench.registry.weights import read_header
from tests.runner.tiny import save_tokenizer


def build(**fields: Any) -> LlamaForCausalLM:
    torch.manual_seed(0)
    small = {"num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 16}
    return LlamaForCausalLM(LlamaConfig(vocab_size=11, hidden_size=8, num_hidden_layers=2, **small, **fields))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build().save_pretrained(tmp_path / "m")
    return tmp_path / "m"


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    build().save_pretrained(tmp_path / "s", max_shard_size="2KB")
    assert len(weight_files(tmp_path / "s")) > 3
    return tmp_path / "s"


def edit(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def index_of(folder: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((folder / INDEX).read_text())["weight_map"]
    return found


def refused(folder: Path, match: str) -> None:
    """Refused on loading, and before anything is loaded, in one paragraph that names the folder."""
    with pytest.raises(RequestError, match=match) as loading:
        load_model(folder)
    with pytest.raises(RequestError, match=rf"suite, line 3: .*{match}"):
        check_model_folder(folder, "suite, line 3")
    assert "\n" not in str(loading.value)
    assert str(folder) in str(loading.value)


def test_an_adapter_is_refused_with_weights_and_without(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "x/y"}')
    (folder / "adapter_model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    refused(folder, r"PEFT adapter \(adapter_config.json, adapter_model.safetensors\).*merge_and_unload")
    (folder / "adapter_config.json").unlink()
    refused(folder, r"PEFT adapter \(adapter_model.safetensors\)")
    (folder / "config.json").unlink()
    refused(folder, "PEFT adapter")


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "sub/model.safetensors",
        "../m/model.safetensors",
        "/etc/model.safetensors",
        "sub\\model.safetensors",
        "c:model.safetensors",
        "..",
        "",
    ],
)
def test_an_index_names_safetensors_files_of_its_folder_alone(sharded: Path, name: str) -> None:
    """Whatever lies there: such a file was loaded, and was no part of the model's identity."""
    whole = load_model(sharded).state_dict()
    for place in ("pytorch_model.bin", "sub/model.safetensors", "../m/model.safetensors"):
        (sharded / place).parent.mkdir(exist_ok=True)
        if place.endswith(".bin"):
            torch.save(whole, sharded / place)
        else:
            save_file(whole, sharded / place, metadata={"format": "pt"})
    edit(sharded / INDEX, weight_map=dict.fromkeys(index_of(sharded), name))
    refused(sharded, rf"weight_map names the file '{name.replace(chr(92), chr(92) * 2)}'")


@pytest.mark.parametrize("weight_map", [None, {}, [], "x", {"a": 1}, {"a": None}])
def test_an_index_without_files_is_refused(sharded: Path, weight_map: object) -> None:
    edit(sharded / INDEX, weight_map=weight_map)
    refused(sharded, r"weight_map was expected to give the file of each tensor")
    edit(sharded / INDEX, weight_map={"a": "model-00001-of-00002.safetensors"}, metadata=None)
    refused(sharded, "metadata was expected")
    (sharded / INDEX).write_text("[" if weight_map is None else "[]")
    refused(sharded, "not valid JSON" if weight_map is None else "weight_map was expected")


def test_an_index_and_its_shards_agree(sharded: Path) -> None:
    named = index_of(sharded)
    first, second, *_ = sorted(set(named.values()))
    edit(sharded / INDEX, weight_map=named | {"model.ghost": first})
    refused(sharded, "names 1 tensor that is not in the files it gives: model.ghost")
    edit(sharded / INDEX, weight_map=named | {"model.ghost": "model-00099-of-00099.safetensors"})
    refused(sharded, r"names files that do not exist: model-00099-of-00099\.safetensors")
    edit(sharded / INDEX, weight_map=named)
    both = load_file(sharded / first) | load_file(sharded / second)
    save_file(both, sharded / first, metadata={"format": "pt"})
    refused(sharded, rf"is in {first} and in {second}")
    (sharded / first).write_bytes(b"\x08\0\0\0\0\0\0\0[1, 2]  ")
    refused(sharded, rf"{first} cannot be read as a safetensors file")


def test_two_sets_of_weights_are_refused(sharded: Path, folder: Path) -> None:
    shutil.copy(folder / "model.safetensors", sharded)
    refused(sharded, "two sets of weights")
    edit(sharded / INDEX, weight_map=dict.fromkeys(index_of(sharded), "model.safetensors"))
    refused(sharded, "would not be read: model-00001")
    for shard in sharded.glob("model-*"):
        shard.unlink()
    assert model_fingerprint(load_model(sharded)) == model_fingerprint(load_model(folder))


def test_weights_that_nothing_names_are_refused(sharded: Path, folder: Path) -> None:
    shard = sharded / "model-00099-of-00099.safetensors"
    shutil.copy(folder / "model.safetensors", shard)
    refused(sharded, rf"would not be read: {shard.name}")
    shutil.copy(shard, folder)
    refused(folder, rf"would not be read: {shard.name}")
    # transformers takes such a name for a distributed checkpoint, and reads all files of the folder.
    (folder / shard.name).rename(folder / "shard-00000-model-00001-of-00001.safetensors")
    refused(folder, "would not be read: shard-00000")
    (folder / "model.safetensors").unlink()
    refused(folder, r"has no weights under the names .*shard-00000")


def test_copies_for_other_readers_are_left_alone_and_stated(
    folder: Path, sharded: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fingerprint = model_fingerprint(load_model(folder))
    assert not caplog.records
    for place in (folder, sharded):
        for name in ("consolidated.safetensors", "model.fp16.safetensors"):
            (place / name).write_bytes(b"not read")
        assert model_fingerprint(load_model(place)) == fingerprint
        assert "consolidated.safetensors, model.fp16.safetensors were not read" in caplog.text
        header = read_header(place)
        assert header is not None
        assert len(header.shapes) == 21


def test_a_folder_of_checkpoints_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    shutil.move(folder, tmp_path / "runs" / "checkpoint-500")
    edit(tmp_path / "runs" / "checkpoint-500" / "config.json")
    shutil.copy(tmp_path / "runs" / "checkpoint-500" / "config.json", tmp_path / "runs")
    refused(tmp_path / "runs", "has no weights. Models lie in its folders checkpoint-500")


def test_code_of_its_own_is_never_run_and_stated(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "modeling_mine.py").write_text("raise SystemExit('run')")
    edit(folder / "config.json", auto_map={"AutoModelForCausalLM": "modeling_mine.Mine"})
    load_model(folder)
    assert "auto_map: modeling_mine.Mine" in caplog.text
    assert "model_type 'llama'" in caplog.text
    edit(folder / "config.json", model_type="mine")
    refused(
        folder, r"no causal language model of model_type 'mine'\. Code of its own \(auto_map\) is never run"
    )
    save_tokenizer(folder)
    caplog.clear()
    load_tokenizer(folder)
    assert not caplog.records
    for named in ({"AutoTokenizer": ["tokenization_mine.Slow", None]}, ["tokenization_mine.Slow", None]):
        caplog.clear()
        edit(folder / "tokenizer_config.json", auto_map=named)
        load_tokenizer(folder)
        assert "auto_map: tokenization_mine.Slow" in caplog.text


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        (
            {"transformers_weights": "sub/model.safetensors"},
            "transformers_weights names 'sub/model.safetensors'",
        ),
        ({"attn_implementation": "someone/kernel"}, "attn_implementation names 'someone/kernel'"),
        (
            {"_attn_implementation": {"": "someone/kernel@main:f"}},
            "_attn_implementation names 'someone/kernel",
        ),
        ({"text_config": {"experts_implementation": "a/b"}}, "experts_implementation names 'a/b'"),
    ],
)
def test_a_configuration_that_reaches_outside_is_refused(
    folder: Path, fields: dict[str, Any], match: str
) -> None:
    edit(folder / "config.json", **fields)
    refused(folder, match)


@pytest.mark.parametrize(
    "named",
    [["config.5.0.0.json"], ["../config.5.0.0.json"], {"config.5.0.0.json": 1}, ["config.9.9.9.json"]],
)
def test_a_configuration_that_is_read_in_place_of_another_is_refused(folder: Path, named: object) -> None:
    """By the version of transformers: such a file was read, and was no part of the model's identity."""
    shutil.copy(folder / "config.json", folder / "config.5.0.0.json")
    save_tokenizer(folder)
    edit(folder / "config.json", configuration_files=named)
    refused(folder, "configuration_files names")
    with pytest.raises(RequestError, match=r"configuration_files names .*rename the file that is meant"):
        load_tokenizer(folder)
    edit(folder / "config.json", configuration_files=["config.json"])
    load_model(folder)


@pytest.mark.parametrize("fields", [{"attn_implementation": "eager"}, {"transformers_weights": None}])
def test_a_configuration_that_does_not_is_taken(folder: Path, fields: dict[str, Any]) -> None:
    edit(folder / "config.json", **fields)
    load_model(folder)


def test_a_quantization_that_transformers_would_leave_out_is_refused(folder: Path) -> None:
    edit(folder / "config.json", quantization_config={"quant_method": "unheard_of", "bits": 2})
    with pytest.raises(RequestError, match="the method 'unheard_of', which this transformers does not have"):
        load_model(folder)


@pytest.mark.parametrize("inside", [False, True])
def test_a_quantization_is_stated(folder: Path, inside: bool) -> None:
    """transformers converts weights of fp8 back where the device has none, without a word."""
    assert model_remarks(folder) == []
    fields = {"quantization_config": {"quant_method": "fp8"}}
    edit(folder / "config.json", **({"text_config": fields} if inside else fields))
    (remark,) = model_remarks(folder)
    assert "config.json has the weights quantized (quantization_config: fp8)" in remark


def test_embeddings_that_are_tied_and_differ_are_refused(folder: Path) -> None:
    edit(folder / "config.json", tie_word_embeddings=True)
    with pytest.raises(RequestError, match=r"ties lm_head.weight to model.embed_tokens.weight.*to use both"):
        load_model(folder)
    weights = load_file(folder / "model.safetensors")
    same = weights | {"lm_head.weight": weights["model.embed_tokens.weight"].clone()}
    save_file(same, folder / "model.safetensors", metadata={"format": "pt"})
    fingerprint = model_fingerprint(load_model(folder))
    del same["lm_head.weight"]
    save_file(same, folder / "model.safetensors", metadata={"format": "pt"})
    assert model_fingerprint(load_model(folder)) == fingerprint
    edit(folder / "config.json", tie_word_embeddings=False)
    with pytest.raises(
        RequestError, match=r"1 weight that the architecture needs is not in .*lm_head.weight"
    ):
        load_model(folder)


def test_only_buffers_may_be_left_over(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    weights = load_file(folder / "model.safetensors")
    mask = torch.ones(1, 1, 4, 4)
    buffers = {
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2),
        "model.layers.0.attention.bias": mask,
        "model.layers.0.attention.masked_bias": torch.tensor(-1e4),
    }
    save_file(weights | buffers, folder / "model.safetensors", metadata={"format": "pt"})
    with caplog.at_level(logging.INFO, logger="archbench.models.checks.complete"):
        load_model(folder)
    assert "buffers that its architecture computes itself" in caplog.text
    for name in (
        "model.layers.0.attention.bias",
        "v_head.summary.weight",
        "model.layers.0.mlp.gate_proj.bias",
    ):
        save_file(weights | {name: torch.ones(8)}, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(RequestError, match=rf"1 weight that the architecture .* does not use: {name}"):
            load_model(folder)


@pytest.mark.parametrize("name", ["../tokenizer.9.9.9.json", "sub/tokenizer.4.0.0.json"])
def test_a_tokenizer_names_files_of_its_folder_alone(folder: Path, name: str) -> None:
    save_tokenizer(folder)
    (folder / "sub").mkdir()
    shutil.copy(folder / "tokenizer.json", folder / name)
    load_tokenizer(folder)
    edit(folder / "tokenizer_config.json", fast_tokenizer_files=[name])
    with pytest.raises(RequestError, match=f"fast_tokenizer_files names '{name}'"):
        load_tokenizer(folder)
    edit(folder / "tokenizer_config.json", fast_tokenizer_files=[], vocab_file=str(folder / "tokenizer.json"))
    with pytest.raises(RequestError, match=r"vocab_file names .*a file outside of the folder"):
        load_tokenizer(folder)
    # The path on its author's machine, as old configurations have it, is without effect.
    edit(folder / "tokenizer_config.json", vocab_file="/home/author/vocab.txt")
    load_tokenizer(folder)


@pytest.mark.parametrize("key", ["vocab", "init_inputs", "mecab_kwargs", "fast_tokenizer_files"])
def test_no_setting_of_a_tokenizer_opens_a_file_elsewhere(tmp_path: Path, key: str) -> None:
    """A path under `vocab` was opened in place of the folder's own file, and was no part of the identity."""
    words, other = tmp_path / "words", tmp_path / "tokenizer.4.0.0.json"
    words.mkdir()
    other.write_text("[UNK]\n[PAD]\n[CLS]\n[SEP]\n[MASK]\na\nb\n")
    (words / "vocab.txt").write_text("[UNK]\n[PAD]\n[CLS]\n[SEP]\n[MASK]\na\n")
    config = words / "tokenizer_config.json"
    config.write_text('{"tokenizer_class": "BertTokenizer"}')
    assert len(load_tokenizer(words)) == 6
    values = {"init_inputs": [str(other)], "mecab_kwargs": {"mecab_dic": str(other)}}
    values |= {"fast_tokenizer_files": {f"../{other.name}": 1}}
    edit(config, **{key: values.get(key, str(other))})
    with pytest.raises(RequestError, match=f"tokenizer_config.json: {key} names .*{other.name}"):
        load_tokenizer(words)
    empty = {"fast_tokenizer_files": [], "init_inputs": [], "mecab_kwargs": {}, "vocab": None}
    edit(config, chat_template="{{ 'a/b' }}" * 2000, unk_token="[UNK]", **empty)
    assert len(load_tokenizer(words)) == 6


def test_a_hub_snapshot_of_links_is_one_folder(
    sharded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of a snapshot are links to ../../blobs: what counts is the name that the index gives."""
    save_tokenizer(sharded)
    repository = tmp_path / "hub" / "models--some--model"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    for number, file in enumerate(sorted(sharded.iterdir())):
        shutil.copy(file, repository / "blobs" / f"{number:040}")
        (snapshot / file.name).symlink_to(Path("..", "..", "blobs", f"{number:040}"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    model, tokenizer = load_model("some/model"), load_tokenizer("some/model")
    assert model_fingerprint(model) == model_fingerprint(load_model(sharded))
    assert model.name_or_path == tokenizer.name_or_path == "some/model"
    assert [file.name for file in tokenizer_files(snapshot)] == [
        file.name for file in tokenizer_files(sharded)
    ]
    (snapshot / "adapter_config.json").write_text("{}")
    with pytest.raises(RequestError, match="PEFT adapter"):
        load_model("some/model")
