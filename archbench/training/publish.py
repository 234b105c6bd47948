"""Put a trained member where suites read it: configuration, weights and record, the record last."""

from __future__ import annotations

import shutil
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from archbench.identity import weights_digest
from archbench.training.loop.state import write_json
from archbench.training.result import CARD, TrainResult


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


def publish(model: PreTrainedModel | None, folder: Path, result: TrainResult) -> TrainResult:
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
