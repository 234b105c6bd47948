"""The records of a family's runs: a table, a file with one line a run, and a figure of their losses.

out/<family>/runs.csv              every run of every member trained
out/<family>/curves.{png,svg}      training and validation loss against tokens
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from archbench.report.style import rendered
from archbench.training.curves import Curve, Points, loss_curves
from archbench.training.recipe import Recipe
from archbench.training.result import TrainResult, read_result
from archbench.training.sweep import spreads

_COLUMNS = (
    "member",
    "folder",
    "learning_rate",
    "seed",
    "outcome",
    "chosen",
    "training_loss",
    "validation_loss",
    "tokens",
    "seconds",
    "tokens_per_second",
)


def write_records(folder: Path, results: Sequence[TrainResult], recipe: Recipe) -> None:
    """Write `runs.csv` and the figure.

    Args:
        folder: Where to, next to the members' folders.
        results: The members' records; each run's own record is read from its folder.
        recipe: The family's recipe.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs = [(member, run) for member in results for run in _runs(member)]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for member, run in runs:
        settings = run.recipe_fields or recipe.model_dump(mode="json")
        writer.writerow(
            {
                "member": member.member,
                "folder": _below(folder, Path(run.folder)),
                "learning_rate": settings["learning_rate"],
                "seed": settings["seed"],
                "outcome": run.outcome,
                "chosen": int(_is_chosen(member, run)),
                "training_loss": run.training_loss,
                "validation_loss": run.validation_loss,
                "tokens": run.tokens,
                "seconds": run.seconds,
                "tokens_per_second": run.tokens_per_second,
            }
        )
    _write(folder / "runs.csv", text.getvalue().encode())
    curves = []
    for member, run in runs:
        per_step = run.tokens / max(1, run.steps)
        curves.append(
            Curve(
                member.member,
                _by_tokens(run.curve, per_step),
                _by_tokens(run.validation_curve, per_step),
                _is_chosen(member, run),
                run.outcome == "diverged",
            )
        )
    figure = loss_curves(curves)
    if figure is not None:
        for name, content in rendered(figure, ("png", "svg")).items():
            _write(folder / f"curves.{name}", content)


def table(results: Sequence[TrainResult]) -> str:
    """Validation loss of each member at each learning rate over the seeds, as text.

    Args:
        results: Records of members whose recipe sweeps or has several seeds.

    Returns:
        One line for each member and rate; the rate that was kept is starred.
    """
    rows = [("", "member", "learning rate", "validation loss", "lowest", "highest", "runs", "diverged")]
    for result in results:
        kept = next((run.learning_rate for run in result.runs if run.folder == result.chosen), None)
        for one in spreads(result.runs):
            deviation = "" if one.deviation is None else f" ± {one.deviation:.4f}"
            rows.append(
                (
                    "*" if one.learning_rate == kept else "",
                    result.member,
                    f"{one.learning_rate:g}",
                    "" if one.mean is None else f"{one.mean:.4f}{deviation}",
                    f"{min(one.losses):.4f}" if one.losses else "",
                    f"{max(one.losses):.4f}" if one.losses else "",
                    str(len(one.losses) + one.diverged),
                    str(one.diverged),
                )
            )
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    note = "* kept: lowest mean validation loss (nats per token, mean ± standard deviation over seeds)"
    return "\n".join([*lines, note])


def _runs(member: TrainResult) -> list[TrainResult]:
    """The records of a member's runs; its own where it was trained once."""
    if not member.runs:
        return [member]
    found = []
    for run in member.runs:
        found.append(read_result(Path(member.folder) / run.folder))
    return found


def _is_chosen(member: TrainResult, run: TrainResult) -> bool:
    if not member.runs:
        return True
    return member.chosen is not None and Path(run.folder) == Path(member.folder) / member.chosen


def _by_tokens(points: Points, per_step: float) -> Points:
    return [(round(step * per_step), loss) for step, loss in points]


def _below(folder: Path, path: Path) -> str:
    """A path relative to the folder, where it lies below it."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)
