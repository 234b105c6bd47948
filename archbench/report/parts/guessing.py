"""Who is at or below guessing, and what the run lacks, in sentences."""

from __future__ import annotations

from archbench.report.findings import Findings
from archbench.report.part import TextPart
from archbench.report.parts import answer_forms
from archbench.report.words.naming import listing, points
from archbench.report.words.phrases import Stated, stated


def at_guessing(findings: Findings) -> list[str]:
    """Which scores the tests cannot tell from guessing, or find below it."""
    said = []
    otherwise = answer_forms.in_another_form(findings)
    for member in findings.members:
        level, below = [], []
        for condition in findings.conditions:
            row = findings.score(member, condition)
            if row is not None and condition.chance is not None:
                words = f"{points(row['score'])} %"
                if (missed := otherwise.get((member, condition), 0)) > answer_forms.MANY:
                    words += (
                        f", with {points(missed)} % of the answers empty or of another form than asked for"
                    )
                part = Stated(condition, words, row["score"])
                if row["high"] < condition.chance:
                    below.append(part)
                elif row["low"] <= condition.chance:
                    level.append(part)
        if level:
            said.append(f"{member} cannot be told from guessing on {listing(stated(findings, level, '%'))}.")
        if below:
            said.append(f"{member} is below guessing on {listing(stated(findings, below, '%'))}.")
    return said


def missing(findings: Findings) -> list[str]:
    """That the run lacks something, if it does."""
    gaps = findings.lacking
    if not gaps:
        return []
    return [
        f"Incomplete: {gaps[0]}"
        if len(gaps) == 1
        else f"Incomplete in {len(gaps)} places, listed in the notes."
    ]


PARTS = (
    TextPart("guessing", at_guessing, 70),
    TextPart("missing", missing, 100),
)
