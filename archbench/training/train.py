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
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from archbench.data.stream import TokenStream
from archbench.errors import RequestError
from archbench.formats.json_file import read_json
from archbench.identity import weights_digest
from archbench.models.build import build_model
from archbench.training.devices import Devices
from archbench.training.objective import Loss, objective
from archbench.training.optimizers import Optimizers
from archbench.training.recipe import Recipe
from archbench.training.state import Progress, load_progress, load_state, save_state, write_json

CARD = "training.json"
_CURVE_POINTS = 200
_VALIDATION_POINTS = 8
_SECONDS_BETWEEN_SAVES = 30.0

Report = Callable[[str, int, int, float], None]
"""Called after each step with (member, steps done, steps in all, loss in nats per token)."""


class Run(BaseModel):
    """One of the runs that a member was chosen from.

    Attributes:
        folder: Its checkpoint and record, below the member's folder.
        learning_rate: Its peak learning rate.
        seed: Seed of its first weights.
        outcome: `finished` or `diverged`.
        validation_loss: At the end, nats per token; None where diverged.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    folder: str
    learning_rate: float
    seed: int
    outcome: Literal["finished", "diverged"]
    validation_loss: float | None


class TrainResult(BaseModel):
    """What became of one member's training.

    Attributes:
        member: Its name in the family.
        outcome: `finished`, or `diverged` where a loss or a weight stopped being a number.
        folder: Where its weights, configuration and this record lie.
        parameters: Trained parameters, shared ones once.
        tokens: Tokens trained on.
        steps: Optimizer steps done.
        training_loss: Mean of the last curve point, nats per token; None where diverged.
        validation_loss: On documents never trained on, nats per token; None where diverged.
        seconds: Time spent in steps.
        tokens_per_second: Over all steps.
        recipe: Digest of recipe, architecture and tokenizer.
        data: Chained digest of every batch read; equal for all members of a family.
        curve: (step, mean training loss since the point before).
        validation_curve: (step, validation loss); none in records that older versions wrote.
        devices: How many processes trained together.
        runs: Where the recipe sweeps or has several seeds: all runs. The weights are those of `chosen`.
        chosen: The folder of the run that the weights, losses and times of this record are of.
        recipe_fields: The recipe, whole; with the next two what the digest `recipe` is over, so that an audit
            can tell two recipes apart by field. None in records that older versions wrote.
        architecture: The architecture block.
        tokenizer: Digest of the tokenizer.
        weights: Digest of the tensors that training left (`archbench.identity.weights_digest`), by which an
            audit knows weights that were changed since. None where training diverged, and in records that
            older versions wrote.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    member: str
    outcome: Literal["finished", "diverged"]
    folder: str
    parameters: int
    tokens: int
    steps: int
    training_loss: float | None
    validation_loss: float | None
    seconds: float
    tokens_per_second: float
    recipe: str
    data: str
    curve: list[tuple[int, float]]
    validation_curve: list[tuple[int, float]] = []
    devices: int = 1
    runs: list[Run] = []
    chosen: str | None = None
    recipe_fields: dict[str, Any] | None = None
    architecture: dict[str, Any] | None = None
    tokenizer: str | None = None
    weights: str | None = None


def trained(folder: Path) -> TrainResult | None:
    """The record of an earlier training to the end; None where there is none.

    Raises:
        RequestError: There are weights, and the record beside them cannot be read.
    """
    card = folder / CARD
    if not card.is_file() or not (folder / "model.safetensors").is_file():
        return None
    result = read_result(folder)
    return result if result.outcome == "finished" else None


