"""Predicted decoding: how much faster one model is than another, at every context."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from archbench.efficiency.roofline import H100, Hardware, decoding_step
from archbench.efficiency.sizes import Sizes
from archbench.report.style import GREY, drawing, drawn, style_of
from archbench.report.table import Column, Table

_POINTS_PER_DOUBLING = 8


@dataclass(frozen=True)
class Decoding:
    """What the roofline says of several models.

    Attributes:
        sizes: The models by name, the baseline among them.
        baseline: The model that the others are compared with.
        batch: Sequences decoded at once.
        hardware: The device.
        dtype: Of weights, cache and states.
    """

    sizes: Mapping[str, Sizes]
    baseline: str
    batch: int = 32
    hardware: Hardware = H100
    dtype: str = "bfloat16"

    def seconds(self, member: str, context: int) -> float:
        """Time of one decoding step with so many tokens in every sequence.

        Raises:
            RequestError: A part of the model is unknown, so that its cost is.
        """
        step = decoding_step(
            self.sizes[member], context, batch=self.batch, hardware=self.hardware, dtype=self.dtype
        )
        return step.seconds

    def speedup(self, member: str, context: int) -> float:
        """How many times faster than the baseline."""
        return self.seconds(self.baseline, context) / self.seconds(member, context)

    @property
    def assumptions(self) -> str:
        """What the prediction takes for granted, in a sentence."""
        return (
            f"Predicted, not measured: bytes over {self.hardware.bandwidth / 1e12:g} TB/s or operations "
            f"over {self.hardware.peak / 1e12:g} TFLOPS, whichever takes longer ({self.hardware.name}); "
            f"{self.batch} sequences, {self.dtype}; launches, activations, communication and the size of the "
            "memory left out."
        )


def decoding_table(decoding: Decoding, contexts: Sequence[int]) -> Table:
    """Milliseconds of a step and the speed-up, contexts down, models across.

    Args:
        decoding: The models.
        contexts: Tokens that each sequence has so far.

    Raises:
        RequestError: As `Decoding.seconds`.
    """
    others = [name for name in decoding.sizes if name != decoding.baseline]
    rows = [
        [
            f"{context:,}",
            *(_milliseconds(decoding.seconds(name, context)) for name in decoding.sizes),
            *(f"{decoding.speedup(name, context):.2f}" for name in others),
        ]
        for context in contexts
    ]
    columns = [
        Column("context"),
        *(Column(name, group="ms a step") for name in decoding.sizes),
        *(Column(name, group=f"times {decoding.baseline}") for name in others),
    ]
    return Table("Decoding", decoding.assumptions, columns, rows, stamp="")


def decoding_figure(decoding: Decoding, contexts: Sequence[int], titles: Mapping[str, str]) -> Figure:
    """The speed-up over the context, both axes logarithmic, one line a model.

    Args:
        decoding: The models.
        contexts: Where points are drawn, ascending; the lines go from the first to the last.
        titles: What the models are called in the figure.

    Raises:
        RequestError: As `Decoding.seconds`.
    """
    line = sorted({*contexts, *_between(contexts)})
    with drawing(6.4, 4.2) as figure:
        area = figure.subplots()
        area.axhline(1, color=GREY, linewidth=0.8)
        for index, name in enumerate(decoding.sizes):
            if name == decoding.baseline:
                continue
            style = style_of(index)
            area.plot(
                line,
                [decoding.speedup(name, context) for context in line],
                color=style.colour,
                linestyle=style.line,
                linewidth=1.4,
                marker=style.marker,
                markersize=4.5,
                markevery=[line.index(context) for context in contexts],
                label=drawn(titles[name], 36, 2),
            )
        area.set_xscale("log", base=2)
        area.set_yscale("log", base=2)
        area.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tokens(round(value))))
        area.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
        # Never less than the ticks of half and double: models that differ little do so in the figure too.
        low, high = area.get_ylim()
        area.set_ylim(min(low, 0.45), max(high, 2.2))
        for axis in (area.xaxis, area.yaxis):
            axis.set_minor_locator(NullLocator())
        area.set_xlabel("tokens in each sequence")
        area.set_ylabel(f"predicted decoding speed,\ntimes {drawn(titles[decoding.baseline], 30, 2)}")
        area.grid(color="#E6E6E6", linewidth=0.6)
        area.set_axisbelow(True)
        area.legend(loc="upper left")
        figure.supxlabel(drawn(decoding.assumptions, 104, 4), fontsize=7, color=GREY)
    return figure


def tokens(number: int) -> str:
    """A context in words as the field writes it: 16K is 16,384."""
    for unit, size in (("M", 2**20), ("K", 2**10)):
        if number >= size and number % (size // 4) == 0:
            return f"{number / size:g}{unit}"
    return f"{number:,}"


def _milliseconds(seconds: float) -> str:
    value = 1000 * seconds
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _between(contexts: Sequence[int]) -> list[int]:
    """Contexts in equal ratios between the ones named, so that lines bend where the prediction does."""
    found = []
    for low, high in itertools.pairwise(contexts):
        steps = max(1, math.ceil(_POINTS_PER_DOUBLING * math.log2(high / low)))
        found += [round(low * (high / low) ** (at / steps)) for at in range(1, steps)]
    return found
