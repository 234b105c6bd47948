"""The report as files: tables, figures, and the page that ties them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from archbench.errors import RequestError
from archbench.report import (
    answer_forms,
    breakdowns,
    charts,
    perplexity,
    phonebook,
    phonebook_charts,
    prompts,
    published,
    ruler,
    tables,
)
from archbench.report.captions import margins_note
from archbench.report.escape import markdown, markdown_code
from archbench.report.findings import Findings
from archbench.report.radar import FEWEST, MOST, radar
from archbench.report.settings import ReportSettings
from archbench.report.style import rendered
from archbench.report.table import Sheet
from archbench.report.words import missing, sentences
from archbench.report.work import sharing_lines, sharing_warnings
from archbench.results.files import write_atomic
from archbench.results.frames import RunResults

SHEETS: Mapping[str, Callable[[Findings], Sheet | None]] = {
    "accuracy": tables.accuracy,
    "mmlu_formats": tables.mmlu_formats,
    "phonebook": phonebook.scores,
    "phonebook_answers": phonebook.answers,
    "ruler": ruler.averages,
    "ruler_tasks": ruler.by_task,
    "answer_forms": answer_forms.table,
    "prompts": prompts.spread,
    "perplexity": perplexity.table,
    "perplexity_positions": perplexity.positions,
    "normalisations": tables.normalisations,
    "categories": breakdowns.categories,
    "subjects": breakdowns.subjects,
    "differences": tables.differences,
    "published": published.published,
    "cost": tables.cost,
}
"""All tables, in the order of the page."""

FIGURES: Mapping[str, tuple[Callable[[Findings], Figure | None], str]] = {
    "radar": (
        radar,
        "Scores by task group, with intervals where an axis is one condition; the dashed line is guessing.",
    ),
    "mmlu_formats": (charts.mmlu_formats, "MMLU by question format and number of shots, with intervals."),
    "phonebook": (phonebook_charts.lengths, "Phonebook: numbers recalled, by the size of the book."),
    "phonebook_depths": (
        phonebook_charts.depths,
        "Phonebook: numbers recalled, by where in the book they stand; of many sizes, four.",
    ),
    "phonebook_digits": (phonebook_charts.digits, "Phonebook: digits right, by their place in the number."),
    "prompts": (
        prompts.dots,
        "The same items under changed prompts: each dot is a prompt, filled the plain one.",
    ),
    "ruler": (ruler.lengths, "RULER: average over tasks by length, of all and of each category of tasks."),
    "ruler_depths": (
        ruler.depths,
        "RULER: needles found, by depth and length; tasks that ask for one needle.",
    ),
    "perplexity_contexts": (
        perplexity.context_curve,
        "Loss on the same tokens after longer contexts.",
    ),
    "perplexity_positions": (perplexity.position_curve, "Loss by position in the window."),
    "differences": (charts.differences, "Paired differences from the baseline, with intervals."),
}
"""All figures with their captions."""

# What would fill pages, and what the first table has already.
_ELSEWHERE = {
    "subjects": "One line for each subject, too long for this page.",
    "mmlu_formats": "The numbers of the accuracy table, laid out by format and shots.",
}
_ROOM = 2000


@dataclass(frozen=True)
class ReportFiles:
    """What a report consists of.

    Attributes:
        page: The page, `report.md`.
        tables: Files of the tables.
        figures: Files of the figures.
        incomplete: What the run lacks, a sentence or none.
    """

    page: Path
    tables: tuple[Path, ...]
    figures: tuple[Path, ...]
    incomplete: tuple[str, ...] = ()


def build_report(results: RunResults, out: Path, settings: ReportSettings | None = None) -> ReportFiles:
    """Write the report of a run: the same bytes for the same results, every time.

    Args:
        results: The run.
        out: Folder to write to; made where missing. Tables and figures of an earlier report there that this
            one does not have are removed.
        settings: The report's settings; the defaults if None.

    Raises:
        RunError: No cell of the run is complete.
        RequestError: The baseline is no member of the run, or the folder cannot be written.
    """
    settings = settings or ReportSettings()
    findings = Findings(results, settings)
    sheets = [sheet for make in SHEETS.values() if (sheet := make(findings)) is not None]
    figures: dict[str, dict[str, bytes]] = {}
    for name, (draw, _) in FIGURES.items():
        if (figure := draw(findings)) is not None:
            figures[name] = rendered(figure, settings.figure_formats)
    files: dict[Path, str | bytes] = {}
    for sheet in sheets:
        for suffix, text in (("md", sheet.to_markdown()), ("tex", sheet.to_latex()), ("csv", sheet.to_csv())):
            files[out / "tables" / f"{sheet.name}.{suffix}"] = text
    for name, images in figures.items():
        files |= {out / "figures" / f"{name}.{suffix}": image for suffix, image in images.items()}
    page = out / "report.md"
    known = {out / "tables" / f"{name}.{suffix}" for name in SHEETS for suffix in ("md", "tex", "csv")}
    known |= {out / "figures" / f"{name}.{suffix}" for name in FIGURES for suffix in ("png", "svg", "pdf")}
    try:
        for path, content in files.items():
            write_atomic(path, content)
        write_atomic(page, _page(findings, sheets, {name: list(images) for name, images in figures.items()}))
        for path in known - files.keys():
            path.unlink(missing_ok=True)
    except OSError as error:
        raise RequestError(
            f"The report cannot be written to {out}: {error.strerror or error}. Name another folder "
            "with --out DIR (from Python: out)."
        ) from error
    written = sorted(files)
    return ReportFiles(
        page,
        tuple(path for path in written if path.parent.name == "tables"),
        tuple(path for path in written if path.parent.name == "figures"),
        tuple(missing(findings)),
    )


def _page(findings: Findings, sheets: Sequence[Sheet], figures: Mapping[str, Sequence[str]]) -> str:
    results = findings.results
    blocks = [f"# {markdown(str(results.manifest.get('name', results.folder.name)))}"]
    blocks += [f"**{markdown(one)}**" for one in [*findings.warnings, *sharing_warnings(results)]]
    blocks.append("\n".join(f"- {markdown(one)}" for one in sentences(findings)))
    blocks.append(f"**{markdown(findings.stamp)}**")
    if said := sharing_lines(results):
        blocks.append("\n".join(f"- {markdown(one)}" for one in said))
    blocks.append("## Figures")
    for name, formats in figures.items():
        links = ", ".join(f"[{suffix}](figures/{name}.{suffix})" for suffix in formats)
        shown = next((suffix for suffix in ("png", "svg") if suffix in formats), None)
        image = f"![{FIGURES[name][1]}](figures/{name}.{shown})\n\n" if shown else ""
        blocks.append(f"{image}{FIGURES[name][1]} Files: {links}.")
    if "radar" not in figures:
        blocks.append(f"No radar chart: the run gives no choice of {FEWEST} to {MOST} axes.")
    blocks.append("## Tables")
    for sheet in sheets:
        links = ", ".join(f"[{suffix}](tables/{sheet.name}.{suffix})" for suffix in ("md", "tex", "csv"))
        blocks.append(f"### {_heading(sheet.name)}")
        if sheet.name in _ELSEWHERE:
            blocks.append(f"{_ELSEWHERE[sheet.name]} Files: {links}.")
        else:
            blocks += [sheet.to_markdown(inline=True).rstrip(), f"Files: {links}."]
    blocks += ["## How it was run", *_how(results.manifest), "## Notes"]
    notes = [*findings.lacking, *margins_note(findings)]
    about = results.manifest.get("notes", {})
    notes += [f"Data of {name}: {note}" for name, found in about.items() for note in found]
    members = results.manifest.get("members", [])
    notes += [f"{one['name']}: {text}" for one in members for text in one.get("remarks", [])]
    # What the other tables note is said of the whole run already.
    beside = [table for sheet in sheets if sheet.name == "published" for table in sheet.tables]
    notes += [note for table in beside for note in table.notes]
    blocks.append("\n".join(f"- {markdown(note)}" for note in notes) or "None.")
    return "\n\n".join(blocks) + "\n"


def _heading(name: str) -> str:
    text = name.replace("_", " ").capitalize()
    return text.replace("Mmlu", "MMLU").replace("Ruler", "RULER")


def _how(manifest: Mapping[str, Any]) -> list[str]:
    """Members, versions, hardware, seed and the command, as far as the manifest has them."""
    members = manifest.get("members", [])
    facts: dict[str, Any] = {"members": [one["name"] for one in members]}
    facts |= {one["name"]: {k: one[k] for k in _TOLD if one.get(k) is not None} for one in members}
    facts |= {name: manifest[name] for name in _SHOWN if name in manifest}
    lines = [f"- {markdown(line)}" for line in _lines("", facts)]
    blocks = ["\n".join(lines)] if lines else []
    if command := manifest.get("command"):
        blocks += ["To run it again:", markdown_code(str(command))]
    return blocks or ["The manifest says nothing about it."]


_TOLD = ("title", "family", "source", "revision", "parameters", "fingerprint", "notes")
_SHOWN = ("seed", "versions", "hardware", "started", "finished")


def _lines(prefix: str, value: Any) -> list[str]:
    """Nested data as lines of `name: value`, innermost mappings and lists on one line, empty ones on none."""
    if isinstance(value, Mapping | list) and not value:
        return []
    inner = list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list) else []
    if any(isinstance(one, Mapping | list) for one in inner) or not prefix:
        names = value if isinstance(value, Mapping) else range(1, len(inner) + 1)
        pairs = zip(names, inner, strict=True)
        return [line for name, one in pairs for line in _lines(f"{prefix} {name}".strip(), one)]
    if isinstance(value, Mapping):
        text = ", ".join(f"{name} {one}" for name, one in value.items())
    else:
        text = ", ".join(map(str, inner)) or str(value)
    return [f"{prefix}: {text}"[:_ROOM]]
