"""What a family of models is: members, what they share, and what they differ in."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from archbench.errors import did_you_mean
from archbench.models.known import import_packages
from archbench.registry.contract import Claim, Contract, FieldName
from archbench.schema import Address, Large, Name, Seed, Title, Tokens, YamlModel


class Member(BaseModel):
    """One model of a comparison, and where its weights come from.

    Attributes:
        title: Name for tables and figures; the member's key where absent.
        architecture: transformers config: `model_type` and its fields. What `archbench train` builds; for a
            member of `init: random`, the whole definition.
        path: Local folder with config.json and safetensors weights, relative to the file that names it.
        hub: Hub id of a published model.
        revision: Commit, tag or branch of the hub model.
        tokenizer: Folder or hub id of the tokenizer, where the model or family does not bring one.
        init: `trained` reads weights; `random` builds the architecture untrained, as a control.
        seed: Seed of the weights of a `random` member.
        backend: Name of the lm-eval class that runs the model, such as `vllm`; where absent, archbench's own
            engine does.
        arguments: What to make that class with; path, hub id and tokenizer are handed over besides.
        declared: What a model card or paper says of a field of the match contract (docs/matching.md).
        notes: Anything a reader of a report should know about this member.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    title: Title | None = None
    architecture: dict[str, Any] | None = None
    path: Address | None = None
    hub: Address | None = None
    revision: Address | None = None
    tokenizer: Address | None = None
    init: Literal["trained", "random"] = "trained"
    seed: Seed = 0
    backend: str | None = None
    arguments: dict[str, str | int | float | bool] = Field(default_factory=dict)
    declared: dict[FieldName, Claim] = Field(default_factory=dict)
    notes: str | None = None

    @field_validator("architecture")
    @classmethod
    def _has_model_type(cls, architecture: dict[str, Any] | None) -> dict[str, Any] | None:
        if architecture is not None and not isinstance(architecture.get("model_type"), str):
            raise ValueError(
                "an architecture needs a model_type, the name of a known architecture, like 'llama'"
            )
        return architecture

    @model_validator(mode="after")
    def _has_one_source(self) -> Member:
        if self.init == "random":
            if self.architecture is None or self.path or self.hub:
                raise ValueError(
                    "a member with init: random is built from its architecture, without path or hub"
                )
        elif (self.path and self.hub) or not (self.path or self.hub or (self.backend and self.arguments)):
            raise ValueError(
                "a member needs either path (a folder) or hub (a hub id); or init: random; or a backend "
                "whose arguments name the model"
            )
        if self.backend and self.init == "random":
            raise ValueError("a member with init: random is built by archbench; it takes no backend")
        if self.arguments and not self.backend:
            raise ValueError("arguments are those of a backend; this member names none")
        if self.revision and not self.hub:
            raise ValueError("a revision belongs to a hub id; this member has none")
        return self


class Data(BaseModel):
    """What a family was trained on.

    Attributes:
        name: Short name.
        description: What it is, where it came from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    description: str = ""


class Budget(BaseModel):
    """What was spent on training each member.

    Attributes:
        tokens: Training tokens.
        sequence_length: Training context, in tokens.
        notes: What else a reader should know: batch size, hardware, hours.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    tokens: Large | None = None
    sequence_length: Tokens | None = None
    notes: str | None = None


class Family(YamlModel):
    """Models that are declared comparable, and the declaration itself.

    Attributes:
        name: What suites call it.
        title: One line for lists.
        description: What the family is for.
        url: Paper or model card.
        tokenizer: Folder (relative to the file) or hub id, shared by the members.
        data: Training data, shared by the members.
        budget: Training budget of each member.
        controlled: What was held equal, in words.
        varies: What the members differ in, in words.
        match: The contract that an audit checks (docs/matching.md).
        imports: Packages that register the members' architectures with transformers' Auto classes; imported
            when the family is used (docs/families.md).
        recipe: How `archbench train` makes the members; its keys belong to the training room.
        items: Evaluation data that come with the family: task kind -> folder or file, relative to this
            one.
        members: The models.
    """

    name: Name
    title: Title
    description: str = ""
    url: Address | None = None
    tokenizer: Address | None = None
    data: Data | None = None
    budget: Budget = Budget()
    controlled: list[str] = Field(default_factory=list)
    varies: list[str] = Field(default_factory=list)
    match: Contract = Contract()
    imports: list[str] = Field(default_factory=list)
    recipe: dict[str, Any] | None = None
    items: dict[str, Address] = Field(default_factory=dict)
    members: dict[Name, Member] = Field(min_length=1)

    @model_validator(mode="after")
    def _can_be_compared_key_by_key(self) -> Family:
        if self.match.architecture_varies is None:
            return self
        blocks = {name: member.architecture for name, member in self.members.items()}
        if bare := [name for name, block in blocks.items() if block is None]:
            raise ValueError(
                f"match.architecture_varies compares architecture blocks, and {', '.join(bare)} has none"
            )
        keys = {key for block in blocks.values() for key in block or ()}
        for key in self.match.architecture_varies:
            if key not in keys:
                hint = did_you_mean(key, keys, label="Their keys are")
                raise ValueError(
                    f"match.architecture_varies: no architecture here has the key '{key}'. {hint.rstrip('.')}"
                )
        return self

    def import_packages(self) -> None:
        """Import the packages that the file names, so that their architectures are known.

        Raises:
            RequestError: One cannot be imported.
        """
        for index, name in enumerate(self.imports):
            import_packages([name], f"{self.where('imports', index)}: imports")

    @field_validator("data", mode="before")
    @classmethod
    def _bare_name(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data


class FamilyChoice(BaseModel):
    """A family that a suite asks for.

    Attributes:
        name: The family.
        members: Which of its members; all where absent.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    members: list[str] | None = Field(default=None, min_length=1)

    @field_validator("members")
    @classmethod
    def _members_once(cls, members: list[str] | None) -> list[str] | None:
        for name in members or ():
            if (members or []).count(name) > 1:
                raise ValueError(f"{name!r} is listed more than once")
        return members
