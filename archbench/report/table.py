"""A table before it has a format, and its three formats: Markdown, LaTeX and, for the numbers, CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import pandas as pd

from archbench.report.escape import latex, markdown

MISSING = "—"


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table.

    Attributes:
        text: Plain text; every format escapes it.
        bold: Whether it is set in bold.
        mark: A symbol set high behind it, such as a dagger.
    """

    text: str
    bold: bool = False
    mark: str = ""


@dataclass(frozen=True)
class Column:
    """A column's heading.

    Attributes:
        name: Plain text.
        group: Heading that neighbours share, above the name.
        words: Whether it holds words, set flush left, rather than numbers.
    """

    name: str
    group: str = ""
    words: bool = False


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        title: A few words.
        caption: What the numbers are and how they were made.
        columns: Headings, from left to right.
        rows: Cells, one per column; texts may be given bare.
        stamp: The verdict of the match audit.
        rules: Rows above which a line is drawn.
        notes: What a reader must know along with it.
    """

    title: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell | str]]
    stamp: str
    rules: frozenset[int] = frozenset()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Sheet:
    """One set of files: `<name>.md`, `<name>.tex` and `<name>.csv`.

    Attributes:
        name: Name of the files.
        tables: Tables for people, in this order.
        data: The same numbers in full precision, one row per number.
    """

    name: str
    tables: Sequence[Table]
    data: pd.DataFrame = field(repr=False)

    def to_markdown(self, *, inline: bool = False) -> str:
        """All tables, each with its caption above and its notes below.

        Args:
            inline: For a page that has a heading above and all the notes at its end: neither title nor notes.
        """
        return "\n".join(_markdown(table, inline) for table in self.tables)

    def to_latex(self) -> str:
        r"""One `table` environment per table; the document needs `\usepackage{booktabs}` and nothing else."""
        parts = [
            _latex(table, f"tab:{self.name}" + (f"-{at}" if at else ""))
            for at, table in enumerate(self.tables)
        ]
        return "% Needs \\usepackage{booktabs}.\n" + "\n".join(parts)

    def to_csv(self) -> str:
        """The numbers; fractions in full precision, empty where there is none."""
        text: str = self.data.to_csv(index=False, lineterminator="\n")
        return text


def stamped(data: pd.DataFrame, stamp: str) -> pd.DataFrame:
    """The numbers with the verdict of the match audit in every row."""
    return data.assign(match=stamp.removeprefix("Match: "))


def _cell(cell: Cell | str) -> Cell:
    return Cell(cell) if isinstance(cell, str) else cell


def _markdown(table: Table, inline: bool) -> str:
    heads = [markdown(f"{one.group} {one.name}".strip()) or " " for one in table.columns]
    title = "" if inline else f"**{markdown(table.title)}.** "
    lines = [title + markdown(table.caption), ""]
    lines.append(f"| {' | '.join(heads)} |")
    lines.append(f"|{'|'.join(' :-- ' if one.words else ' --: ' for one in table.columns)}|")
    for row in table.rows:
        texts = []
        for one in map(_cell, row):
            text = markdown(one.text)
            texts.append((f"**{text}**" if one.bold and text else text) + one.mark)
        lines.append(f"| {' | '.join(texts)} |")
    lines += ["", markdown(table.stamp), ""]
    if table.notes and not inline:
        lines += [*(f"- {markdown(note)}" for note in table.notes), ""]
    return "\n".join(lines)


def _latex(table: Table, label: str) -> str:
    lines = [r"\begin{table}[tp]", r"\centering"]
    lines += [rf"\caption{{\textbf{{{latex(table.title)}.}} {latex(table.caption)}}}", rf"\label{{{label}}}"]
    lines += [
        r"\small",
        rf"\begin{{tabular}}{{{''.join('l' if one.words else 'r' for one in table.columns)}}}",
    ]
    lines.append(r"\toprule")
    if any(one.group for one in table.columns):
        tops, rules, at = [], [], 1
        for group, members in groupby(table.columns, key=lambda one: one.group):
            width = len(list(members))
            tops.append(rf"\multicolumn{{{width}}}{{c}}{{{latex(group)}}}" if group else " & " * (width - 1))
            rules += [rf"\cmidrule(lr){{{at}-{at + width - 1}}}"] if group else []
            at += width
        lines += [f"{' & '.join(tops)} \\\\", " ".join(rules)]
    lines += [f"{' & '.join(latex(one.name) for one in table.columns)} \\\\", r"\midrule"]
    for index, row in enumerate(table.rows):
        if index and index in table.rules:
            lines.append(r"\midrule")
        texts = []
        for one in map(_cell, row):
            text = rf"\textbf{{{latex(one.text)}}}" if one.bold else latex(one.text)
            texts.append(text + (rf"\textsuperscript{{{latex(one.mark)}}}" if one.mark else ""))
        lines.append(f"{' & '.join(texts)} \\\\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [
        rf"\par\smallskip\parbox{{\linewidth}}{{\footnotesize {latex(note)}}}"
        for note in (table.stamp, *table.notes)
    ]
    return "\n".join([*lines, r"\end{table}", ""])
