"""The suite: one YAML file that says which models answer which tasks, and how.

    name: quick
    families: [microworld]            # or {name: microworld, members: [mamba2]}
    members: {mine: ./checkpoints/a}  # a folder, a hub id, or a mapping (path, hub, revision, tokenizer, ...)
    tasks:
      mmlu: {kind: mmlu, data: microworld, shots: [0, 5]}
    engine: {dtype: float32}
    seed: 0

Relative folders in a suite are looked for in the current directory first, then beside the suite file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from archbench.registry.family import FamilyChoice, Member
from archbench.report.settings import ReportSettings
from archbench.schema import Large, Name, Whole, YamlModel
from archbench.suite.find import find_in
from archbench.tasks.entry import TaskEntry
from archbench.tasks.kinds import kinds

if TYPE_CHECKING:
    AnyEntry = TaskEntry
else:
    AnyEntry = Annotated[
        Union[tuple(kind.entry for kind in kinds().values())],  # noqa: UP007 - made from the registry
        Field(discriminator="kind"),
    ]


def _device(name: str) -> str:
    """Refuse what is no device; whether this machine has it is asked when a run begins."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:(0|[1-9][0-9]*))?", name):
        raise ValueError(f"there is no device {name!r}; expected auto, cpu, cuda, cuda:N (N from 0) or mps")
    return name


class EngineSettings(BaseModel):
    """How models are run.

    Attributes:
        dtype: Weights and activations; `auto` takes the checkpoint's. Log-probabilities are always float32.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, ..., or `mps`.
        batch_tokens: Tokens per forward pass, padding included; changes speed and memory, not results.
        cache_bytes: Memory for the states of shared prefixes; changes speed, not results; 0 shares none.
        max_length: Longest input in tokens; the model's own limit where absent.
        rolling_stride: Tokens that each window of a text longer than that predicts, after the first; as many
            as fit where absent.
        too_long: What becomes of items longer than a member takes: `error` (its cell fails) or `exclude`
            (they are left out for every member, and the report counts them). Prompts are never cut.
        border: `exact`, or `lm_eval` for lm-eval's own log-likelihoods where a token spans the border of
            context and continuation, or special tokens come before a text of a rolling log-likelihood.
        threads: CPU threads that a run computes with; torch's own choice where absent. Changes speed, not
            results: for very small models one is as fast as many, and faster where others use the cores too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: Annotated[str, AfterValidator(_device)] = "auto"
    batch_tokens: Large = 8192
    cache_bytes: Annotated[int, Whole, Field(ge=0, le=2**50)] = 2**29
    max_length: Annotated[int, Whole, Field(ge=2, le=2**50)] | None = None
    rolling_stride: Large | None = None
    too_long: Literal["error", "exclude"] = "error"
    threads: Annotated[int, Whole, Field(ge=1, le=1024)] | None = None
    border: Literal["exact", "lm_eval"] = "exact"

    @model_validator(mode="after")
    def _windows_hold_their_stride(self) -> EngineSettings:
        if self.max_length is not None and (self.rolling_stride or 0) > self.max_length:
            raise ValueError(
                f"rolling_stride is {self.rolling_stride:,} and max_length {self.max_length:,}, but a window "
                "predicts at most as many tokens as it may hold; expected a rolling_stride of at most "
                "max_length"
            )
        return self


def _no_suite_key(name: str) -> str:
    if name in Suite.model_fields:
        raise ValueError(
            f"a task entry cannot be called {name!r}, which is a key of the suite itself, so that --set "
            f"{name}=... would be unclear; give it another name"
        )
    return name


EntryName = Annotated[Name, AfterValidator(_no_suite_key)]
"""Name of a task entry, which `--set` takes as a key beside those of the suite."""


class Suite(YamlModel):
    """What to evaluate, on what, and how.

    Attributes:
        name: Names the results folder.
        description: What the suite is for.
        families: Families from the registry, whole or in part.
        members: Further models by name: a folder, a hub id, or a mapping as in a family file.
        imports: Packages that register architectures with transformers' Auto classes (docs/families.md).
        tasks: Task entries by name; `kind` says which settings an entry takes.
        engine: How models are run.
        report: What the report shows.
        seed: Seed of everything random, from 0 to 2**32 - 1, which is what NumPy takes.
        allow_unmatched: Whether members that are not matched may be compared; tables then say that they are
            not (docs/matching.md).
    """

    name: Name
    description: str = ""
    families: list[FamilyChoice] = Field(default_factory=list)
    members: dict[Name, Member] = Field(default_factory=dict)
    imports: list[str] = Field(default_factory=list)
    tasks: dict[EntryName, AnyEntry] = Field(min_length=1)
    engine: EngineSettings = EngineSettings()
    report: ReportSettings = ReportSettings()
    seed: Annotated[int, Whole, Field(ge=0, lt=2**32)] = 0
    allow_unmatched: bool = False

    @field_validator("families", mode="before")
    @classmethod
    def _bare_names(cls, families: Any) -> Any:
        if not isinstance(families, list):
            return families
        return [{"name": one} if isinstance(one, str) else one for one in families]

    @field_validator("families")
    @classmethod
    def _families_once(cls, families: list[FamilyChoice]) -> list[FamilyChoice]:
        names = [one.name for one in families]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name!r} is listed more than once; name its members in one entry")
        return families

    def find(self, name: str) -> Path | None:
        """The folder or file that a relative path in this suite means; None where there is none."""
        return find_in(name, self.folder)
