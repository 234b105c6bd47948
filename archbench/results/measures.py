"""Measures: numbers of a cell that are no scores of items, such as tokens per second or a final loss."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Scale = Literal["accuracy", "loss"]
"""What a metric is: a share of right answers, or how well text is predicted."""

Outcome = Literal["finished", "diverged"]
"""How a cell's work ended: `diverged` where its numbers stopped being finite, which is a result."""


class Measure(BaseModel):
    """One number that was measured.

    Attributes:
        name: What was measured; unique in its cell.
        value: The number.
        unit: Its unit, such as `tokens/s`; empty for a bare number.
        low: Lower end of its interval, where there is one.
        high: Upper end.
        n: How many measurements stand behind it.
        better: Whether `higher` or `lower` is better; None where neither is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1)
    value: float
    unit: str = ""
    low: float | None = None
    high: float | None = None
    n: int = Field(default=1, ge=1)
    better: Literal["higher", "lower"] | None = None
