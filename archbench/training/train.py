"""Train one member on the family's stream, from any step to the end.

A member's batches are a function of the recipe alone: step s reads windows s·B … (s+1)·B - 1 of the stream,
whatever the member, the device or the sitting.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from archbench.data.stream import Tokens, TokenStream
from archbench.models.build import build_model
from archbench.models.mixers import fast_mixers
from archbench.training.recipe import Recipe
from archbench.training.state import Progress, load_progress, load_state, save_state, write_json

CARD = "training.json"
_CURVE_POINTS = 200
_SECONDS_BETWEEN_SAVES = 30.0

Report = Callable[[str, int, int, float], None]
"""Called after each step with (member, steps done, steps in all, loss in nats per token)."""


class TrainResult(BaseModel):
    """What became of one member's training.

    Attributes:
        member: Its name in the family.
        outcome: `finished`, or `diverged` where the loss stopped being a number.
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
        recipe_fields: The recipe, whole; with the next two what the digest `recipe` is over, so that an audit
            can tell two recipes apart by field. None in records that older versions wrote.
        architecture: The architecture block.
        tokenizer: Digest of the tokenizer.
    """

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
    recipe_fields: dict[str, Any] | None = None
    architecture: dict[str, Any] | None = None
    tokenizer: str | None = None


def finished_result(folder: Path, recipe: str) -> TrainResult | None:
    """The record of an earlier training to the end with the same recipe digest; None where there is none."""
    card = folder / CARD
    if not card.is_file() or not (folder / "model.safetensors").is_file():
        return None
    record = json.loads(card.read_text(encoding="utf-8"))
    result = TrainResult.model_validate(record | {"folder": str(folder)})
    return result if result.recipe == recipe and result.outcome == "finished" else None


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

    Returns:
        The record, which also lies in `folder/training.json`.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_model(architecture, seed=recipe.seed, vocab_size=vocab_size).to(device)
    optimizer = _optimizer(model, recipe)
    state = folder / ".state" / "state.safetensors"
    state.parent.mkdir(parents=True, exist_ok=True)
    progress = load_progress(state)
    if progress is not None and progress.recipe == digest:
        load_state(state, model, optimizer)
    else:
        progress = Progress(recipe=digest)
    with fast_mixers(model):
        finite = _run(name, model, optimizer, recipe, stream, progress, state, report)
        validated = validation_loss(model, recipe, validation) if finite else None
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
        recipe_fields=recipe.model_dump(mode="json"),
        architecture=dict(architecture),
        tokenizer=tokenizer,
    )
    _publish(model if finite else None, folder, result)
    shutil.rmtree(state.parent)
    return result


def _optimizer(model: PreTrainedModel, recipe: Recipe) -> torch.optim.Optimizer:
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas)


def _loss(model: PreTrainedModel, windows: Tokens) -> torch.Tensor:
    """Mean next-token cross-entropy, nats, over windows of shape [batch, length]."""
    ids = torch.from_numpy(windows.astype("int64")).to(model.device)
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]).float(), ids[:, 1:].reshape(-1))


def _run(
    name: str,
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    stream: TokenStream,
    progress: Progress,
    state: Path,
    report: Report,
) -> bool:
    """Take the remaining steps; return False as soon as a loss is not finite."""
    every = max(1, recipe.steps // _CURVE_POINTS)
    # The curve's mean over the steps since its last point is kept by the sum, which a resumed run
    # starts anew: points fall on saves, so nothing is lost.
    since: list[float] = []
    saved = time.monotonic()
    model.train()
    while progress.step < recipe.steps:
        started = time.monotonic()
        batch = stream.windows(progress.step * recipe.batch_sequences, recipe.batch_sequences)
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate_at(progress.step)
        loss = _loss(model, batch)
        value = loss.item()
        since.append(value)
        if not math.isfinite(value):
            return False
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        optimizer.zero_grad()
        progress.step += 1
        progress.data = hashlib.sha256(progress.data.encode() + batch.tobytes()).hexdigest()
        progress.seconds += time.monotonic() - started
        report(name, progress.step, recipe.steps, value)
        if progress.step % every == 0 or progress.step == recipe.steps:
            progress.losses.append((progress.step, sum(since) / len(since)))
            since.clear()
            if time.monotonic() - saved > _SECONDS_BETWEEN_SAVES:
                save_state(state, model, optimizer, progress)
                saved = time.monotonic()
    return True


def validation_loss(model: PreTrainedModel, recipe: Recipe, validation: TokenStream) -> float:
    """Mean loss, nats per token, over the recipe's validation windows."""
    model.eval()
    total = 0.0
    with torch.no_grad():
        for start in range(0, recipe.validation_windows, recipe.batch_sequences):
            count = min(recipe.batch_sequences, recipe.validation_windows - start)
            total += _loss(model, validation.windows(start, count)).item() * count
    return total / recipe.validation_windows


def _publish(model: PreTrainedModel | None, folder: Path, result: TrainResult) -> None:
    """Write configuration, weights (with the recipe's digest in their header) and the record, record last.

    Of a run that diverged (no model) only the record is left: its weights are of no use to anyone.
    """
    (folder / CARD).unlink(missing_ok=True)
    if model is None:
        (folder / "model.safetensors").unlink(missing_ok=True)
        write_json(folder / CARD, result.model_dump(mode="json", exclude={"folder"}))
        return
    part = folder / ".state" / "published"
    disable_progress_bar()
    model.save_pretrained(part, safe_serialization=True)
    weights = part / "model.safetensors"
    with safe_open(weights, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    header = {"format": "pt", "archbench_recipe": result.recipe, "archbench_data": result.data}
    save_file(tensors, weights, metadata=header)
    for file_name in ("config.json", "model.safetensors"):
        (part / file_name).replace(folder / file_name)
    # Where the folder lies is no part of the record: it travels.
    write_json(folder / CARD, result.model_dump(mode="json", exclude={"folder"}))
