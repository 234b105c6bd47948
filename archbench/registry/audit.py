"""The audit of a family: what is known of every member, and whether it is equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archbench.formats.safetensors import Header
from archbench.identity import TokenizerIdentity
from archbench.models.tokenizer import tokenizer_identity
from archbench.registry.comparison import compared
from archbench.registry.contract import FIELDS, Claim, Evidence, FieldName
from archbench.registry.evidence import (
    RECIPE_FIELDS,
    diverged,
    field_value,
    read_record,
    recipe_evidence,
)
from archbench.registry.family import Family, Member
from archbench.registry.verdict import Audit, MemberAudit
from archbench.registry.weights import (
    Files,
    architecture_evidence,
    changed_weights,
    figures,
    has_weights_digest,
    member_config,
    member_sizes,
    read_header,
)

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from archbench.efficiency.sizes import Sizes

_CONTEXTS = (4096, 131_072)


def audit_family(
    family: Family,
    files: Mapping[str, Files],
    *,
    recipe: Mapping[str, Any] | None = None,
    contexts: Sequence[int] = _CONTEXTS,
) -> Audit:
    """Audit members of a family.

    Args:
        family: The family.
        files: The members to audit, and what of each is at hand.
        recipe: The family's recipe with its defaults filled in, where it has one.
        contexts: Lengths, in tokens, that bytes of cache and state are told at.

    Returns:
        The audit. No model is loaded: weights are read by their headers, and where a training record has a
        digest of the tensors, in pieces to compute it again.

    Raises:
        RequestError: A package that the family file names cannot be imported.
    """
    family.import_packages()
    length = family.budget.sequence_length or (recipe or {}).get("sequence_length") or contexts[0]
    rows: dict[str, MemberAudit] = {}
    for name, at_hand in files.items():
        member = family.members[name]
        header = read_header(at_hand.weights) if at_hand.weights else None
        tokenizer = tokenizer_identity(at_hand.tokenizer) if at_hand.tokenizer else None
        config, trouble = member_config(member, at_hand, recipe)
        sizes = member_sizes(config)
        told = figures(sizes, int(length), contexts)
        evidence = _evidence(family, name, at_hand, header, tokenizer, config, recipe)
        if trouble:
            evidence["architecture"] = Evidence("differs", note=trouble)
        evidence["size"] = _size(family, member, sizes, header, told)
        page = f"https://huggingface.co/{member.hub}" if member.hub else family.url
        evidence = {
            field: replace(one, url=page) if one.status == "declared" and one.url is None else one
            for field, one in evidence.items()
        }
        control = member.init == "random"
        if control:
            evidence = {key: one for key, one in evidence.items() if key in ("tokenizer", "size")}
        rows[name] = MemberAudit(control, {key: evidence[key] for key in FIELDS if key in evidence}, told)
    match = family.match
    notes = [note for note in (_untrained(family, files), _unproven(family, files)) if note]
    found = Audit(family.name, match.varies, rows, match.size.quantity, match.architecture_varies, notes)
    return compared(found, family, recipe)


def _untrained(family: Family, files: Mapping[str, Files]) -> str | None:
    """Say which members are still to be trained; None where none is."""
    missing = [
        name
        for name, at_hand in files.items()
        if family.recipe is not None and family.members[name].path is not None and at_hand.weights is None
    ]
    if not missing:
        return None
    lost = [name for name in missing if diverged((family.folder / str(family.members[name].path)).resolve())]
    notes = [f"diverged in training, so without a checkpoint: {', '.join(lost)}"] if lost else []
    if others := [name for name in missing if name not in lost]:
        others_named = ", ".join(others)
        notes.append(f"not trained yet: {others_named}; archbench train {family.name} --out DIR trains them")
    return "; ".join(notes)


def _unproven(family: Family, files: Mapping[str, Files]) -> str | None:
    """Say which members' records are too old to say which tensors they are of; None where none is."""
    names = [
        name
        for name, at_hand in files.items()
        if family.members[name].init != "random" and at_hand.weights and _is_old(at_hand.weights)
    ]
    if not names:
        return None
    return (
        f"{', '.join(names)}: training.json has no digest of the weights (an older archbench wrote it), so "
        "they are known by their header alone"
    )


def _is_old(folder: Path) -> bool:
    record = read_record(folder)
    return record is not None and record.get("outcome") == "finished" and not has_weights_digest(record)


def _evidence(
    family: Family,
    name: str,
    files: Files,
    header: Header | None,
    tokenizer: TokenizerIdentity | None,
    config: PretrainedConfig | None,
    recipe: Mapping[str, Any] | None,
) -> dict[FieldName, Evidence]:
    """What is known of every field but the size, before members are compared."""
    member = family.members[name]
    record = read_record(files.weights) if files.weights else None
    found = {field: _declared(family, member, field, recipe) for field in FIELDS}
    found["architecture"] = architecture_evidence(member, header, config, found["architecture"])
    if record is not None and header is not None and files.weights is not None:
        proven, wrong = recipe_evidence(
            record,
            header,
            recipe=recipe,
            architecture=member.architecture,
            tokenizer=tokenizer.rules if tokenizer else None,
            changed=changed_weights(files.weights, record),
        )
        found |= proven
        if wrong and found["architecture"].status != "differs":
            found["architecture"] = Evidence("differs", note=wrong)
    if tokenizer is not None and found["tokenizer"].status != "differs":
        told = f"tokenizer digest {tokenizer.encoding[:12]}"
        found["tokenizer"] = Evidence("verified", tokenizer.encoding, told)
    return found


def _declared(family: Family, member: Member, field: FieldName, recipe: Mapping[str, Any] | None) -> Evidence:
    """What the family file says of a field of a member."""
    claim = member.declared.get(field) or family.match.declared.get(field)
    if claim is None and recipe is not None and field in RECIPE_FIELDS and field != "tokenizer":
        text = field_value(recipe, field)
        if text != "{}":
            return Evidence(
                "declared", text, "the family file's recipe; no training record proves it", family.url
            )
    if claim is None:
        said: dict[FieldName, str | int | None] = {
            "data": family.data.name if family.data else None,
            "tokens": family.budget.tokens,
            "sequence_length": family.budget.sequence_length,
            "tokenizer": member.tokenizer or family.tokenizer,
        }
        value = said.get(field)
        claim = None if value is None else Claim(value=value, url=family.url)
    if claim is None:
        return Evidence("unknown")
    return Evidence("declared", str(claim.value), claim.note or "declared by the family file", claim.url)


def _size(
    family: Family,
    member: Member,
    sizes: Sizes | None,
    header: Header | None,
    figures: Mapping[str, float | None],
) -> Evidence:
    value = figures[family.match.size.quantity]
    if value is not None and sizes is not None:
        if header is not None:
            return Evidence("verified", str(round(value)), "counted from the weights' configuration")
        if member.init == "random":
            return Evidence("verified", str(round(value)), "counted from its architecture")
        return Evidence("declared", str(round(value)), "counted from the declared architecture")
    claim = member.declared.get("size") or family.match.declared.get("size")
    if claim is None:
        return Evidence("unknown")
    return Evidence("declared", str(claim.value), claim.note or "as published", claim.url)
