"""Checkpoints in mamba_ssm's layout: the same logits as the transformers model they came from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from archbench.efficiency.sizes import architecture_sizes
from archbench.errors import RequestError
from archbench.models.build import build_model
from archbench.models.checks.folder import is_original
from archbench.models.load import load_model
from archbench.models.original import convert_original, load_original, original_architecture

MAMBA: dict[str, Any] = {
    "d_model": 32, "n_layer": 2, "vocab_size": 61, "ssm_cfg": {}, "rms_norm": True, "residual_in_fp32": True,
    "fused_add_norm": True, "pad_vocab_size_multiple": 8,
}  # fmt: skip
MAMBA2 = MAMBA | {
    "d_intermediate": 0, "attn_layer_idx": [], "attn_cfg": {}, "tie_embeddings": True,
    "pad_vocab_size_multiple": 16,
    "ssm_cfg": {"layer": "Mamba2", "headdim": 16, "d_state": 8, "chunk_size": 8},
}  # fmt: skip


def publish(folder: Path, config: dict[str, Any], **weights: Any) -> torch.nn.Module:
    """Write a random model as mamba_ssm would; returns the transformers model."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    model = build_model(original_architecture(config, "config.json"), seed=3).eval()
    state = {name.replace("embeddings", "embedding"): one for name, one in model.state_dict().items()}
    torch.save(state | weights, folder / "pytorch_model.bin")
    return model


@pytest.mark.parametrize("config", [MAMBA, MAMBA2], ids=["mamba", "mamba2"])
def test_a_checkpoint_gives_the_same_logits(tmp_path: Path, config: dict[str, Any]) -> None:
    model = publish(tmp_path / "original", config)
    assert is_original(tmp_path / "original")
    ids = torch.arange(24).reshape(2, 12)
    converted = tmp_path / "converted"
    convert_original(tmp_path / "original", converted)
    assert not is_original(converted)
    with torch.no_grad():
        wanted = model(input_ids=ids).logits
        for found in (load_original(tmp_path / "original"), load_model(converted, device="cpu")):
            assert torch.equal(found(input_ids=ids).logits, wanted)
    assert wanted.shape[-1] == 64, "the vocabulary is padded"


def test_the_dtype_is_the_checkpoints(tmp_path: Path) -> None:
    model = publish(tmp_path, MAMBA)
    half = {name.replace("embeddings", "embedding"): one.half() for name, one in model.state_dict().items()}
    torch.save(half, tmp_path / "pytorch_model.bin")
    assert load_original(tmp_path).dtype == torch.float16


def test_published_models_have_their_published_sizes() -> None:
    """64 layers of 2560 (README of state-spaces/mamba) make the 2.8B and the 2.7B model of their names."""
    big = {"d_model": 2560, "n_layer": 64, "vocab_size": 50277}
    first = architecture_sizes(original_architecture(big, "config.json"))
    second = architecture_sizes(
        original_architecture(
            big | {"ssm_cfg": {"layer": "Mamba2"}, "pad_vocab_size_multiple": 16}, "config.json"
        )
    )
    assert round(first.parameters / 1e9, 1) == 2.8
    assert round(second.parameters / 1e9, 1) == 2.7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"attn_layer_idx": [1]}, "attention or MLP"),
        ({"d_intermediate": 64}, "attention or MLP"),
        ({"rms_norm": False}, "LayerNorm"),
        ({"d_modle": 1}, "Did you mean 'd_model'"),
        ({"ssm_cfg": {"layer": "Mamba3"}}, "expected Mamba1 or Mamba2"),
        ({"ssm_cfg": {"d_stat": 3}}, "Did you mean 'd_state'"),
        ({"n_layer": "two"}, "n_layer is 'two'; expected a whole number"),
        ({"d_model": 32.7}, "d_model is 32.7"),
        ({"pad_vocab_size_multiple": 0}, "pad_vocab_size_multiple is 0"),
        ({"ssm_cfg": [1]}, "ssm_cfg is [1]"),
    ],
)
def test_models_that_transformers_does_not_have(change: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError) as caught:
        original_architecture(MAMBA | change, "config.json")
    assert said in str(caught.value)


class Evil:
    def __reduce__(self) -> Any:
        return (os.mkdir, ("broken-into",))


def test_a_pickle_that_runs_code_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    publish(tmp_path / "evil", MAMBA, evil=Evil())
    with pytest.raises(RequestError, match="tensors alone"):
        load_original(tmp_path / "evil")
    assert not (tmp_path / "broken-into").exists()


def test_a_download_that_broke_off_and_odd_tensors_are_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(MAMBA), encoding="utf-8")
    weights = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.ones(9, dtype=torch.int32)}, weights)
    with pytest.raises(RequestError, match="a is not a dense tensor of floating-point"):
        load_original(tmp_path)
    whole = weights.read_bytes()
    for end in (0, 10, len(whole) // 2, len(whole) - 1):
        weights.write_bytes(whole[:end])
        with pytest.raises(RequestError, match="cannot be read"):
            load_original(tmp_path)


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    publish(tmp_path, MAMBA, extra=torch.zeros(1))
    with pytest.raises(RequestError, match="extra is no part"):
        load_original(tmp_path)
    publish(tmp_path, MAMBA, **{"backbone.norm_f.weight": torch.zeros(3)})
    with pytest.raises(RequestError, match=r"norm_f.weight is \[3\]"):
        load_original(tmp_path)
    publish(tmp_path, MAMBA, **{"lm_head.weight": torch.zeros(64, 32)})
    with pytest.raises(RequestError, match="ties the embeddings"):
        load_original(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(MAMBA | {"n_layer": 3}), encoding="utf-8")
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(RequestError, match=r"holds no pytorch_model\.bin"):
        load_original(tmp_path)
    with pytest.raises(RequestError, match="no configuration of mamba_ssm"):
        load_original(tmp_path / "nowhere")
