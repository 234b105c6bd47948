"""Weights are known by their tensors: every byte of them, and nothing else in the file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from archbench.checkpoint import INDEX
from archbench.errors import RequestError
from archbench.formats.safetensors import tensor_places
from archbench.identity import tensors, weights_digest
from archbench.models.build import build_model
from tests.runner.tiny import LLAMA

TENSORS = {
    "a": torch.arange(7, dtype=torch.float32),
    "b": torch.arange(6, dtype=torch.bfloat16).reshape(2, 3),
    "empty": torch.zeros(0, 4),
    "scalar": torch.tensor(3),
}


def save(folder: Path, values: Mapping[str, torch.Tensor], **metadata: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(values), folder / "model.safetensors", metadata=metadata)
    return folder


def test_another_header_is_the_same_weights_and_another_tensor_is_not(tmp_path: Path) -> None:
    known = weights_digest(save(tmp_path / "known", TENSORS))
    assert weights_digest(save(tmp_path / "told", TENSORS, archbench_recipe="1" * 64)) == known
    others = [
        {**TENSORS, "a": TENSORS["a"] * 0},
        {**TENSORS, "a": TENSORS["a"].reshape(7, 1)},
        {**TENSORS, "a": TENSORS["a"].view(torch.int32)},
        {**TENSORS, "more": torch.zeros(1)},
        {("c" if name == "a" else name): one for name, one in TENSORS.items()},
        {name: one for name, one in TENSORS.items() if name != "empty"},
    ]
    found = {weights_digest(save(tmp_path / str(at), one)) for at, one in enumerate(others)}
    assert len(found | {known}) == len(others) + 1


@given(at=st.integers(0, 7 * 4 + 6 * 2 + 8 - 1), flip=st.integers(1, 255), chunk=st.integers(1, 50))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_every_byte_of_every_tensor_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, flip: int, chunk: int
) -> None:
    """However small the pieces are in which a file is read."""
    folder = save(tmp_path / "m", TENSORS)
    tensors._in_file.cache_clear()
    known = weights_digest(folder)
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[min(place.start for place in tensor_places(file).values()) + at] ^= flip
    (tmp_path / "other").mkdir(exist_ok=True)
    (tmp_path / "other" / "model.safetensors").write_bytes(content)
    tensors._in_file.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(tensors, "_CHUNK", chunk)
        assert weights_digest(folder) == known
        assert weights_digest(tmp_path / "other") != known


def test_shards_are_the_same_weights_as_one_file(tmp_path: Path) -> None:
    model = build_model(LLAMA | {"tie_word_embeddings": False}, seed=0, vocab_size=257)
    model.save_pretrained(tmp_path / "one")
    model.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    assert (tmp_path / "shards" / INDEX).is_file()
    known = weights_digest(tmp_path / "one")
    assert weights_digest(tmp_path / "shards") == known
    in_memory = save(tmp_path / "again", {name: one.clone() for name, one in model.state_dict().items()})
    assert weights_digest(in_memory) == known


def test_weights_are_read_once_and_again_when_they_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save(tmp_path, TENSORS)
    file = folder / "model.safetensors"
    os.utime(file, ns=(1, 1))
    known = weights_digest(folder)
    with monkeypatch.context() as patched:
        patched.setattr(tensors, "_sha256", lambda *_: pytest.fail("read twice"))
        assert weights_digest(folder) == known
    save(folder, TENSORS | {"a": TENSORS["a"] + 1})
    os.utime(file, ns=(1, 2))
    assert weights_digest(folder) != known


@pytest.mark.parametrize("how", ["shorter", "outside", "backwards"])
def test_a_file_that_does_not_hold_its_tensors_is_named(tmp_path: Path, how: str) -> None:
    file = save(tmp_path, TENSORS) / "model.safetensors"
    content = file.read_bytes()
    if how == "shorter":
        file.write_bytes(content[:-1])
    else:
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        header["a"]["data_offsets"] = [-8, 20] if how == "outside" else [20, 0]
        text = json.dumps(header).encode()
        file.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    with pytest.raises(RequestError, match=r"model\.safetensors cannot be read .*damaged"):
        weights_digest(tmp_path)
