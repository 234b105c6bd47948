"""The match contract: what a family holds equal, what it varies, and what is known of each member.

Every field of every member carries evidence: `verified` (archbench computed it from the member's own files),
`declared` (a family file, model card or paper says so), `unknown`, or `differs` from the other members.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from archbench.schema import Address, Claimed, Number

FieldName = Literal[
    "architecture",
    "data",
    "data_order",
    "tokenizer",
    "tokens",
    "sequence_length",
    "optimizer",
    "schedule",
    "seed",
    "other",
    "size",
]
"""What a contract is about; `FIELDS` says what each means."""

FIELDS: dict[FieldName, str] = {
    "architecture": "the weights are those of the architecture declared, in shape and number",
    "data": "what was read in training",
    "data_order": "in which order, to the token",
    "tokenizer": "how text becomes tokens",
    "tokens": "how many tokens were trained on",
    "sequence_length": "tokens in a training window",
    "optimizer": "optimizer, its decays and clipping, and the batch size",
    "schedule": "learning rate and its course",
    "seed": "seed of the first weights",
    "other": "all other settings of the recipe",
    "size": "parameters (or another size), within the family's tolerance",
}

ESSENTIAL: frozenset[FieldName] = frozenset({"data", "tokenizer", "tokens"})
"""Fields that must at least be declared: without them nothing says that the members are comparable."""

Status = Literal["verified", "declared", "unknown", "differs"]
Verdict = Literal["matched", "declared", "unmatched"]


class Claim(BaseModel):
    """What somebody says of a field.

    Attributes:
        value: What is said, comparable between members; text or a number.
        url: Where it is said: model card, paper, configuration.
        note: How far it can be trusted, such as `second-hand`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: Annotated[str | int | float, Claimed]
    url: Address | None = None
    note: str | None = None


class SizeTarget(BaseModel):
    """What the members' size is, and how far it may be off.

    Attributes:
        quantity: All parameters, those besides the embeddings, those that one token uses, or floating-point
            operations per trained token at the family's sequence length.
        target: The size aimed at; where absent, the members' median.
        tolerance: Largest quotient between two members, less one; with a target, also the largest
            distance from it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    quantity: Literal["parameters", "non_embedding", "active", "flops"] = "parameters"
    target: Annotated[float, Number, Field(gt=0, le=1e18)] | None = None
    tolerance: Annotated[float, Number] = Field(default=0.02, ge=0, le=100)


class Contract(BaseModel):
    """The `match` block of a family file.

    Attributes:
        varies: Fields in which members may differ; all others are controlled.
        architecture_varies: Keys of the members' `architecture` blocks in which they may differ, all others
            being equal, for an ablation; where absent, architectures may differ in anything.
        size: The size that is held equal.
        declared: What is said of all members; a member's own `declared` comes before it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    varies: tuple[FieldName, ...] = ("architecture",)
    architecture_varies: tuple[str, ...] | None = Field(default=None, min_length=1)
    size: SizeTarget = SizeTarget()
    declared: dict[FieldName, Claim] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _varies_where_it_says(self) -> Contract:
        if self.architecture_varies is not None and "architecture" not in self.varies:
            raise ValueError("architecture_varies needs architecture among what varies")
        return self

    @property
    def controlled(self) -> tuple[FieldName, ...]:
        """Fields that are held equal, in the order of `FIELDS`."""
        return tuple(name for name in FIELDS if name not in self.varies)


@dataclass(frozen=True)
class Evidence:
    """What is known of one field of one member.

    Attributes:
        status: How it is known.
        value: What members are compared by; None where unknown.
        note: In words, for a reader.
        url: Where it is declared.
    """

    status: Status
    value: str | None = None
    note: str = ""
    url: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, without what is empty."""
        every = {"status": self.status, "value": self.value, "note": self.note, "url": self.url}
        return {key: value for key, value in every.items() if value}
