"""What a member's weights and configuration say: headers are read, tensors compared by their digest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archbench.checkpoint import INDEX, read_headers, weight_files
from archbench.errors import RequestError, amount
from archbench.formats.safetensors import Header, is_buffer
from archbench.identity import config_fields, weights_digest
from archbench.models.build import build_config, read_config
from archbench.models.checks.fields import check_tokenizer_fields
from archbench.models.meta import meta_model
from archbench.registry.contract import Evidence
from archbench.registry.evidence import RECORD
from archbench.registry.family import Member

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from archbench.efficiency.sizes import Sizes


@dataclass(frozen=True)
class Files:
    """What of a member is local.

    Attributes:
        weights: Folder of configuration and weights; None where they are not there (or random).
        tokenizer: Folder of the tokenizer; None where it is not there.
    """

    weights: Path | None = None
    tokenizer: Path | None = None


def read_header(folder: Path) -> Header | None:
    """Headers of a folder's safetensors files; None where there are none or they cannot be read."""
    try:
        header = read_headers(folder)
    except RequestError:
        return None
    return header if header.shapes else None


def changed_weights(folder: Path, record: Mapping[str, Any]) -> str | None:
    """How the tensors of a trained member are others than its record is of; None where they are the same.

    None, too, where the record has no digest of them (`has_weights_digest`).

    Args:
        folder: The member's folder. Its weights are read whole, once per process.
        record: Its training record.
    """
    if not has_weights_digest(record):
        return None
    try:
        found = weights_digest(folder)
        files = ", ".join(file.name for file in weight_files(folder) if file.name != INDEX)
    except (RequestError, OSError) as error:
        return f"the tensors cannot be compared with {RECORD}: {error}"
    if found == record["weights"]:
        return None
    return (
        f"the tensors in {files} are not those that training left: their digest is {found[:12]}, in {RECORD} "
        f"{str(record['weights'])[:12]}"
    )


def has_weights_digest(record: Mapping[str, Any]) -> bool:
    """Whether a training record says which tensors it is of; those of older versions do not."""
    return record.get("weights") is not None


def member_config(
    member: Member, files: Files, recipe: Mapping[str, Any] | None
) -> tuple[PretrainedConfig | None, str | None]:
    """The configuration that says what a member is: that of its weights, else its architecture block's.

    Returns:
        The configuration, and what is wrong with it.
    """
    if files.weights is not None:
        try:
            return read_config(files.weights), None
        except (RequestError, OSError, ValueError, KeyError, TypeError) as error:
            return None, f"the configuration next to the weights cannot be read ({error})"
    if member.architecture is None:
        return None, None
    try:
        vocabulary = _vocabulary(files.tokenizer) or (recipe or {}).get("vocab_size")
        return build_config(member.architecture, vocab_size=vocabulary), None
    except RequestError as error:
        return None, str(error)


def _vocabulary(tokenizer: Path | None) -> int | None:
    rules = tokenizer / "tokenizer.json" if tokenizer else None
    if tokenizer is None or rules is None or not rules.is_file():
        return None
    from tokenizers import Tokenizer

    check_tokenizer_fields(tokenizer)
    return int(Tokenizer.from_file(str(rules)).get_vocab_size())


def member_sizes(config: PretrainedConfig | None) -> Sizes | None:
    """Sizes of a member; None where nothing says what it is."""
    from archbench.efficiency.sizes import config_sizes

    if config is None:
        return None
    try:
        return config_sizes(config)
    except RequestError:
        return None


