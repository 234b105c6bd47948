"""How figures look, and how they become files whose bytes depend on nothing but the data."""

from __future__ import annotations

import io
import logging
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from archbench.errors import RequestError, did_you_mean
from archbench.paths import expanded
from archbench.report.escape import one_line

# Okabe & Ito (2008), Color Universal Design: told apart with any common colour blindness; yellow, which is
# faint on white, comes last.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_LINES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (6, 2, 1.5, 2)), (0, (1.5, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
GREY = "#6E6E6E"
_SETTINGS = {
    "font.family": "DejaVu Sans",  # comes with Matplotlib, so that figures are the same everywhere
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.hashsalt": "archbench",
    "text.parse_math": False,
}

_chosen: ContextVar[dict[str, Any]] = ContextVar("figure style", default={})  # noqa: B039 - never changed


class Style(NamedTuple):
    """A member's look: colour, marker and line each tell it from its neighbours, also in grey."""

    colour: str
    marker: str
    line: Any


def style_of(index: int) -> Style:
    """The look of the member at this place of the suite; the same in every figure."""
    cycle = _chosen.get().get("axes.prop_cycle")
    colours = cycle.by_key().get("color") if cycle is not None else None
    colours = colours or _COLOURS
    return Style(colours[index % len(colours)], _MARKERS[index % len(_MARKERS)], _LINES[index % len(_LINES)])


@contextmanager
def using(style: str | None) -> Iterator[None]:
    """Draw with a Matplotlib style laid over the report's own, for as long as the context is open.

    Args:
        style: A style file (`*.mplstyle`), or the name of a style that Matplotlib brings; None for none.

    Raises:
        RequestError: There is no such file or style, or the file has an unknown key or value.
    """
    token = _chosen.set({} if style is None else _read(style))
    try:
        yield
    finally:
        _chosen.reset(token)


def _read(style: str) -> dict[str, Any]:
    """Settings of a style."""
    path = expanded(style)
    if not path.is_file():
        if style in mpl.style.library:
            return dict(mpl.style.library[style])
        hint = did_you_mean(style, mpl.style.library, label="Styles that Matplotlib brings")
        raise RequestError(f"figure_style: there is no file {path} and no style '{style}'. {hint}")
    try:
        # Matplotlib logs what it cannot read and goes on; here it is an error.
        with _refusing(path):
            return dict(mpl.rc_params_from_file(path, fail_on_error=True, use_default_template=False))
    except (KeyError, ValueError, OSError) as error:
        why = " ".join(str(error).split())
        raise RequestError(f"figure_style: {path} cannot be used: {why}") from error


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Make an error of what Matplotlib warns about while it reads a style file."""
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    logger, ear = logging.getLogger("matplotlib"), Ear(logging.WARNING)
    logger.addHandler(ear)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.removeHandler(ear)
        logger.propagate = propagate
    if heard:
        raise ValueError(heard[0])


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """A figure of this size in inches, drawn in the report's style and without touching pyplot's state."""
    with mpl.rc_context(_SETTINGS | _chosen.get()):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def rendered(figure: Figure, formats: Sequence[str]) -> dict[str, bytes]:
    """The figure in each format, without dates, the same bytes every time."""
    files = {}
    with mpl.rc_context(_SETTINGS | _chosen.get()):
        for name in formats:
            sink = io.BytesIO()
            dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(name)
            figure.savefig(sink, format=name, dpi=200, metadata=dates, bbox_inches="tight", pad_inches=0.08)
            files[name] = sink.getvalue()
    return files


def drawn_line(text: str, width: int) -> str:
    """Text fit for one line of a figure; a longer one loses its middle, since names differ at their ends."""
    whole = drawn(text, len(text) + 1, 1)
    if len(whole) <= width:
        return whole
    return f"{whole[: width // 2]}…{whole[-((width - 1) // 2) :]}"


def drawn(text: str, width: int = 24, lines: int = 3) -> str:
    """Text fit for a figure: wrapped, at most some lines long, and of letters that the font has.

    Args:
        text: Any text.
        width: Letters per line.
        lines: Lines after which the text ends in an ellipsis.
    """
    has = get_font(findfont("DejaVu Sans")).get_charmap()
    known = "".join(one if ord(one) in has else "?" for one in one_line(text))
    # Names hang together with slashes and underscores: a break is allowed behind each of them.
    parted = re.sub(r"(?<=[/_])(?=.)", "\v", known)
    wrapped = textwrap.wrap(parted, width, max_lines=lines, placeholder=" …", replace_whitespace=False)
    return "\n".join(wrapped).replace("\v", "") or "?"
