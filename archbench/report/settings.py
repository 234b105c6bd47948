"""What a user may set about a report; light, since the suite's schema holds it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ReportSettings(BaseModel):
    """Settings of a report.

    Attributes:
        baseline: The member that the others are compared with; the suite's first if None.
        confidence: Coverage of the intervals. Its complement is the level of the tests.
        figure_formats: File formats of the figures.
        published: Published models (`PAPER/MODEL`, as in `waleffe2024/hybrid-3.5T`) that members are or stand
            for, by member; members of a shipped family that a paper reports on need no entry.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    baseline: str | None = None
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    figure_formats: tuple[Literal["png", "svg", "pdf"], ...] = Field(default=("png", "svg"), min_length=1)
    published: dict[str, str] = Field(default_factory=dict)
