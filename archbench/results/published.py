"""Scores that papers printed, to be shown next to those of a run; one YAML file per paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from archbench import paths
from archbench.errors import RequestError, did_you_mean
from archbench.formats.yaml_file import read_yaml
from archbench.results.conditions import Condition
from archbench.schema import Address, Claimed, Name, Number, Title, YamlModel, validate

Evidence = Literal["direct", "second-hand", "independent"]
Percent = Annotated[float, Number, Field(ge=0, le=100)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PublishedModel(_Part):
    """A model that a paper reports on.

    Attributes:
        title: What it is.
        family: The shipped family it belongs to, if any.
        member: Its name there.
    """

    title: Title
    family: str | None = None
    member: str | None = None


class PublishedCondition(_Part):
    """Which of our conditions a column of a paper's table is.

    Attributes:
        kind: The entry's kind.
        metric: The condition's primary metric.
        labels: Labels that the condition has, among others.
    """

    kind: str
    metric: str
    labels: dict[str, Annotated[str | int, Claimed]] = Field(default_factory=dict)

    def is_of(self, condition: Condition) -> bool:
        """Whether a condition is this one."""
        labels = dict(condition.labels)
        return (condition.kind, condition.metric) == (self.kind, self.metric) and all(
            labels.get(name) == value for name, value in self.labels.items()
        )


class PublishedRow(_Part):
    """One row of a table.

    Attributes:
        values: In percent, one per column.
        average: The average that is printed, in percent.
    """

    values: list[Percent]
    average: Percent | None = None


class PublishedTable(_Part):
    """One table of a paper.

    Attributes:
        title: What it is about.
        evidence: Seen in the paper's own table, stated by a third party about it, or measured by others on
            the released weights.
        columns: Names of the columns.
        rows: By name of the model.
    """

    title: Title
    evidence: Evidence
    columns: list[str]
    rows: dict[str, PublishedRow]


class Paper(YamlModel):
    """A paper's printed scores.

    Attributes:
        name: Name of the paper, and of its file.
        title: Title.
        url: Where it is.
        caveats: What a reader of the numbers should know.
        models: The models, by name.
        conditions: What columns are of ours, by name; columns that are none of ours are left out.
        tables: The tables, by name.
    """

    name: Name
    title: Title
    url: Address
    caveats: list[str] = Field(default_factory=list)
    models: dict[str, PublishedModel]
    conditions: dict[str, PublishedCondition]
    tables: dict[str, PublishedTable]

    @model_validator(mode="after")
    def _whole(self) -> Paper:
        for name, table in self.tables.items():
            for model, row in table.rows.items():
                if model not in self.models:
                    raise ValueError(f"{name}: the row '{model}' is none of the models")
                if len(row.values) != len(table.columns):
                    raise ValueError(
                        f"{name}, {model}: {len(row.values)} values, {len(table.columns)} columns"
                    )
        return self


@dataclass(frozen=True)
class PublishedScore:
    """One printed score of one condition.

    Attributes:
        score: Between 0 and 1.
        evidence: How it is known.
        model: `PAPER/MODEL`.
        table: Name of the table.
        paper: The paper.
    """

    score: float
    evidence: Evidence
    model: str
    table: str
    paper: Paper


@cache
def papers() -> dict[str, Paper]:
    """The papers that came with archbench, by name."""
    files = sorted(paths.shared("published").glob("*.yaml"))
    return {file.stem: validate(Paper, read_yaml(file)) for file in files}


def model_names() -> list[str]:
    """Every model that a paper reports on, as `PAPER/MODEL`."""
    return [f"{name}/{model}" for name, paper in papers().items() for model in paper.models]


def models_of(
    members: list[str], manifest: Mapping[str, Any], named: Mapping[str, str]
) -> dict[str, list[str]]:
    """Published models, as `PAPER/MODEL`, that the members of a run are.

    Args:
        members: Names of the members.
        manifest: The run's manifest, which states the members' families.
        named: What the suite says (`report.published`), which comes before the family.

    Raises:
        RequestError: The suite names a member or a model that does not exist.
    """
    for member, model in named.items():
        if member not in members:
            raise RequestError(
                f"report.published: no member of this run is called '{member}'. "
                + did_you_mean(member, members, label="Members")
            )
        if model not in model_names():
            raise RequestError(
                f"report.published.{member}: there is no published model '{model}'; PAPER/MODEL is expected. "
                + did_you_mean(model, model_names(), label="Published models")
            )
    found = {member: [model] for member, model in named.items()}
    for one in manifest.get("members", []):
        # Where several families share a name, the member is called `FAMILY:NAME`.
        name, family = str(one["name"]), one.get("family")
        own = name.removeprefix(f"{family}:")
        for paper in papers().values():
            for model, about in paper.models.items():
                if name not in named and family is not None and (about.family, about.member) == (family, own):
                    found.setdefault(name, []).append(f"{paper.name}/{model}")
    return {member: found[member] for member in members if member in found}


def published_score(model: str, condition: Condition) -> PublishedScore | None:
    """What a paper printed for one of its models in a condition; None where it has nothing.

    The paper's own tables come before what others measured.
    """
    name, _, row = model.partition("/")
    paper = papers()[name]
    found = []
    for title, table in paper.tables.items():
        for column, value in zip(
            table.columns, table.rows[row].values if row in table.rows else (), strict=False
        ):
            meant = paper.conditions.get(column)
            if meant is not None and meant.is_of(condition):
                found.append(PublishedScore(value / 100, table.evidence, model, title, paper))
    ranks = ("direct", "second-hand", "independent")
    return min(found, key=lambda one: ranks.index(one.evidence), default=None)
