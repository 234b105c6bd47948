"""Train one member on the family's stream, from any step to the end.

A member's batches are a function of the recipe alone: step s reads windows s·B … (s+1)·B - 1 of the stream,
whatever the member, the device or the sitting.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from archbench.data.stream import Windows
from archbench.errors import RequestError
from archbench.models.build import build_model
from archbench.training.loop.devices import Devices
from archbench.training.loop.objective import Loss, objective
from archbench.training.loop.optimizers import Optimizers
from archbench.training.loop.state import Progress, load_progress, load_state, save_state
from archbench.training.publish import publish
from archbench.training.recipe import Recipe
from archbench.training.result import TrainResult

_CURVE_POINTS = 200
_VALIDATION_POINTS = 8
_SECONDS_BETWEEN_SAVES = 30.0

Report = Callable[[str, int, int, float], None]
"""Called after each step with (member, steps done, steps in all, loss in nats per token)."""


def train_member(
    name: str,
    architecture: Mapping[str, Any],
    recipe: Recipe,
    stream: Windows,
    validation: Windows,
    folder: Path,
    *,
    vocab_size: int,
    digest: str,
    report: Report,
    tokenizer: str | None = None,
    corpus: Mapping[str, Any] | None = None,
    devices: Devices | None = None,
    checkpointing: bool = False,
) -> TrainResult:
    """Train a member to the end, resuming where an earlier sitting stopped.

    Args:
        name: The member's name.
        architecture: Its architecture block.
        recipe: The family's recipe.
        stream: The family's training windows.
        validation: Windows of documents that `stream` does not hold.
        folder: Where the member's files go; a run in progress keeps its state in `folder/.state`.
        vocab_size: Entries of the tokenizer.
        digest: `Recipe.digest` of this member; a state left by another recipe is not resumed from.
        report: Called after every step.
        tokenizer: Digest of the tokenizer, for the record.
        corpus: Digest and description of the text, for the record.
        devices: The processes that train together; this one alone where None.
        checkpointing: Whether activations are computed again in the backward pass instead of kept: less
            memory, more time, the same weights.

    Returns:
        The record, which also lies in `folder/training.json`.

    Raises:
        RequestError: the recipe or `checkpointing` asks for something that the model cannot do.
    """
    devices = devices or Devices()
    devices.check_share(recipe.batch_sequences)
    model = build_model(architecture, seed=recipe.seed, vocab_size=vocab_size).to(devices.device)
    if checkpointing:
        _checkpoint(model)
    optimizers = Optimizers(model, recipe)
    state = folder / ".state" / "state.safetensors"
    if devices.first:
        state.parent.mkdir(parents=True, exist_ok=True)
    progress = load_progress(state)
    if progress is not None and progress.recipe == digest:
        load_state(state, model, optimizers)
    else:
        progress = Progress(recipe=digest)
    # Nobody writes a newer state before all have read this one.
    devices.wait()

    with objective(model, recipe, stream.end, forward=devices.wrap(model)) as loss:

        def measure() -> float:
            return _mean_loss(model, loss, recipe, validation)

        finite = _run(
            name, model, optimizers, recipe, stream, progress, state, report, loss, measure, devices
        )
        validated = measure() if finite else None
    # A last step can leave weights that no further training loss would show.
    if validated is not None and not (math.isfinite(validated) and _all_finite(model)):
        finite, validated = False, None
    if validated is not None:
        progress.validation.append((progress.step, validated))
    result = TrainResult(
        member=name,
        outcome="finished" if finite else "diverged",
        folder=str(folder),
        parameters=sum(p.numel() for p in model.parameters()),
        tokens=progress.step * recipe.batch_sequences * recipe.sequence_length,
        steps=progress.step,
        training_loss=progress.losses[-1][1] if finite else None,
        validation_loss=validated,
        seconds=round(progress.seconds, 1),
        tokens_per_second=round(
            progress.step * recipe.batch_sequences * recipe.sequence_length / max(progress.seconds, 1e-9), 1
        ),
        recipe=digest,
        data=progress.data,
        curve=progress.losses,
        validation_curve=progress.validation,
        devices=devices.count,
        recipe_fields=recipe.model_dump(mode="json"),
        architecture=dict(architecture),
        tokenizer=tokenizer,
        corpus=None
        if corpus is None
        else {**corpus, **_read(stream, progress.step * recipe.batch_sequences)},
    )
    if devices.first:
        result = publish(model if finite else None, folder, result)
        shutil.rmtree(state.parent)
    devices.wait()
    return result


def _read(stream: Windows, windows: int) -> dict[str, Any]:
    """What was read of each part of the text, where that is counted."""
    amounts = stream.amounts(windows)
    size = sum(one.bytes for one in amounts.values())
    parts = {
        name: {**asdict(one), "share": round(one.bytes / max(1, size), 4)} for name, one in amounts.items()
    }
    return {"read": parts} if parts else {}


def _checkpoint(model: PreTrainedModel) -> None:
    if not model.supports_gradient_checkpointing:
        raise RequestError(
            f"models of model_type '{model.config.model_type}' cannot compute their activations again in the "
            "backward pass; leave out --gradient-checkpointing."
        )
    # Newer versions of transformers give the old name up.
    newer = getattr(model, "activation_checkpointing_enable", None)
    (newer or model.gradient_checkpointing_enable)({"use_reentrant": False})


def _run(
    name: str,
    model: PreTrainedModel,
    optimizers: Optimizers,
    recipe: Recipe,
    stream: Windows,
    progress: Progress,
    state: Path,
    report: Report,
    loss: Loss,
    measure: Callable[[], float],
    devices: Devices,
) -> bool:
    """Take the remaining steps; return False as soon as a training or validation loss is not finite."""
    every = max(1, recipe.steps // _CURVE_POINTS)
    # The curve's mean over the steps since its last point is kept by the sum, which a resumed run
    # starts anew: points fall on saves, so nothing is lost.
    since: list[float] = []
    validate_at = set(_validation_steps(recipe, every))
    saved = time.monotonic()
    model.train()
    while progress.step < recipe.steps:
        started = time.monotonic()
        batch = stream.windows(progress.step * recipe.batch_sequences, recipe.batch_sequences)
        mine = loss(devices.share(batch))
        value = devices.mean(mine)
        since.append(value)
        if not math.isfinite(value):
            return False
        mine.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizers.step(progress.step)
        progress.step += 1
        progress.data = hashlib.sha256(progress.data.encode() + batch.tobytes()).hexdigest()
        progress.seconds += time.monotonic() - started
        if devices.first:
            report(name, progress.step, recipe.steps, value)
        if progress.step % every == 0 or progress.step == recipe.steps:
            progress.losses.append((progress.step, sum(since) / len(since)))
            since.clear()
            if progress.step in validate_at:
                validated = measure()
                if not math.isfinite(validated):
                    return False
                progress.validation.append((progress.step, validated))
            if devices.first and time.monotonic() - saved > _SECONDS_BETWEEN_SAVES:
                save_state(state, model, optimizers, progress)
                saved = time.monotonic()
    return True


def _all_finite(model: PreTrainedModel) -> bool:
    return all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())


def _validation_steps(recipe: Recipe, every: int) -> list[int]:
    """Steps after which validation loss is measured on the way: halves of the whole, even on a log axis.

    As many as cost about a tenth of the training: a window costs a third of what it costs in training.
    """
    affordable = recipe.steps * recipe.batch_sequences // (3 * recipe.validation_windows)
    halves = (recipe.steps >> power for power in range(1, min(_VALIDATION_POINTS, affordable) + 1))
    return [step - step % every for step in halves if step >= every]


def validation_loss(model: PreTrainedModel, recipe: Recipe, validation: Windows) -> float:
    """Mean loss, nats per token, over the recipe's validation windows."""
    with objective(model, recipe, validation.end) as loss:
        return _mean_loss(model, loss, recipe, validation)


def _mean_loss(model: PreTrainedModel, loss: Loss, recipe: Recipe, validation: Windows) -> float:
    training = model.training
    model.eval()
    total = 0.0
    with torch.no_grad():
        for start in range(0, recipe.validation_windows, recipe.batch_sequences):
            count = min(recipe.batch_sequences, recipe.validation_windows - start)
            total += loss(validation.windows(start, count)).item() * count
    model.train(training)
    return total / recipe.validation_windows
