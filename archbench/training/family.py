"""Train a whole family: one tokenizer, one stream, one set of questions, one member after another."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from archbench.data.microworld import World, document, evaluation_set, short_document
from archbench.data.microworld.quiz import GROUPS, Question
from archbench.data.stream import WINDOWS_PER_SHARD, TokenStream
from archbench.data.tokenizer import END, save_tokenizer, train_tokenizer
from archbench.errors import RequestError, RunError, did_you_mean
from archbench.identity import tokenizer_rules
from archbench.models.build import build_config
from archbench.registry import Family
from archbench.training.devices import Devices
from archbench.training.recipe import Recipe, parse_recipe
from archbench.training.records import write_records
from archbench.training.sweep import as_run, choose, is_sweep, run_folder
from archbench.training.train import (
    CARD,
    Report,
    TrainResult,
    finished_result,
    publish_choice,
    train_member,
    trained,
)

_TOKENIZER_DOCUMENTS = 4000
_TEXT_DOCUMENTS = 120


@dataclass(frozen=True)
class _Material:
    """What all members share: the tokenizer, its digest, and the two streams."""

    tokenizer: PreTrainedTokenizerFast
    digest: str
    training: TokenStream
    validation: TokenStream


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
    what the members are asked, and the members: a families folder that `archbench run --families OUT` reads.
    Beside them a table of all runs and a figure of their losses (`archbench.training.records`). Where the
    recipe sweeps or has several seeds, each run lies in its member's folder `runs/`; the chosen one is the
    member.

    Called by several processes at once (`accelerate launch`), they train each model together.

    Args:
        family: A family with a `recipe`.
        out: Folder to write into.
        members: Which members; all where None.
        tokens: Budget in place of the recipe's.
        restart: Forget what earlier sittings left instead of resuming.
        checkpointing: Compute activations again in the backward pass instead of keeping them.
        report: Told of every step.

    Returns:
        One record a member; those already trained by the same recipe are not trained again.

    Raises:
        RequestError: the family has no recipe, a member is unknown or cannot be built, a folder is not
            relative, a batch cannot be shared among the processes, a member that is there was trained
            otherwise and `restart` is not asked for. Nothing has been written then.
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
    places = _Places.of(family, out)
    family.import_packages()
    for name in chosen:
        _check_architecture(family, name)
        if not restart:
            _check_not_lost(name, family.members[name].architecture, recipe, places.members[name])
    devices = Devices()
    devices.check_share(recipe.batch_sequences)
    try:
        if devices.first:
            out.mkdir(parents=True, exist_ok=True)
            if family.file is not None:
                _copy_if_elsewhere(family.file, out / f"{family.name}.yaml")
        material = _prepare(recipe, places, devices)
        trainer = _Trainer(recipe, material, devices, checkpointing, report)
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


@dataclass(frozen=True)
class _Places:
    """Where a family's parts go: the relative folders of its file, below the output folder."""

    tokenizer: Path
    items: dict[str, Path]
    members: dict[str, Path]

    @classmethod
    def of(cls, family: Family, out: Path) -> _Places:
        def place(value: str | None, *key: str) -> Path:
            if value is None or Path(value).is_absolute() or ".." in Path(value).parts:
                raise RequestError(
                    f"{family.where(*key)}: a family that is trained here needs {'.'.join(key)}, a folder "
                    f"relative to its file, like {family.name}/{key[1] if len(key) > 1 else key[0]}."
                )
            return out / value

        return cls(
            place(family.tokenizer, "tokenizer"),
            {kind: place(items, "items", kind) for kind, items in family.items.items()},
            {name: place(member.path, "members", name, "path") for name, member in family.members.items()},
        )


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


@dataclass(frozen=True)
class _Trainer:
    """Trains members one after another, all from the same."""

    recipe: Recipe
    material: _Material
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
            devices=self.devices,
            checkpointing=self.checkpointing,
        )


def _prepare(recipe: Recipe, places: _Places, devices: Devices) -> _Material:
    corpus = recipe.corpus
    world = World(seed=corpus.world_seed, people=corpus.people)

    shards = recipe.tokens / (recipe.sequence_length * WINDOWS_PER_SHARD)
    short = round(corpus.short_first * shards)

    def documents(purpose: int) -> Callable[[int, int], str]:
        return lambda shard, number: document(world, corpus.stream_seed, purpose, shard, number)

    mixture, validating, spelling, unseen = map(documents, range(4))

    def training(shard: int, number: int) -> str:
        if shard >= short:
            return mixture(shard, number)
        return short_document(world, corpus.stream_seed, shard, number, lists=2 * shard < short)

    tokenizer = train_tokenizer(
        (spelling(0, number) for number in range(_TOKENIZER_DOCUMENTS)), recipe.vocab_size
    )
    if devices.first:
        save_tokenizer(tokenizer, places.tokenizer)
        _write_items(places.items, world, (unseen(0, number) for number in range(_TEXT_DOCUMENTS)))

    def encode(texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
        return ids

    def stream(source: Callable[[int, int], str]) -> TokenStream:
        return TokenStream(source, encode, end=tokenizer.eos_token_id, length=recipe.sequence_length)

    return _Material(tokenizer, tokenizer_digest(tokenizer), stream(training), stream(validating))


def tokenizer_digest(tokenizer: PreTrainedTokenizerFast) -> str:
    """Digest of everything that decides how a text is encoded (sha256, hex)."""
    rules = tokenizer_rules(tokenizer)
    assert rules is not None, "a fast tokenizer shows its rules"
    return rules


def _write_items(places: Mapping[str, Path], world: World, documents: Iterable[str]) -> None:
    """Write what the family is asked: questions, names for phonebooks and needles, a text for perplexity."""
    if "mmlu" in places:
        _write_questions(places["mmlu"], world)
    for kind in ("phonebook", "ruler"):
        if kind in places:
            _write(places[kind], "".join(f"{name}\n" for name in world.holders))
    if "perplexity" in places:
        _write(places["perplexity"], END.join(documents))


def _write_questions(folder: Path, world: World) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, questions in zip(("dev", "test"), evaluation_set(world), strict=True):
        text = "".join(json.dumps(_row(question), ensure_ascii=False) + "\n" for question in questions)
        _write(folder / f"{name}.jsonl", text)


def _write(file: Path, text: str) -> None:
    part = file.with_name(f"{file.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)


def _row(question: Question) -> dict[str, object]:
    return {
        "subject": question.subject,
        "category": GROUPS[question.subject],
        "question": question.stem,
        "choices": list(question.choices),
        "answer": question.answer,
    }


def _copy_if_elsewhere(source: Path, target: Path) -> None:
    if not (target.exists() and target.samefile(source)):
        shutil.copyfile(source, target)
