"""Figures: the axes of the radar, runs at the edges, and text that fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from archbench.errors import RequestError
from archbench.report.findings import Findings
from archbench.report.parts.differences import forest as differences
from archbench.report.parts.radar import axes_of, radar
from archbench.report.settings import ReportSettings
from archbench.report.style import drawing, drawn, drawn_line, rendered, style_of, using
from archbench.results.store import Store
from archbench.tasks.mmlu.report.charts import mmlu_formats
from tests.results.synthetic import header, make_run, rows, share

SHOTS = {f"standard-{shots}shot": {"format": "standard", "shots": shots} for shots in range(13)}


def findings(folder: Path, members: int = 2, *, conditions: int = 1, **options: Any) -> Findings:
    chosen = dict(list(SHOTS.items())[:conditions])
    made = {f"member {at}": share(0.3 + 0.05 * at) for at in range(members)}
    return Findings(make_run(folder, made, conditions=chosen, **{"n": 48, **options}), ReportSettings())


@pytest.mark.parametrize(
    ("conditions", "subjects", "count", "first"),
    [
        (6, {"a": "x", "b": "y"}, 6, "standard 0-shot"),
        (12, {"a": "x", "b": "y"}, 12, "standard 0-shot"),
        (1, {"a": "x", "b": "y", "c": "z"}, 3, "x"),
        (2, {"a": "x", "b": "y"}, 4, "standard 0-shot x"),
        (1, {"a": None, "b": None, "c": None, "d": None}, 4, "a"),
        (1, {f"s{n}": "x" if n % 2 else "y" for n in range(12)}, 12, "s0"),
        (1, {"a": "x", "b": "y"}, 0, None),
        (13, {"a": "x", "b": "y"}, 0, None),
    ],
)
def test_the_radar_takes_the_first_choice_of_3_to_12_axes(
    tmp_path: Path, conditions: int, subjects: dict[str, str | None], count: int, first: str | None
) -> None:
    axes = axes_of(findings(tmp_path, conditions=conditions, subjects=subjects))
    assert len(axes) == count
    assert (axes[0].label if axes else None) == first
    assert (radar(findings(tmp_path, conditions=conditions, subjects=subjects)) is None) == (count == 0)


def test_many_conditions_are_averaged_by_task(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_manifest({})
    for task in ("x", "y", "z"):
        for shots in range(5):
            head = header("a", task, f"{shots}", kind="lm_eval", labels={"name": "q", "shots": shots})
            store.write_cell(head, rows([1, 0, 1, shots % 2]))
    made = Findings(make_results(tmp_path), ReportSettings())
    axes = axes_of(made)
    assert [axis.label for axis in axes] == ["x", "y", "z"]
    score, low, _ = axes[0].scores["a"] or (0, 0, 0)
    assert score == pytest.approx((3 * 0.5 + 2 * 0.75) / 5)
    assert low != low
    assert radar(made) is not None


def test_a_radar_of_nothing_but_zeros_has_a_ring(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_manifest({})
    for task in ("x", "y", "z"):
        for shots in range(5):
            labels = {"format": "standard", "shots": shots}
            store.write_cell(header("a", task, f"{shots}", labels=labels, chance=None), rows([0.0] * 4))
    figure = radar(Findings(make_results(tmp_path), ReportSettings()))
    assert figure is not None
    assert "2 %" in [text.get_text() for text in figure.axes[0].texts]


def make_results(folder: Path) -> Any:
    from archbench.results.frames import load_results

    return load_results(folder)


@pytest.mark.parametrize("members", [1, 2, 5, 11])
def test_all_figures_draw_for_any_number_of_members(tmp_path: Path, members: int) -> None:
    made = findings(tmp_path, members, conditions=4)
    for draw in (radar, mmlu_formats, differences):
        figure = draw(made)
        assert (figure is None) == (members == 1 and draw is differences)
        if figure is not None:
            image = rendered(figure, ["png"])["png"]
            assert image.startswith(b"\x89PNG")


def test_many_differences_stay_on_a_page_and_apart(tmp_path: Path) -> None:
    figure = differences(findings(tmp_path, 5, conditions=13))
    assert figure is not None
    width, height = figure.get_size_inches()
    assert height < 9
    assert width < 15
    named = [label.get_text() for area in figure.axes for label in area.get_yticklabels()]
    assert named == [f"standard {shots}-shot" for shots in range(13)]
    heights = [
        line.get_ydata()[0]  # type: ignore[index]
        for line in figure.axes[0].lines
        if len(line.get_xdata()) == 2 and line.get_ydata()[0] == line.get_ydata()[1]  # type: ignore[arg-type,index]
    ]
    intervals = [at for at in heights if at % 1 != 0.5]
    assert len(intervals) == len(set(intervals)) == 4 * 7, "no two intervals on one line"


def test_labels_of_the_radar_do_not_overlap(tmp_path: Path) -> None:
    subjects = {f"a rather long subject name {n}": f"quite a long category name {n}" for n in range(12)}
    figure = radar(findings(tmp_path, 3, subjects=subjects, n=120))
    assert figure is not None
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text().startswith("quite")]
    boxes += [figure.legends[0].get_window_extent()]
    assert len(boxes) == 13
    for at, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[:at])


@pytest.mark.parametrize("chance", [0.12, 0.2, 0.22, 0.25, 0.28])
def test_guessing_does_not_cross_the_numbers_of_the_rings(tmp_path: Path, chance: float) -> None:
    store = Store(tmp_path)
    store.write_manifest({})
    for shots in range(4):
        right = [1.0] * (30 + shots) + [0.0] * (30 - shots)
        labels = {"format": "standard", "shots": shots}
        head = header("a", "mmlu", f"standard-{shots}shot", labels=labels, items=60, chance=chance)
        store.write_cell(head, rows(right))
    figure = radar(Findings(make_results(tmp_path), ReportSettings()))
    assert figure is not None
    figure.draw_without_rendering()
    (area,) = figure.axes
    numbers = [text for text in area.texts if text.get_text().endswith(" %")]
    top = float(numbers[-1].get_text()[:-2])
    line = area.transData.transform((0, 100 * chance / top))[1]
    assert len(numbers) >= 3
    for one in numbers:
        box = one.get_window_extent()
        assert not box.y0 + 1 < line < box.y1 - 1, one.get_text()


def test_a_missing_cell_breaks_the_line_only(tmp_path: Path) -> None:
    findings(tmp_path, 3, conditions=4)
    next((tmp_path / "cells").rglob("standard-2shot.json"), None)
    next(path for path in tmp_path.rglob("*standard-2shot.json")).unlink()
    made = Findings(make_results(tmp_path), ReportSettings())
    for draw in (radar, mmlu_formats, differences):
        figure = draw(made)
        assert figure is not None
        rendered(figure, ["png"])


def test_text_is_wrapped_cut_and_drawable() -> None:
    assert drawn("state-spaces/mamba-2.8b", 14) == "state-spaces/\nmamba-2.8b"
    assert drawn("high_school_computer_science", 18) == "high_school_\ncomputer_science"
    assert drawn("中文 $x$") == "?? $x$"
    assert drawn("\n\u202e") == "?"
    assert len(drawn("word " * 50, 10, 2).splitlines()) == 2
    assert drawn_line("nvidia/nemotron-h-8b-base-8k", 15) == "nvidia/…base-8k"
    assert drawn_line("short", 15) == "short"


def test_members_are_told_apart_without_colour_too() -> None:
    styles = [style_of(at) for at in range(24)]
    assert len({(one.marker, str(one.line)) for one in styles}) == 24
    assert len(set(styles[:8])) == 8


def test_a_users_style_is_laid_over_the_reports_own(tmp_path: Path) -> None:
    style = tmp_path / "mine.mplstyle"
    style.write_text("axes.prop_cycle: cycler('color', ['123456'])\nfont.size: 14\n", encoding="utf-8")
    plain = style_of(0)
    with using(str(style)):
        assert style_of(0).colour == "#123456" or style_of(0).colour == "123456"
        with drawing(2, 2) as figure:
            figure.subplots().set_xlabel("x")
        large = figure.axes[0].xaxis.label.get_fontsize()
    assert style_of(0) == plain
    with drawing(2, 2) as figure:
        figure.subplots().set_xlabel("x")
    assert figure.axes[0].xaxis.label.get_fontsize() <= large
    with using("ggplot"):
        assert style_of(0) != plain


@pytest.mark.parametrize(
    ("text", "told"),
    [("lines.widht: 2\n", "widht"), ("font.size: tall\n", "tall")],
)
def test_a_style_file_that_is_wrong_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "bad.mplstyle").write_text(text, encoding="utf-8")
    with (
        pytest.raises(RequestError, match=rf"bad.mplstyle cannot be used: .*{told}"),
        using(f"{tmp_path}/bad.mplstyle"),
    ):
        pass


def test_a_style_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(RequestError, match=r"no style 'gplot'.*Did you mean 'ggplot'"), using("gplot"):
        pass
