"""Several processes take the same step that one takes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from safetensors import safe_open

from archbench.errors import RequestError
from archbench.models.build import build_model
from archbench.training.loop.devices import Devices
from archbench.training.loop.objective import objective
from tests.training.test_train import HYBRID, RECIPE, stream, train, weights

ONE_OF_SEVERAL = """
import sys
from pathlib import Path
from safetensors.torch import save_file
from archbench.training.loop.devices import Devices
from tests.training.test_devices import gradients
from tests.training.test_train import HYBRID, train

out = Path(sys.argv[1])
devices = Devices()
found = gradients(devices)
if devices.first:
    save_file(found, out / "gradients.safetensors")
train(out / "m", HYBRID)
"""


def gradients(devices: Devices) -> dict[str, torch.Tensor]:
    """Of the first batch, as each process has them before its step."""
    model = build_model(HYBRID, seed=0, vocab_size=32)
    batch = stream().windows(0, RECIPE.batch_sequences)
    with objective(model, RECIPE, 0, forward=devices.wrap(model)) as loss:
        loss(devices.share(batch)).backward()  # type: ignore[no-untyped-call]
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def among(rank: int, count: int) -> Devices:
    devices = Devices()
    devices.rank, devices.count = rank, count
    return devices


@pytest.mark.parametrize("count", [1, 2, 4])
def test_shares_are_all_of_a_batch_in_its_order(count: int) -> None:
    batch = stream().windows(0, 4)
    parts = [among(rank, count).share(batch) for rank in range(count)]
    np.testing.assert_array_equal(np.concatenate(parts), batch)
    assert {len(part) for part in parts} == {4 // count}


def test_a_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    with pytest.raises(RequestError, match=r"8 windows.*3 processes; start 1, 2, 4 or 8"):
        among(0, 3).check_share(8)


@pytest.mark.slow
def test_two_processes_have_the_gradients_batches_and_losses_of_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = []
    for rank in range(2):
        launched = {
            "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2,
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1, "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": Path(__file__).parents[2],
        }  # fmt: skip
        command = [sys.executable, "-c", ONE_OF_SEVERAL, str(tmp_path)]
        both.append(subprocess.Popen(command, env=os.environ | {k: str(v) for k, v in launched.items()}))
    assert [process.wait(timeout=300) for process in both] == [0, 0]

    with safe_open(tmp_path / "gradients.safetensors", "pt") as file:
        for name, expected in gradients(Devices()).items():
            torch.testing.assert_close(file.get_tensor(name), expected, atol=1e-6, rtol=1e-5)
    one = train(tmp_path / "one", HYBRID)
    record = cast("dict[str, object]", json.loads((tmp_path / "m" / "training.json").read_text()))
    assert record["devices"] == 2
    assert record["data"] == one.data
    assert record["recipe"] == one.recipe
    assert record["validation_loss"] == pytest.approx(one.validation_loss, abs=1e-4)
    np.testing.assert_allclose(np.array(record["curve"]), np.array(one.curve), atol=1e-4)
    for name, tensor in weights(tmp_path / "one").items():
        torch.testing.assert_close(weights(tmp_path / "m")[name], tensor, atol=1e-3, rtol=0)
