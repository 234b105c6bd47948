"""Train a whole family: one text, one tokenizer, one stream, one member after another."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archbench.errors import RequestError, RunError, did_you_mean
from archbench.models.build import build_config
from archbench.registry import Family
from archbench.training.loop.devices import Devices
from archbench.training.loop.train import Report
from archbench.training.material import open_corpus, prepare, write_material
from archbench.training.members import Trainer
from archbench.training.places import Places
from archbench.training.recipe import Recipe, parse_recipe
from archbench.training.records import write_records
from archbench.training.result import TrainResult, trained


def train_family(
    family: Family,
    *,
    out: Path,
    members: Sequence[str] | None = None,
    tokens: int | None = None,
    restart: bool = False,
    checkpointing: bool = False,
    report: Report = lambda member, step, steps, loss: None,
) -> list[TrainResult]:
    """Train members of a family on the same batches.

    Leaves `out/<family>.yaml` (a copy of the family's file) and, where the file names them, the tokenizer,
    what the members are evaluated on, and the members: a families folder that `archbench run --families OUT`
    reads. Next to them a table of all runs and a figure of their losses (`archbench.training.records`). Where
    the recipe sweeps or has several seeds, each run lies in its member's folder `runs/`; the chosen one is
    the member.

    Called by several processes at once (`accelerate launch`), they train each model together.

    Args:
        family: A family with a `recipe`.
        out: Folder to write into.
        members: Which members; all where None.
        tokens: Budget in place of the recipe's.
        restart: Forget what earlier sittings left instead of resuming.
        checkpointing: Compute activations again in the backward pass instead of keeping them.
        report: Called after every step.

    Returns:
        One record a member; those already trained by the same recipe are not trained again.

    Raises:
        RequestError: the family has no recipe, a member is unknown or cannot be built, a folder is not
            relative, a batch cannot be shared among the processes, the text or the tokenizer cannot be used,
            a member that is there was trained otherwise and `restart` is not set. Nothing has been written
            then.
        RunError: `out` cannot be written.
    """
    where = family.where("recipe")
    if family.recipe is None:
        raise RequestError(
            f"{where}: the family '{family.name}' has no recipe, so it cannot be trained here."
        )
    recipe = parse_recipe(family.recipe, where)
    if tokens is not None:
        recipe = recipe.model_copy(update={"tokens": tokens})
    chosen = list(members or family.members)
    for name in chosen:
        if name not in family.members:
            raise RequestError(
                f"{where}: the family '{family.name}' has no member '{name}'. "
                + did_you_mean(name, family.members, label="Its members")
            )
    places = Places.of(family, out)
    family.import_packages()
    for name in chosen:
        _check_architecture(family, name)
    corpus, recipe = open_corpus(recipe, family)
    for name in chosen:
        if not restart:
            _check_not_lost(name, family.members[name].architecture, recipe, places.members[name])
    devices = Devices()
    devices.check_share(recipe.batch_sequences)
    material = prepare(recipe, corpus, family)
    try:
        if devices.first:
            out.mkdir(parents=True, exist_ok=True)
            if family.file is not None:
                _copy_if_elsewhere(family.file, out / f"{family.name}.yaml")
            write_material(material, places)
        trainer = Trainer(recipe, material, devices, checkpointing, report)
        results = []
        for name in chosen:
            folder = places.members[name]
            if restart:
                trainer.forget(folder)
            architecture = family.members[name].architecture
            assert architecture is not None, "checked above"
            results.append(trainer.member(name, architecture, folder))
        if devices.first:
            there = (_known(folder) for name, folder in places.members.items() if name not in chosen)
            alike = [one for one in there if one and one.recipe_fields == recipe.model_dump(mode="json")]
            write_records(out / family.name, [*results, *alike], recipe)
        return results
    except OSError as error:
        raise RunError(
            f"cannot write the family to {out}: {error}. Name another folder with --out."
        ) from error


def _check_architecture(family: Family, name: str) -> None:
    where = family.where("members", name, "architecture")
    architecture = family.members[name].architecture
    if architecture is None:
        raise RequestError(f"{where}: member '{name}' has no architecture to train.")
    try:
        build_config(architecture)
    except RequestError as error:
        raise RequestError(f"{where}: member '{name}': {error}") from error


def _known(folder: Path) -> TrainResult | None:
    """The record of a member that is not trained now; None where there is none that can be read."""
    try:
        return trained(folder)
    except RequestError:
        return None


def _check_not_lost(name: str, architecture: Mapping[str, Any] | None, recipe: Recipe, folder: Path) -> None:
    """Refuse to train over a member that was trained to its end by another recipe."""
    record = trained(folder)
    if record is None or record.recipe_fields is None:
        return
    wanted = {**recipe.model_dump(mode="json"), "architecture": architecture}
    found = {**record.recipe_fields, "architecture": record.architecture}
    if others := [key for key in wanted if wanted[key] != found.get(key)]:
        raise RequestError(
            f"{folder} holds a member '{name}' that was trained to its end, but otherwise "
            f"({', '.join(others)}). It would be lost: name another folder with --out, or give --restart to "
            "train it anew here."
        )


def _copy_if_elsewhere(source: Path, target: Path) -> None:
    if not (target.exists() and target.samefile(source)):
        shutil.copyfile(source, target)
