"""What is shown while a suite runs: one bar per cell on a terminal, one line per finished cell anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from archbench.errors import amount
from archbench.results.header import CellHeader

Tokens = Callable[[], tuple[int, int]]
"""Tokens requested and tokens forwarded."""


def _no_tokens() -> tuple[int, int]:
    return 0, 0


class Display:
    """Shows cells as they run, on stderr so that stdout stays free for results.

    `answered` is handed to the engine, which calls it with (requests done, requests in all). Speed counts the
    tokens that requests would take each on its own; what sharing prefixes saves of them stands beside it.

    Attributes:
        quiet: Whether nothing is shown.
    """

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        """Show `total` cells; nothing at all where `quiet`."""
        self.quiet = quiet
        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        self._total = total
        self._number = 0
        self._tokens: Tokens = _no_tokens
        self._began = time.monotonic()
        self._task: TaskID | None = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """One line for the reader; markup in it is shown, not obeyed."""
        self._console.print(escape(text), soft_wrap=True)

    def begin(self, name: str, tokens: Tokens = _no_tokens) -> None:
        """A cell begins; `tokens` tells how many tokens were requested and forwarded for it so far."""
        self._number += 1
        self._tokens, self._began = tokens, time.monotonic()
        if self._task is not None:
            self._progress.remove_task(self._task)
        label = escape(f"[{self._number}/{self._total}] {name}")
        self._task = self._progress.add_task(label, total=None, speed="")

    def answered(self, done: int, total: int) -> None:
        """The engine has answered `done` of `total` requests of the cell."""
        if self._task is not None:
            seconds = max(time.monotonic() - self._began, 1e-3)
            speed = _speed(*self._tokens(), seconds)
            self._progress.update(self._task, completed=done, total=total, speed=speed)

    def finished(self, header: CellHeader, score: float | None) -> None:
        """A cell has been written."""
        if header.status == "failed":
            self.say(f"[{self._number}/{self._total}] {header.id}: failed: {header.error}")
            return
        speed = _speed(header.tokens_requested or 0, header.tokens_forwarded or 0, header.seconds)
        if speed.endswith("shared") and header.sharing == "none":
            speed += " (no prefix held)"
        speed = f", {speed}" if speed else ""
        shown = "" if score is None else f"{header.metric} {score:.3f}, "
        asked, out = header.items - header.excluded, header.excluded
        items = amount(header.items, "item")
        if out:
            items = f"{asked} of {items} ({out} too long)"
        known = amount(header.requests_known or 0, "answer")
        known = f", {known} kept from before" if header.requests_known else ""
        self.say(
            f"[{self._number}/{self._total}] {header.id}: {shown}{items}, "
            f"{header.seconds:.1f} s{speed}{known}"
        )
        for warning in header.warnings:
            self.say(f"WARNING: {header.id}: {warning}")


def _speed(requested: int, forwarded: int, seconds: float) -> str:
    """Tokens per second, and how many of them were not forwarded; nothing where there are none."""
    if not requested or seconds <= 0:
        return ""
    saved = 1 - forwarded / requested if forwarded else 0.0
    return f"{requested / seconds:,.0f} tokens/s" + (f", {saved:.0%} shared" if saved >= 0.005 else "")
