"""What became of a member's training: the record `training.json` next to its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from archbench.errors import RequestError
from archbench.formats.json_file import read_json

CARD = "training.json"


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
        corpus: Digest and description of the text, and what was read of it by part where that is counted
            (documents, bytes, tokens, share of the bytes, epochs). None in records that older versions wrote.
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
    corpus: dict[str, Any] | None = None


def trained(folder: Path) -> TrainResult | None:
    """The record of an earlier training to the end; None where there is none.

    Raises:
        RequestError: There are weights, and the record next to them cannot be read.
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
