"""Perplexity in figures: loss by length of the context and by position in a window."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from archbench.report.findings import Findings
from archbench.report.part import FigurePart
from archbench.report.recall import (
    Curve,
    counted_items,
    is_beyond,
    panels,
    rows_of,
    training_lengths,
)
from archbench.report.words.naming import short_name
from archbench.tasks.perplexity.report.loss import Loss, conditions_of, loss_of, ranges_of, size_of


def context_curve(findings: Findings) -> Figure | None:
    """Loss on the same tokens against the length of the context before them."""
    conditions = [one for one in conditions_of(findings) if size_of(one)[0] == "context"]
    items = counted_items(findings, "perplexity")
    sizes = sorted({size_of(one)[1] for one in conditions})
    if len(sizes) < 2:
        return None
    tasks = list(dict.fromkeys(one.task for one in conditions))

    def curve(task: str, member: str) -> Curve:
        found = []
        for condition in conditions:
            mine = rows_of(items, [condition], member)
            if condition.task == task and len(mine):
                loss = loss_of(mine, findings.settings.confidence)
                # Evenly spaced, since no context has no place on a logarithmic axis.
                at = float(sizes.index(size_of(condition)[1]))
                found.append((at, *_bounds(loss), is_beyond(findings, member, mine)))
        return sorted(found)

    figure = panels(
        findings,
        tasks,
        curve,
        x_label="tokens of context",
        y_label="nats per token",
        ticks=list(range(len(sizes))),
        limits=None,
    )
    for area in figure.axes if figure is not None else ():
        area.set_xticklabels([f"{size:,}" for size in sizes])
    return figure


def position_curve(findings: Findings) -> Figure | None:
    """Loss against the position in the window, a panel for each length of window."""
    conditions = [one for one in conditions_of(findings) if size_of(one)[0] == "window"]
    items, trained = counted_items(findings, "perplexity"), training_lengths(findings)
    names = {short_name(one, findings.conditions): one for one in conditions}

    def curve(name: str, member: str) -> Curve:
        mine = rows_of(items, [names[name]], member)
        found = []
        for low, high in ranges_of(mine):
            here = mine[mine["position"].between(low, high - 1)]
            middle = float((here["position"] + here["tokens"] / 2).mean())
            beyond = member in trained and middle > trained[member]
            found.append((middle, *_bounds(loss_of(here, findings.settings.confidence)), beyond))
        return found

    if not names:
        return None
    longest = max(size_of(one)[1] for one in conditions)
    return panels(
        findings,
        list(names),
        curve,
        x_label="position, tokens",
        y_label="nats per token",
        ticks=[2**power for power in range(4, longest.bit_length())],
        logarithmic=True,
        limits=None,
    )


def _bounds(loss: Loss) -> tuple[float, float, float]:
    known = not math.isnan(loss.low)
    return (loss.nats, loss.low, loss.high) if known else (loss.nats, loss.nats, loss.nats)


PARTS = (
    FigurePart("perplexity_contexts", context_curve, "Loss on the same tokens after longer contexts.", 60),
    FigurePart("perplexity_positions", position_curve, "Loss by position in the window.", 61),
)
