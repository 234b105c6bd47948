"""What a user may set about a report; light, since the suite's schema holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class ReportSettings(BaseModel):
    """Settings of a report.

    Attributes:
        baseline: The member that the others are compared with; the suite's first if None.
        confidence: Coverage of the intervals. Its complement is the level of the tests.
        figure_formats: File formats of the figures.
        figure_style: A Matplotlib style for the figures, laid over the report's own: a style file
            (`*.mplstyle`) or the name of a style that Matplotlib brings.
        published: Published models (`PAPER/MODEL`, as in `waleffe2024/hybrid-3.5T`) that members are or stand
            for, by member; members of a shipped family that a paper reports on need no entry.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    baseline: str | None = None
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    figure_formats: tuple[Literal["png", "svg", "pdf"], ...] = Field(default=("png", "svg"), min_length=1)
    figure_style: str | None = Field(default=None, min_length=1)
    published: dict[str, str] = Field(default_factory=dict)


def recorded_settings(
    manifest: Mapping[str, Any], members: Sequence[str]
) -> tuple[ReportSettings, list[str]]:
    """The report's settings that a run's manifest records, and what is wrong with them.

    Args:
        manifest: The run's manifest.
        members: Names of the run's members.

    Returns:
        The settings, those that cannot be used left at their defaults, and a sentence for each of these.
    """
    recorded = manifest.get("suite", {}).get("report", {})
    wrong: dict[str, str] = {}
    if not isinstance(recorded, Mapping):
        recorded, wrong["report"] = {}, "is no mapping of keys to values"
    try:
        settings = ReportSettings.model_validate(recorded)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        wrong |= {str(detail["loc"][0]): detail["msg"] for detail in details}
        settings = ReportSettings.model_validate({k: v for k, v in recorded.items() if str(k) not in wrong})
    if settings.baseline not in (None, *members):
        wrong["baseline"] = f"is '{settings.baseline}', of which no cell and no member is known"
        settings = settings.model_copy(update={"baseline": None})
    if strange := sorted(settings.published.keys() - set(members)):
        wrong["published"] = f"names '{strange[0]}', of which no cell and no member is known"
        known = {name: model for name, model in settings.published.items() if name in members}
        settings = settings.model_copy(update={"published": known})
    return settings, [
        f"manifest.json: the report's setting '{key}' is not used: {what}." for key, what in wrong.items()
    ]
