"""Where a family that is trained here puts its parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from archbench.errors import RequestError
from archbench.registry import Family


@dataclass(frozen=True)
class Places:
    """Where a family's parts go: the relative folders of its file, below the output folder."""

    tokenizer: Path
    items: dict[str, Path]
    members: dict[str, Path]

    @classmethod
    def of(cls, family: Family, out: Path) -> Places:
        """The places of a family.

        Raises:
            RequestError: A folder that the file names is not below it.
        """

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
