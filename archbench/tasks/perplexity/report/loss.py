"""Mean loss of tokens with its interval, and which conditions and positions it is of."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from archbench.report.findings import Findings
from archbench.results.comparisons import scores_of
from archbench.results.conditions import Condition
from archbench.statistics.estimates import weighted_mean


class Loss(NamedTuple):
    """Mean loss of tokens, with its interval; NaN where there is none.

    Attributes:
        tokens: Tokens scored.
        nats: Nats per token.
        low: Lower end of the interval, nats per token.
        high: Upper end.
        bits: Bits per byte of UTF-8.
    """

    tokens: int
    nats: float
    low: float
    high: float
    bits: float


def loss_of(rows: pd.DataFrame, confidence: float = 0.95) -> Loss:
    """Loss over items: all their nats over all their tokens.

    The interval is over windows, whose items are not independent of each other; windows are taken as
    independent.

    Args:
        rows: Item rows with `loglikelihoods`, `tokens`, `bytes` and `passage`.
        confidence: Coverage aimed at.
    """
    rows = rows[rows["loglikelihoods"].notna()] if len(rows) else rows
    if rows.empty:
        return Loss(0, math.nan, math.nan, math.nan, math.nan)
    nats = -np.array([float(values[0]) for values in rows["loglikelihoods"]])
    frame = pd.DataFrame({"passage": rows["passage"].to_numpy(), "nats": nats})
    frame["tokens"] = rows["tokens"].to_numpy(dtype=np.float64)
    sums = frame.groupby("passage", sort=True)[["nats", "tokens"]].sum()
    tokens = scores_of(sums["tokens"])
    found = weighted_mean(scores_of(sums["nats"]) / tokens, tokens, confidence)
    bits = float(nats.sum()) / math.log(2) / float(rows["bytes"].to_numpy(dtype=np.float64).sum())
    return Loss(int(tokens.sum()), found.score, found.low, found.high, bits)


def ranges_of(rows: pd.DataFrame) -> list[tuple[int, int]]:
    """Ranges of positions: the first piece alone, then each twice as far as the last, up to the end."""
    if rows.empty:
        return []
    first = max(1, round(float(rows["tokens"].median())))
    end = int((rows["position"] + rows["tokens"]).max())
    found = [(0, max(1, first // 2))]
    while found[-1][1] < end:
        low = found[-1][1]
        found.append((low, max(2 * low, low + first)))
    starts = rows["position"]
    return [(low, high) for low, high in found if starts.between(low, high - 1).any()]


def conditions_of(findings: Findings) -> list[Condition]:
    """The run's perplexity conditions."""
    return [one for one in findings.conditions if one.kind == "perplexity"]


def size_of(condition: Condition) -> tuple[str, int]:
    """What a condition's length is of (`context` or `window`), and the length in tokens."""
    labels = dict(condition.labels)
    sizes = ((name, int(labels[name])) for name in ("context", "window") if labels.get(name) is not None)
    return next(sizes, ("", 0))
