"""A training run between two steps, kept in one file so that it resumes bit for bit.

One safetensors file holds weights and the optimizers' moments; its header holds the step, the losses so far
and the digest of the data read. It is replaced in one move: a run killed at any moment finds the last whole
state.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel

from archbench.training.loop.optimizers import Optimizers


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        recipe: Digest of the recipe that the run follows.
        step: Steps done.
        data: Chained sha256 over the batches read so far, in hex.
        losses: (step, mean training loss in nats per token since the entry before), for the curve.
        validation: (step, validation loss in nats per token) on the way.
        seconds: Time spent in steps, over all sittings.
    """

    recipe: str
    step: int = 0
    data: str = ""
    losses: list[tuple[int, float]] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0


def save_state(path: Path, model: PreTrainedModel, optimizers: Optimizers, progress: Progress) -> None:
    """Write model, optimizers and progress, atomically."""
    weights = {f"model.{name}": p.detach().contiguous() for name, p in model.named_parameters()}
    part = path.with_suffix(".part")
    whole = weights | optimizers.moments(model)
    save_file(whole, part, metadata={"progress": json.dumps(asdict(progress), allow_nan=False)})
    part.replace(path)


def load_progress(path: Path) -> Progress | None:
    """Progress of the state at `path`; None where there is none."""
    if not path.is_file():
        return None
    with safe_open(path, "pt") as file:
        values = json.loads(file.metadata()["progress"])
    curves = {key: [tuple(entry) for entry in values.get(key, [])] for key in ("losses", "validation")}
    return Progress(**values | curves)


def load_state(path: Path, model: PreTrainedModel, optimizers: Optimizers) -> None:
    """Put weights and moments of `save_state` back in place."""
    with safe_open(path, "pt") as file, torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(file.get_tensor(f"model.{name}"))
        others = (key for key in file.keys() if not key.startswith("model."))  # noqa: SIM118 - not a dict
        optimizers.restore(model, {key: file.get_tensor(key) for key in others})


def write_json(path: Path, value: object) -> None:
    """Write JSON atomically."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)
