"""Loss against tokens, one line per training run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, ScalarFormatter

from archbench.report.style import drawing, drawn, style_of

Points = Sequence[tuple[int, float]]


class Curve(NamedTuple):
    """One training run.

    Attributes:
        member: The member it is of; members have a colour each, in their order of appearance.
        training: (tokens, loss in nats per token).
        validation: (tokens, loss in nats per token).
        chosen: Whether it became the member; other runs are drawn faintly.
        diverged: Whether it broke off; its last point is marked.
    """

    member: str
    training: Points
    validation: Points
    chosen: bool
    diverged: bool


def loss_curves(curves: Sequence[Curve]) -> Figure | None:
    """Training loss (left) and validation loss (right) against tokens, both axes logarithmic.

    Args:
        curves: The runs.

    Returns:
        The figure; None where no run got as far as its first point.
    """
    if not any(curve.training for curve in curves):
        return None
    members = list(dict.fromkeys(curve.member for curve in curves))
    with drawing(8.4, 3.6) as figure:
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        for curve in curves:
            style = style_of(members.index(curve.member))
            look = {
                "color": style.colour,
                "linestyle": style.line,
                "linewidth": 1.4 if curve.chosen else 0.8,
                "alpha": 1.0 if curve.chosen else 0.35,
                "label": drawn(curve.member, 36, 2) if curve.chosen else "_other runs",
            }
            for area, points in ((left, curve.training), (right, curve.validation)):
                tokens, losses = [one for one, _ in points], [loss for _, loss in points]
                marker = style.marker if area is right else None
                area.plot(tokens, losses, marker=marker, markersize=3.5, **look)
            if curve.diverged and curve.training:
                left.plot(*curve.training[-1], marker="x", color=style.colour, markersize=7)
        for area, title in ((left, "training"), (right, "validation")):
            area.set_xscale("log")
            area.set_yscale("log")
            area.xaxis.set_major_formatter(EngFormatter(sep=" "))
            area.xaxis.set_minor_formatter(NullFormatter())
            area.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
            area.yaxis.set_major_formatter(ScalarFormatter())
            area.yaxis.set_minor_formatter(NullFormatter())
            area.set_title(title)
            area.set_xlabel("tokens")
            area.grid(which="both", color="#E6E6E6", linewidth=0.6)
            area.set_axisbelow(True)
        left.set_ylabel("loss, nats per token")
        handles, labels = left.get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    return figure
