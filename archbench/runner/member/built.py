"""Members that are built here, from their architecture with random weights: can they be?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from archbench.errors import RequestError
from archbench.models.checks.memory import check_fits
from archbench.registry import Family, Files, ResolvedMember
from archbench.registry.weights import member_config
from archbench.schema import YamlModel
from archbench.suite import Suite


def check_built(
    member: ResolvedMember, tokenizer: Path | None, suite: Suite, known: Mapping[str, Family]
) -> None:
    """Refuse a member of `init: random` that this machine could not build, before it is built.

    Args:
        member: The member.
        tokenizer: Folder of its tokenizer, whose size its embeddings have; None where it is not there yet.
        suite: The suite that names it or its family.
        known: The families there are.

    Raises:
        RequestError: It cannot be built, or its weights take more than the machine's memory.
    """
    config, wrong = member_config(member.member, Files(tokenizer=tokenizer), None)
    try:
        if config is None:
            raise RequestError(str(wrong))
        check_fits(config)
    except RequestError as error:
        name = member.name.removeprefix(f"{member.family}:")
        written: YamlModel = suite if member.family is None else known[member.family]
        raise RequestError(f"{written.where('members', name, 'architecture')}: {error}") from None
