"""What is shown while a suite runs."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import pytest
from rich.console import Console

from archbench.runner import progress
from archbench.runner.progress import Display
from tests.results.synthetic import header

COST = {"tokens_requested": 9000, "tokens_forwarded": 900, "seconds": 3.0, "items": 4}


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Where a display writes, taken for a terminal."""
    written = io.StringIO()
    made: Any = partial(Console, file=written, force_terminal=True, width=160)
    monkeypatch.setattr(progress, "Console", lambda stderr, **more: made(**more))
    return written


def test_a_bar_tells_speed_saving_and_time_left(screen: io.StringIO) -> None:
    counted = (0, 0)
    with Display(2) as display:
        display.begin("a · mmlu · cloze", lambda: counted)
        display.answered(0, 100)
        counted = (50_000, 5_000)
        display.answered(50, 100)
        (task,) = display._progress.tasks
        assert (task.completed, task.total) == (50, 100)
        assert task.fields["speed"].endswith("tokens/s, 90% shared")
        assert task.time_remaining is not None or task.speed is None
        display.finished(header(**COST), 0.5)
    assert "[1/2] a · mmlu · cloze" in screen.getvalue()


def test_a_log_file_gets_one_plain_line_per_cell(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(2) as display:
        for name in ("a", "b"):
            display.begin(f"{name} · mmlu · cloze")
            for done in range(0, 101, 10):
                display.answered(done, 100)
            display.finished(header(name, **COST), 0.5)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"[{number}/2] {name} · mmlu · standard-5shot: acc 0.500, 4 items, 3.0 s, 3,000 tokens/s, 90% shared"
        for number, name in ((1, "a"), (2, "b"))
    ]
    assert "\x1b" not in err


def test_what_was_left_out_and_what_was_known_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(1) as display:
        display.begin("a · mmlu · cloze")
        display.finished(header(**COST | {"items": 4}, excluded=1, requests_known=7), 0.5)
    line = capsys.readouterr().err
    assert "3 of 4 items (1 too long)" in line
    assert line.rstrip().endswith("7 answers kept from before")


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(1, quiet=True) as display:
        display.begin("a")
        display.answered(1, 1)
        display.finished(header(**COST), None)
    assert capsys.readouterr() == ("", "")