def figures(sizes: Sizes | None, length: int, contexts: Sequence[int]) -> dict[str, float | None]:
    """Sizes and costs of a member; bytes in 16 bit, for one sequence.

    Args:
        sizes: Its sizes; None where they are not known.
        length: Training window, in tokens, for the FLOPs per trained token.
        contexts: Lengths, in tokens, at which bytes of cache are stated.
    """
    names = ["parameters", "non_embedding", "active", "flops", "state_bytes"]
    found: dict[str, float | None] = dict.fromkeys([*names, *(f"kv_bytes@{one}" for one in contexts)])
    if sizes is not None:
        found |= {
            "parameters": sizes.parameters,
            "non_embedding": sizes.non_embedding,
            "active": sizes.active,
            "flops": sizes.training_flops(length),
            "state_bytes": sizes.state_bytes(),
        }
        found |= {f"kv_bytes@{one}": sizes.kv_bytes(one) for one in contexts}
    return found


def architecture_evidence(
    member: Member, header: Header | None, config: PretrainedConfig | None, said: Evidence
) -> Evidence:
    """Whether the weights are those of the configuration next to them, and of the architecture declared.

    Args:
        member: The member.
        header: Of its weights; None where they are not local.
        config: Its configuration; None where nothing says what it is.
        said: What is declared of its architecture.
    """
    if config is None:
        return said
    identity = json.dumps(config.to_diff_dict(), sort_keys=True, default=str)
    if header is None:
        url = said.url if said.status == "declared" else None
        return Evidence("declared", identity, "the architecture block; no local weights", url)
    try:
        if member.architecture is not None:
            built = build_config(member.architecture, vocab_size=config.vocab_size)
            if said_otherwise := _other_settings(config, built):
                return Evidence(
                    "differs", note=f"config.json is not the architecture block's: {said_otherwise}"
                )
        wanted = _shapes(meta_model(config))
    except RequestError as error:
        return Evidence("differs", note=str(error))
    counted = f"{amount(len(header.shapes), 'tensor')}, {amount(header.numbers, 'number')}"
    whose = "architecture block" if member.architecture is not None else "configuration"
    wrong = _difference(wanted, header.shapes)
    if wrong is not None:
        return Evidence("differs", note=f"the weights ({counted}) are not those of the {whose}: {wrong}")
    return Evidence("verified", identity, f"the weights are those of the {whose}: {counted}")


def _other_settings(found: PretrainedConfig, wanted: PretrainedConfig) -> str:
    """Settings in which the configuration next to the weights is not the one that its block gives."""
    here, there = config_fields(found.to_dict()), config_fields(wanted.to_dict())
    return ", ".join(
        f"{key} {here.get(key)!r}, not {there.get(key)!r}"
        for key in sorted({*here, *there})
        if here.get(key) != there.get(key)
    )


def _shapes(model: Any) -> dict[str, tuple[tuple[int, ...], frozenset[str]]]:
    """Shape of every parameter, and all names that it has (tied ones have several)."""
    names: dict[int, list[str]] = {}
    parameters = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
        parameters[id(parameter)] = tuple(parameter.shape)
    return {each[0]: (parameters[key], frozenset(each)) for key, each in names.items()}


def _difference(
    wanted: Mapping[str, tuple[tuple[int, ...], frozenset[str]]], found: Mapping[str, tuple[int, ...]]
) -> str | None:
    """What is not as it should be in a checkpoint; None where all is.

    transformers saves some models under other names than it builds them with, and takes stacked experts
    apart: where names do not match, the shapes must; where those do not, the numbers in all.
    """
    # Buffers such as rotary frequencies are stored by some checkpoints and are no parameters.
    found = {name: shape for name, shape in found.items() if not is_buffer(name, shape)}
    known = {one for _, names in wanted.values() for one in names}
    if not found.keys() - known:
        for name, (shape, names) in wanted.items():
            here = next((one for one in sorted(names) if one in found), None)
            if here is None:
                return f"{name} is missing"
            if found[here] != shape:
                return f"{here} is {list(found[here])}, not {list(shape)}"
        return None
    # A tied weight is one tensor in the model and may be stored under each of its names.
    if Counter(found.values()) == Counter(shape for shape, _ in wanted.values()):
        return None
    have, need = (sum(map(prod, shapes)) for shapes in (found.values(), (s for s, _ in wanted.values())))
    return None if have == need else f"{have:,} numbers, not {need:,}"
