"""Every tensor of a checkpoint is read into one parameter, or it is refused by name, or stated."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from archbench.errors import RequestError
from archbench.identity import model_fingerprint
from archbench.models.checks.reading import left_out_by_design
from archbench.models.checks.remarks import model_remarks
from archbench.models.load import load_model
from tests.engine.tiny import CONFIGS, make_model

UP = "model.layers.0.mlp.up_proj.weight"


def saved(name: str, folder: Path) -> Path:
    copy.deepcopy(make_model(name)).save_pretrained(folder)
    return folder


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return found


def put(folder: Path, weights: Mapping[str, torch.Tensor]) -> None:
    save_file(dict(weights), folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved("llama", tmp_path_factory.mktemp("llama"))


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_whatever_an_architecture_saves_is_read_again(name: str, tmp_path: Path) -> None:
    folder = saved(name, tmp_path / "m")
    assert model_fingerprint(load_model(folder)) == model_fingerprint(make_model(name))
    assert model_remarks(folder) == []


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("qwen3_next", ["mtp.layers.0.mlp.experts.0.up_proj.weight", "mtp.fc.weight"]),
        ("nemotron_h", ["mtp.layers.0.mixer.q_proj.weight"]),
    ],
)
def test_heads_that_predict_several_tokens_ahead_are_stated(
    name: str, extra: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = saved(name, tmp_path / "m")
    put(folder, tensors(folder) | {one: torch.ones(4, 4) for one in extra})
    with caplog.at_level(logging.WARNING):
        assert model_fingerprint(load_model(folder)) == model_fingerprint(make_model(name))
    (remark,) = model_remarks(folder)
    assert remark.startswith("1 tensor was" if len(extra) == 1 else "2 tensors were")
    assert "predict several tokens ahead" in remark
    assert remark in caplog.text


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("nemotron_h", "model.layers.7.mtp_x.weight"),
        ("nemotron_h", "lm_head_mtp.weight"),
        ("qwen3_next", "mtp_weight"),
        ("gpt_neox", "gpt_neox.layers.0.attention.bias"),
        # Reported by transformers, and so by no means left out by design.
        ("llama", "mtp.layers.0.weight"),
    ],
)
def test_other_weights_that_transformers_passes_over_are_refused(
    name: str, extra: str, tmp_path: Path
) -> None:
    folder = saved(name, tmp_path / "m")
    put(folder, tensors(folder) | {extra: torch.ones(4)})
    with pytest.raises(RequestError, match=f"1 weights? that the architecture .* does not use: {extra}"):
        load_model(folder)


def test_a_layer_that_transformers_passes_over_is_refused_unless_it_predicts_ahead(tmp_path: Path) -> None:
    fields = {"vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 47, "num_attention_heads": 2}
    fields |= {"num_key_value_heads": 1, "head_dim": 4, "intermediate_size": 8, "first_k_dense_replace": 47}
    fields |= {"moe_intermediate_size": 4, "n_routed_experts": 2, "num_experts_per_tok": 1}
    config = AutoConfig.for_model("glm4_moe", **fields)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_hidden_layers": 46}))
    with pytest.raises(RequestError, match=r"9 weights that the architecture .*model\.layers\.46\.input"):
        load_model(tmp_path)
    put(tmp_path, tensors(tmp_path) | {"model.layers.46.eh_proj.weight": torch.ones(8, 16)})
    assert len(load_model(tmp_path).model.layers) == 46
    (remark,) = model_remarks(tmp_path)
    assert remark.startswith("10 tensors were not read")


def test_what_is_left_out_by_design_follows_from_names_and_configuration() -> None:
    keys = [f"model.layers.{at}.self_attn.{one}.weight" for at in (0, 3) for one in ("k_proj", "q_proj")]
    fields: dict[str, Any] = {"num_hidden_layers": 4, "num_kv_shared_layers": 2}
    (found,) = left_out_by_design(keys, fields).values()
    assert found == ["model.layers.3.self_attn.k_proj.weight"]
    assert left_out_by_design(keys, {"text_config": fields}) == left_out_by_design(keys, fields)
    assert left_out_by_design(keys, {"num_hidden_layers": 4}) == {}
    ahead = ["model.layers.4.eh_proj.weight", "model.layers.4.norm.weight", "model.layers.3.norm.weight"]
    (found,) = left_out_by_design(ahead, fields).values()
    assert found == ahead[:2]
    assert left_out_by_design(ahead, {}) == {}


@given(
    name=st.sampled_from(["layers.0.mlp.up_proj.weight", "embed_tokens.weight", "norm.weight"]),
    prefix=st.lists(st.sampled_from(["model.", "transformer.", "x."]), max_size=3).map("".join),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_second_tensor_for_a_parameter_is_refused(
    llama: Path, tmp_path: Path, name: str, prefix: str
) -> None:
    """Under whatever prefix: one of them won, by the order of their names."""
    weights = tensors(llama)
    other = f"{prefix}{name}"
    put(tmp_path, weights | {other: weights[f"model.{name}"] * 3})
    (tmp_path / "config.json").write_bytes((llama / "config.json").read_bytes())
    if other in weights:
        load_model(tmp_path)
        return
    with pytest.raises(RequestError, match=rf"two tensors for one parameter|does not use: {other}"):
        load_model(tmp_path)


def test_a_second_model_without_the_prefix_is_refused(llama: Path, tmp_path: Path) -> None:
    weights = tensors(llama)
    bare = {name.removeprefix("model."): torch.zeros_like(one) for name, one in weights.items()}
    (tmp_path / "config.json").write_bytes((llama / "config.json").read_bytes())
    put(tmp_path, bare | weights)
    with pytest.raises(RequestError, match=r"two tensors for one parameter .*: embed_tokens"):
        load_model(tmp_path)
    bare = {name.removeprefix("model."): one for name, one in weights.items()}
    put(tmp_path, bare)
    assert model_fingerprint(load_model(tmp_path)) == model_fingerprint(load_model(llama))


def test_a_second_expert_is_refused_where_experts_are_fused(tmp_path: Path) -> None:
    folder = saved("mixtral", tmp_path / "m")
    weights = tensors(folder)
    expert = next(name for name in weights if ".experts.0." in name)
    put(folder, weights | {expert.removeprefix("model."): weights[expert] * 3})
    with pytest.raises(RequestError, match=r"two tensors for one parameter|could not be loaded"):
        load_model(folder)
    fused = {name: one for name, one in make_model("mixtral").state_dict().items() if ".experts." in name}
    put(folder, weights | fused)
    with pytest.raises(RequestError, match=r"two tensors for one parameter|could not be loaded"):
        load_model(folder)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32, torch.int64, torch.bool])
def test_whole_numbers_for_floating_point_weights_are_refused(
    llama: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    weights = tensors(llama)
    (tmp_path / "config.json").write_bytes((llama / "config.json").read_bytes())
    put(tmp_path, weights | {UP: (weights[UP] * 10).to(dtype)})
    with pytest.raises(RequestError, match=rf"whole numbers .*{UP} \(.*no quantization_config"):
        load_model(tmp_path)
    put(tmp_path, weights | {UP: weights[UP].to(torch.float16)})
    load_model(tmp_path)
