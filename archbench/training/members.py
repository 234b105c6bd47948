"""Train the members of a family one after another, from the same material."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archbench.training.loop.devices import Devices
from archbench.training.loop.train import Report, train_member
from archbench.training.material import Material
from archbench.training.publish import publish_choice
from archbench.training.recipe import Recipe
from archbench.training.result import CARD, TrainResult, finished_result
from archbench.training.sweep import as_run, choose, is_sweep, run_folder


@dataclass(frozen=True)
class Trainer:
    """Trains members one after another, all from the same."""

    recipe: Recipe
    material: Material
    devices: Devices
    checkpointing: bool
    report: Report

    def forget(self, folder: Path) -> None:
        """Remove what earlier sittings left of a member."""
        if self.devices.first:
            shutil.rmtree(folder, ignore_errors=True)
        self.devices.wait()

    def member(self, name: str, architecture: dict[str, Any], folder: Path) -> TrainResult:
        """Train a member as the recipe says: once, or once for each rate and seed."""
        if not is_sweep(self.recipe):
            return self._run(name, architecture, self.recipe, folder)
        digest = self.recipe.digest(architecture, self.material.digest)
        earlier = finished_result(folder, digest)
        if earlier is not None and all((folder / run.folder / CARD).is_file() for run in earlier.runs):
            return earlier
        runs, results = [], []
        for recipe in self.recipe.runs():
            label = f"{name}, rate {recipe.learning_rate:g}, seed {recipe.seed}"
            results.append(self._run(label, architecture, recipe, folder / run_folder(recipe)))
            runs.append(as_run(recipe, results[-1]))
        chosen = choose(runs)
        whole = (results[-1] if chosen is None else results[runs.index(chosen)]).model_copy(
            update={
                "member": name,
                "folder": str(folder),
                "recipe": digest,
                "recipe_fields": self.recipe.model_dump(mode="json"),
                "runs": runs,
                "chosen": None if chosen is None else chosen.folder,
            }
        )
        if self.devices.first:
            publish_choice(folder, whole)
        self.devices.wait()
        return whole

    def _run(self, label: str, architecture: dict[str, Any], recipe: Recipe, folder: Path) -> TrainResult:
        digest = recipe.digest(architecture, self.material.digest)
        earlier = finished_result(folder, digest)
        if earlier is not None:
            return earlier
        return train_member(
            label,
            architecture,
            recipe,
            self.material.training,
            self.material.validation,
            folder,
            vocab_size=len(self.material.tokenizer),
            digest=digest,
            report=self.report,
            tokenizer=self.material.digest,
            corpus=self.material.record,
            devices=self.devices,
            checkpointing=self.checkpointing,
        )
