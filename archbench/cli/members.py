"""The option `--members`: some of a family's members, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from archbench.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    from archbench.registry import Family

Members = Annotated[
    str | None, typer.Option("--members", metavar="A,B", help="Only these members. [default: all]")
]


def chosen_members(family: Family, members: str | None) -> list[str]:
    """Names of the members that were requested; all where none were.

    Raises:
        RequestError: The family has no such member.
    """
    chosen = [name.strip() for name in members.split(",")] if members else list(family.members)
    for name in chosen:
        if name not in family.members:
            hint = did_you_mean(name, family.members, label="Its members")
            raise RequestError(f"--members: the family '{family.name}' has no member '{name}'. {hint}")
    return chosen