def read_result(folder: Path) -> TrainResult:
    """The record of a training, whatever came of it.

    Raises:
        RequestError: It cannot be read.
    """
    try:
        record = read_json(folder / CARD)
        return TrainResult.model_validate(record | {"folder": str(folder)})
    except (OSError, TypeError, ValueError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise RequestError(
            f"{folder / CARD} is no record of a training ({why}). Older versions wrote one with NaN where a "
            "last step had spoiled the weights. Train it anew with --restart, or name another folder with "
            "--out."
        ) from None


def finished_result(folder: Path, recipe: str) -> TrainResult | None:
    """The record of an earlier training to the end with the same recipe digest; None where there is none."""
    result = trained(folder)
    return result if result is not None and result.recipe == recipe else None


def train_member(
    name: str,
    architecture: Mapping[str, Any],
    recipe: Recipe,
    stream: TokenStream,
    validation: TokenStream,
    folder: Path,
    *,
    vocab_size: int,
    digest: str,
    report: Report,
    tokenizer: str | None = None,
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
        report: Told of every step.
        tokenizer: Digest of the tokenizer, for the record.
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
    )
    if devices.first:
        result = _publish(model if finite else None, folder, result)
        shutil.rmtree(state.parent)
    devices.wait()
    return result


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
    stream: TokenStream,
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


def validation_loss(model: PreTrainedModel, recipe: Recipe, validation: TokenStream) -> float:
    """Mean loss, nats per token, over the recipe's validation windows."""
    with objective(model, recipe, validation.end) as loss:
        return _mean_loss(model, loss, recipe, validation)


def _mean_loss(model: PreTrainedModel, loss: Loss, recipe: Recipe, validation: TokenStream) -> float:
    training = model.training
    model.eval()
    total = 0.0
    with torch.no_grad():
        for start in range(0, recipe.validation_windows, recipe.batch_sequences):
            count = min(recipe.batch_sequences, recipe.validation_windows - start)
            total += loss(validation.windows(start, count)).item() * count
    model.train(training)
    return total / recipe.validation_windows


def publish_choice(folder: Path, result: TrainResult) -> None:
    """Make the run that was chosen the member: its weights, under the record of the whole sweep.

    Args:
        folder: The member's folder.
        result: The record, which names the run's folder in `chosen`; None where no run finished.
    """
    (folder / CARD).unlink(missing_ok=True)
    if result.chosen is None:
        (folder / "model.safetensors").unlink(missing_ok=True)
    else:
        part = folder / ".chosen"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        shutil.copyfile(folder / result.chosen / "config.json", part / "config.json")
        _with_header(folder / result.chosen / "model.safetensors", part / "model.safetensors", result)
        result = result.model_copy(update={"weights": weights_digest(part)})
        for file_name in ("config.json", "model.safetensors"):
            (part / file_name).replace(folder / file_name)
        part.rmdir()
    write_json(folder / CARD, result.model_dump(mode="json", exclude={"folder"}))


def _publish(model: PreTrainedModel | None, folder: Path, result: TrainResult) -> TrainResult:
    """Write configuration, weights (with the recipe's digest in their header) and the record, record last.

    Of a run that diverged (no model) only the record is left: its weights are of no use to anyone.

    Returns:
        The record as it was written, with the digest of the weights.
    """
    (folder / CARD).unlink(missing_ok=True)
    if model is None:
        (folder / "model.safetensors").unlink(missing_ok=True)
        write_json(folder / CARD, result.model_dump(mode="json", exclude={"folder"}))
        return result
    part = folder / ".state" / "published"
    disable_progress_bar()
    model.save_pretrained(part, safe_serialization=True)
    weights = part / "model.safetensors"
    _with_header(weights, weights, result)
    result = result.model_copy(update={"weights": weights_digest(part)})
    for file_name in ("config.json", "model.safetensors"):
        (part / file_name).replace(folder / file_name)
    # Where the folder lies is no part of the record: it travels.
    write_json(folder / CARD, result.model_dump(mode="json", exclude={"folder"}))
    return result


def _with_header(source: Path, target: Path, result: TrainResult) -> None:
    """Copy weights, with the digests of recipe and data in the header."""
    with safe_open(source, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    header = {"format": "pt", "archbench_recipe": result.recipe, "archbench_data": result.data}
    save_file(tensors, target, metadata=header)
