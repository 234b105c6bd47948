"""What a member's tokenizer and training record prove.

`archbench train` leaves `training.json` beside the weights. Its `recipe` is a digest over recipe,
architecture and tokenizer, and the weights carry the same digest in their header: a record is believed as
far as the digest can be computed again, from the record's own parts or (in records that name none) from
the family file. Its `weights` is a digest of the tensors that training left; records of older versions have
none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from archbench.formats.json_file import read_json
from archbench.formats.safetensors import Header
from archbench.identity import digest
from archbench.registry.contract import Evidence, FieldName

RECORD = "training.json"

_OF_FIELD: dict[str, FieldName] = {
    "tokens": "tokens",
    "sequence_length": "sequence_length",
    "batch_sequences": "optimizer",
    "optimizer": "optimizer",
    "betas": "optimizer",
    "weight_decay": "optimizer",
    "clip": "optimizer",
    "learning_rate": "schedule",
    "muon_learning_rate": "schedule",
    "final_learning_rate": "schedule",
    "warmup": "schedule",
    "sweep": "schedule",
    "seed": "seed",
    "seeds": "seed",
}
"""Which field of the contract a setting of the recipe belongs to; those not named are `other`."""

_OF_THE_ORDER = ("stream_seed", "short_first")

RECIPE_FIELDS: tuple[FieldName, ...] = (
    "data",
    "data_order",
    "tokenizer",
    "tokens",
    "sequence_length",
    "optimizer",
    "schedule",
    "seed",
    "other",
)


def recipe_digest(recipe: Mapping[str, Any], architecture: Mapping[str, Any], tokenizer: str) -> str:
    """Identify what a member is trained from.

    Args:
        recipe: The whole recipe, defaults filled in.
        architecture: The member's architecture block.
        tokenizer: Digest of the tokenizer.

    Returns:
        sha256 over the three in canonical JSON, in hex.
    """
    whole = {"recipe": dict(recipe), "architecture": dict(architecture), "tokenizer": tokenizer}
    return digest(whole, spaces=True)


def by_field(recipe: Mapping[str, Any]) -> dict[FieldName, dict[str, Any]]:
    """Settings of a recipe by the field of the contract that they belong to; those of a corpus by path."""
    found: dict[FieldName, dict[str, Any]] = {name: {} for name in RECIPE_FIELDS}
    for key, value in recipe.items():
        if key == "corpus" and isinstance(value, Mapping):
            for path, one in _flat(value):
                order = path.rsplit(".", 1)[-1] in _OF_THE_ORDER
                found["data_order" if order else "data"][path] = one
        else:
            found[_OF_FIELD.get(key, "other")][key] = value
    return found


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by dotted path: what differs between two mixes is then a key, not the whole of both."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def read_record(folder: Path) -> dict[str, Any] | None:
    """The training record of a folder; None where there is none."""
    try:
        record = read_json(folder / RECORD)
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("recipe"), str) else None


def diverged(folder: Path) -> bool:
    """Whether a folder holds the record of a training that diverged, and so no checkpoint."""
    record = read_record(folder)
    return record is not None and record.get("outcome") == "diverged"


def field_value(recipe: Mapping[str, Any], field: FieldName) -> str:
    """What members are compared by in one field of their recipes.

    A number where the field is one number; of the tokens those that are read, in whole batches.
    """
    if field == "tokens" and {"sequence_length", "batch_sequences"} <= recipe.keys():
        batch = recipe["sequence_length"] * recipe["batch_sequences"]
        return str(max(1, recipe["tokens"] // batch) * batch)
    settings = by_field(recipe)[field]
    return str(settings[field]) if list(settings) == [field] else _text(settings)


def recipe_evidence(
    record: Mapping[str, Any],
    header: Header,
    *,
    recipe: Mapping[str, Any] | None,
    architecture: Mapping[str, Any] | None,
    tokenizer: str | None,
    changed: str | None = None,
) -> tuple[dict[FieldName, Evidence], str | None]:
    """What a training record proves about the fields of its recipe.

    Args:
        record: The record.
        header: Of the weights beside it.
        recipe: The family file's recipe, defaults filled in.
        architecture: The family file's architecture of this member.
        tokenizer: Digest of the rules of the tokenizer that the member is evaluated with.
        changed: How the tensors are others than the record is of (`archbench.registry.weights`), if they are.

    Returns:
        Evidence by field, and how the architecture trained differs from the family file's (None: it does
        not).
    """
    if changed is not None:
        return {field: Evidence("differs", note=changed) for field in RECIPE_FIELDS}, changed
    for key, name in (("archbench_recipe", "recipe"), ("archbench_data", "data")):
        if header.metadata.get(key) != record.get(name):
            said = (
                f"the weights' header and {RECORD} disagree on the digest of the {name}: "
                "the record is of other weights"
            )
            return {field: Evidence("differs", note=said) for field in RECIPE_FIELDS}, said
    trained = _trained_from(record, recipe, architecture, tokenizer)
    if trained is None:
        said = (
            f"trained by another recipe, architecture or tokenizer than the family file's (digest "
            f"{str(record['recipe'])[:12]}), and the record "
            + (
                "names other parts than it is of"
                if record.get("recipe_fields")
                else "does not name its parts"
            )
        )
        return {field: Evidence("differs", note=said) for field in RECIPE_FIELDS}, said
    settings, built, rules = trained
    found: dict[FieldName, Evidence] = {}
    for field in RECIPE_FIELDS:
        text = field_value(settings, field)
        found[field] = Evidence("verified", text, f"recipe digest {str(record['recipe'])[:12]}")
    # Rounded down to whole batches, and less where training diverged: what was read, not what was planned.
    found["tokens"] = Evidence("verified", str(record.get("tokens")), "counted by the training record")
    if isinstance(corpus := record.get("corpus"), Mapping):
        note = f"{found['data'].note}; {corpus.get('description')}"
        found["data"] = Evidence("verified", found["data"].value, note)
    stream = str(record.get("data"))
    order = _text(by_field(settings)["data_order"] | {"digest": stream})
    found["data_order"] = Evidence("verified", order, f"data-stream digest {stream[:12]}")
    if tokenizer is not None and rules != tokenizer:
        found["tokenizer"] = Evidence(
            "differs", rules, "evaluated with another tokenizer than it was trained with"
        )
    else:
        found["tokenizer"] = Evidence("verified", rules, f"tokenizer digest {rules[:12]}")
    if record.get("outcome") == "finished" and str(record.get("tokens")) != field_value(settings, "tokens"):
        note = f"the record says {record.get('tokens')}, its recipe {field_value(settings, 'tokens')}"
        found["tokens"] = Evidence("differs", str(record.get("tokens")), note)
    if record.get("outcome") != "finished":
        found["tokens"] = Evidence("differs", str(record.get("tokens")), f"training {record.get('outcome')}")
    wrong = None
    if architecture is not None and _text(built) != _text(architecture):
        keys = sorted(key for key in {*built, *architecture} if built.get(key) != architecture.get(key))
        wrong = f"trained with another architecture than the family file's: {', '.join(keys)}"
    return found, wrong


def _trained_from(
    record: Mapping[str, Any],
    recipe: Mapping[str, Any] | None,
    architecture: Mapping[str, Any] | None,
    tokenizer: str | None,
) -> tuple[Mapping[str, Any], Mapping[str, Any], str] | None:
    """Recipe, architecture and tokenizer that give the record's digest; None where none do."""
    own = record.get("recipe_fields"), record.get("architecture"), record.get("tokenizer")
    tries: list[tuple[Any, Any, Any]] = [own]
    if recipe is not None:
        tries += [
            (recipe, architecture, tokenizer),
            ({**recipe, "tokens": record.get("tokens")}, architecture, tokenizer),
        ]
    for settings, built, rules in tries:
        whole = isinstance(settings, Mapping) and isinstance(built, Mapping) and isinstance(rules, str)
        if whole and recipe_digest(settings, built, rules) == record["recipe"]:
            return settings, built, rules
    return None


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
