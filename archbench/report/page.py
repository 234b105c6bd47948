"""The report as files: tables, figures, and the page that ties them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archbench.errors import RequestError
from archbench.report.escape import markdown, markdown_code
from archbench.report.findings import Findings
from archbench.report.part import Parts, TablePart
from archbench.report.parts.guessing import missing
from archbench.report.settings import ReportSettings
from archbench.report.style import rendered, using
from archbench.report.table import Sheet
from archbench.report.words.captions import margins_note
from archbench.report.words.sharing import sharing_lines, sharing_warnings
from archbench.results.frames import RunResults
from archbench.results.writing import write_atomic

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


def build_report(results: RunResults, out: Path, settings: ReportSettings, parts: Parts) -> ReportFiles:
    """Write the report of a run: the same bytes for the same results, every time.

    Args:
        results: The run.
        out: Folder to write to; made where missing. Tables and figures of an earlier report there that this
            one does not have are removed.
        settings: The report's settings.
        parts: Tables, figures and sentences that it may have.

    Raises:
        RunError: No cell of the run is complete.
        RequestError: The baseline is no member of the run, the folder cannot be written, or there is no such
            figure style.
    """
    findings = Findings(results, settings)
    sheets = {part: sheet for part in parts.tables if (sheet := part.make(findings)) is not None}
    figures: dict[str, dict[str, bytes]] = {}
    with using(settings.figure_style):
        for drawn in parts.figures:
            if (figure := drawn.draw(findings)) is not None:
                figures[drawn.name] = rendered(figure, settings.figure_formats)
    files: dict[Path, str | bytes] = {}
    for part, sheet in sheets.items():
        for suffix, text in (("md", sheet.to_markdown()), ("tex", sheet.to_latex()), ("csv", sheet.to_csv())):
            files[out / "tables" / f"{part.name}.{suffix}"] = text
    for name, images in figures.items():
        files |= {out / "figures" / f"{name}.{suffix}": image for suffix, image in images.items()}
    page = out / "report.md"
    known = {
        out / "tables" / f"{one.name}.{suffix}" for one in parts.tables for suffix in ("md", "tex", "csv")
    }
    known |= {
        out / "figures" / f"{one.name}.{suffix}" for one in parts.figures for suffix in ("png", "svg", "pdf")
    }
    try:
        for path, content in files.items():
            write_atomic(path, content)
        write_atomic(page, _page(findings, parts, sheets, {name: list(one) for name, one in figures.items()}))
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


def _page(
    findings: Findings,
    parts: Parts,
    sheets: Mapping[TablePart, Sheet],
    figures: Mapping[str, Sequence[str]],
) -> str:
    results = findings.results
    blocks = [f"# {markdown(str(results.manifest.get('name', results.folder.name)))}"]
    blocks += [f"**{markdown(one)}**" for one in [*findings.warnings, *sharing_warnings(results)]]
    blocks.append("\n".join(f"- {markdown(one)}" for one in parts.sentences(findings)))
    blocks.append(f"**{markdown(findings.stamp)}**")
    if said := sharing_lines(results):
        blocks.append("\n".join(f"- {markdown(one)}" for one in said))
    blocks.append("## Figures")
    for drawn in parts.figures:
        if drawn.name not in figures:
            blocks += [drawn.absent] * bool(drawn.absent)
            continue
        formats = figures[drawn.name]
        links = ", ".join(f"[{suffix}](figures/{drawn.name}.{suffix})" for suffix in formats)
        shown = next((suffix for suffix in ("png", "svg") if suffix in formats), None)
        image = f"![{drawn.caption}](figures/{drawn.name}.{shown})\n\n" if shown else ""
        blocks.append(f"{image}{drawn.caption} Files: {links}.")
    blocks.append("## Tables")
    for part, sheet in sheets.items():
        links = ", ".join(f"[{suffix}](tables/{part.name}.{suffix})" for suffix in ("md", "tex", "csv"))
        blocks.append(f"### {part.heading or part.name.replace('_', ' ').capitalize()}")
        if part.instead:
            blocks.append(f"{part.instead} Files: {links}.")
        else:
            blocks += [sheet.to_markdown(inline=True).rstrip(), f"Files: {links}."]
    blocks += ["## How it was run", *_how(results.manifest), "## Notes"]
    notes = [*findings.lacking, *margins_note(findings)]
    about = results.manifest.get("notes", {})
    notes += [f"Data of {name}: {note}" for name, found in about.items() for note in found]
    members = results.manifest.get("members", [])
    notes += [f"{one['name']}: {text}" for one in members for text in one.get("remarks", [])]
    # What the other tables note is said of the whole run already.
    notes += [
        note for part, sheet in sheets.items() if part.notes for table in sheet.tables for note in table.notes
    ]
    blocks.append("\n".join(f"- {markdown(note)}" for note in notes) or "None.")
    return "\n\n".join(blocks) + "\n"


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
