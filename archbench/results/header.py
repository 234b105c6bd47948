"""The header of a cell: what was evaluated, what came of it, and what it cost."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from archbench.results.measures import Measure, Outcome, Scale
from archbench.results.shapes import misfit
from archbench.results.writing import plain

SCHEMA_VERSION = 3
"""Version of the manifest, the headers and the item rows; raised when an older archbench cannot read them."""

ITEM_COLUMNS = (
    "item",
    "doc",
    "subject",
    "category",
    "prompt_hash",
    "target",
    "choices",
    "loglikelihoods",
    "choice_tokens",
    "choice_chars",
    "prompt_tokens",
    "prediction",
    "margin",
    "excluded",
)
"""Columns of an item row that every task has (docs/architecture.md); a task's metrics come after them."""

_CELL_COLUMNS = {"member", "family", "task", "kind", "variant"}
_FRAME_COLUMNS = {
    "metric",
    "metrics",
    "groups",
    "n",
    "score",
    "stderr",
    "low",
    "high",
    "chance",
    "method",
    "baseline",
}


_Count = Annotated[int, Field(ge=0, lt=2**63)]


class CellId(NamedTuple):
    """Names one cell of a run: member × suite entry × variant."""

    member: str
    task: str
    variant: str

    def __str__(self) -> str:
        return f"{self.member} · {self.task} · {self.variant}"


class CellHeader(BaseModel):
    """What is known about a cell, its items aside.

    Attributes:
        schema_version: Version of this layout.
        member: The member's name.
        family: Name of the family the member belongs to, if any.
        task: Name of the suite's entry.
        kind: The task's kind, such as `mmlu`.
        variant: Name of the variant within the entry, such as `standard-5shot`.
        labels: What the variant stands for, such as `{"format": "standard", "shots": 5}`; columns of every
            frame.
        metric: The primary metric: the column of the item rows that tables show; None where no items are
            scored.
        metrics: All metric columns of the item rows. A metric is a score from 0 to 1, more is better.
        chance: Expected primary score of guessing, if guessing means anything.
        scale: What the primary metric is: `accuracy` or `loss`.
        measures: Numbers that are no scores of items.
        outcome: How the work ended: `finished` or `diverged`.
        key: Digest of everything that could change an answer.
        status: `complete`, or `failed` where the cell could not be run.
        error: Why it failed.
        items: Item rows stored.
        excluded: Items among them that are longer than the member takes and were not evaluated.
        seconds: Wall-clock time of the cell.
        tokens_requested: Tokens that scoring each request on its own would have fed to the model.
        tokens_distinct: Tokens left of them when every prefix that requests share is counted once: the fewest
            that can be fed to the model for the same answers.
        tokens_forwarded: Tokens that were fed to the model, without padding.
        tokens_padded: Padding fed along with them.
        passes: Forward passes that this took.
        requests_known: Requests whose answers were kept from an earlier run that was stopped; their tokens
            and their time are not counted.
        sharing: How prefixes were shared between requests, as the engine's exactness check allowed: `chunk`,
            `steps` or `none`.
        warnings: What makes the scores doubtful, a sentence each.
        started: When the cell was begun, with its time zone.
        finished: When it was done, with its time zone.
        lm_eval: The task's metrics as lm-eval aggregated them.
        rows_sha256: SHA-256 of the parquet file with the item rows; set by the store.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    schema_version: int = SCHEMA_VERSION
    member: str = Field(min_length=1)
    family: str | None = None
    task: str = Field(min_length=1)
    kind: str = Field(min_length=1)
    variant: str = Field(min_length=1)
    labels: dict[str, str | int | float | bool | None] = {}
    metric: str | None = None
    metrics: tuple[str, ...] = ()
    chance: float | None = Field(default=None, ge=0, le=1)
    scale: Scale = "accuracy"
    measures: tuple[Measure, ...] = ()
    outcome: Outcome = "finished"
    key: str
    status: Literal["complete", "failed"] = "complete"
    error: str | None = None
    items: _Count
    excluded: _Count = 0
    seconds: float = Field(ge=0)
    tokens_requested: _Count | None = None
    tokens_distinct: _Count | None = None
    tokens_forwarded: _Count | None = None
    tokens_padded: _Count | None = None
    passes: _Count | None = None
    requests_known: _Count | None = None
    sharing: str | None = None
    warnings: tuple[str, ...] = ()
    started: AwareDatetime
    finished: AwareDatetime
    lm_eval: dict[str, Any] = {}
    rows_sha256: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, content: Any) -> Any:
        # Before version 3 there was one loss, and no word for it.
        if isinstance(content, dict) and content.get("metric") == "compression":
            return {"scale": "loss", **content}
        return content

    @field_validator("lm_eval", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return plain(value)

    @model_validator(mode="after")
    def _consistent(self) -> CellHeader:
        if self.metric is not None and self.metric not in self.metrics:
            raise ValueError(f"metric '{self.metric}' is not among metrics {list(self.metrics)}")
        taken = {*ITEM_COLUMNS, *_CELL_COLUMNS}
        if clash := sorted(
            (set(self.metrics) & taken) | (set(self.labels) & (taken | _FRAME_COLUMNS | {*self.metrics}))
        ):
            raise ValueError(
                f"labels and metrics must not be called {clash}: frames have other columns of these names"
            )
        names = [one.name for one in self.measures]
        if len(set(names)) < len(names):
            raise ValueError(f"a measure is named twice: {names}")
        if wrong := misfit(self.kind, self.labels, self.metric):
            raise ValueError(wrong)
        if (self.status == "failed") != (self.error is not None):
            raise ValueError("a failed cell has an error, a complete one has none")
        return self

    @property
    def id(self) -> CellId:
        """The cell's name."""
        return CellId(self.member, self.task, self.variant)
