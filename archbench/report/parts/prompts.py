"""How much of a score is the prompt's: the same items under changed prompts."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from archbench.errors import amount
from archbench.report.findings import Findings
from archbench.report.part import FigurePart, TablePart, TextPart
from archbench.report.style import GREY, drawing, drawn, style_of
from archbench.report.table import MISSING, Cell, Column, Sheet, Table, stamped
from archbench.report.words.naming import listing, points, short_name, with_interval
from archbench.results.conditions import Condition
from archbench.statistics.paired import holm, paired_difference

# More conditions than these are told by the widest of them.
_NAMED = 3


def sentences(findings: Findings) -> list[str]:
    """Between which scores the prompts let each member end up, and how many changes are beyond chance."""
    groups = _groups(findings)
    if not groups:
        return []
    data = _compared(findings, groups)
    said = []
    for member in findings.members:
        told: list[tuple[float, str]] = []
        for plain in groups:
            name = short_name(plain, findings.conditions)
            mine = data[(data["condition"] == name) & (data["member"] == member)]
            own = findings.score(member, plain)
            if own is None or mine.empty:
                continue
            least, most = _ends(own, mine)
            width = most.score - least.score
            across = f"on {name} across {len(mine) + 1} prompts"
            told.append(
                (width, f"between {_named(least, '%')} and {_named(most, '%')} {across}")
                if least.prompts != most.prompts
                else (width, f"{points(least.score)} % {across} alike")
            )
        if not told:
            continue
        mine = data[data["member"] == member]
        beyond = int((mine["p_holm"] < findings.alpha).sum())
        width, widest = max(told, key=lambda one: one[0])
        if len(told) <= _NAMED:
            where = listing([text for _, text in told])
        else:
            where = f"most widely {widest}" if points(width) != "0.0" else "alike under every prompt"
        said.append(
            f"{member} scores {where}; {beyond} of {len(mine)} changed prompts differ from the plain one "
            "beyond chance."
        )
    return said


def spread(findings: Findings) -> Sheet | None:
    """Each member's plain score, its scores under changed prompts, and how far apart they are."""
    groups = _groups(findings)
    if not groups:
        return None
    data = _compared(findings, groups)
    if data.empty:
        return None
    rows: list[list[Cell | str]] = []
    rules = set()
    for plain in groups:
        rules.add(len(rows))
        for at, member in enumerate(findings.members):
            mine = data[
                (data["condition"] == short_name(plain, findings.conditions)) & (data["member"] == member)
            ]
            label = short_name(plain, findings.conditions) if at == 0 else ""
            rows.append([label, member, *_cells(findings, findings.score(member, plain), mine)])
    caption = (
        "The same items under prompts that are changed in one thing each, in percent. Lowest and highest "
        "name the change, every one where several are level; spread is the highest less the lowest score, "
        "the plain prompt among them. Beyond chance: changed prompts whose score differs from that of the "
        f"plain one (paired test on the same items, p < {findings.alpha:g} after Holm's adjustment for all "
        f"{amount(len(data), 'comparison')} of this table). A spread of the size of an interval is "
        "nothing yet."
    )
    if (data["n"] < data["plain_n"]).any():
        caption += (
            " Where items have no score under a changed prompt (notes), its score and its test are over the "
            "others."
        )
    heads = ["plain", "lowest", "highest", "spread", "beyond chance"]
    columns = [Column("condition", words=True), Column("member", words=True), *map(Column, heads)]
    table = Table("Prompts", caption, columns, rows, findings.stamp, frozenset(rules))
    return Sheet("prompts", [table], stamped(data, findings.stamp))


def dots(findings: Findings) -> Figure | None:
    """One row per condition and member, one dot per prompt."""
    groups = _groups(findings)
    if not groups:
        return None
    groups = {plain: changed for plain, changed in groups.items() if plain in findings.answered}
    if not groups:
        return None
    lines = [(plain, at) for plain in groups for at in range(len(findings.members))]
    with drawing(7.0, 1.2 + 0.28 * len(lines)) as figure:
        area = figure.subplots()
        for y, (plain, at) in enumerate(lines):
            member, style = findings.members[at], style_of(at)
            own = findings.score(member, plain)
            others = [row["score"] for one in groups[plain] if (row := findings.score(member, one))]
            if own is None:
                continue
            values = [100 * value for value in (own["score"], *others)]
            area.plot([min(values), max(values)], [y, y], color=style.colour, linewidth=1, alpha=0.6)
            area.plot(
                values[1:], [y] * len(others), "o", color=style.colour, markerfacecolor="white", markersize=5
            )
            area.plot(values[0], y, "o", color=style.colour, markersize=6)
        names = [short_name(plain, findings.conditions) if at == 0 else "" for plain, at in lines]
        area.set_yticks(range(len(lines)), [drawn(name, 30, 1) if name else "" for name in names])
        area.tick_params(axis="y", length=0)
        for first in range(len(findings.members), len(lines), len(findings.members)):
            area.axhline(first - 0.5, color="#E6E6E6", linewidth=0.7)
        area.set_ylim(len(lines) - 0.4, -0.6)
        area.set_xlabel("score, %")
        area.grid(axis="x", color="#E6E6E6", linewidth=0.7)
        area.set_axisbelow(True)
        handles = []
        for at, member in enumerate(findings.members):
            name = drawn(member, 36, 2)
            handles.append(Line2D([], [], color=style_of(at).colour, marker="o", label=name))
        handles.append(Line2D([], [], color=GREY, marker="o", linestyle="", markerfacecolor="white"))
        handles[-1].set_label("changed prompt")
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _groups(findings: Findings) -> dict[Condition, list[Condition]]:
    """The changed prompts of every condition that has any."""
    found: dict[Condition, list[Condition]] = {}
    for plain in findings.conditions:
        same = [
            one
            for one in findings.perturbed
            if one.task == plain.task and one.variant.partition("+")[0] == plain.variant
        ]
        if same:
            found[plain] = same
    return found


def _compared(findings: Findings, groups: dict[Condition, list[Condition]]) -> pd.DataFrame:
    """Every changed prompt against the plain one, by member, on the items that both have scores for."""
    records: list[dict[str, Any]] = []
    for task in dict.fromkeys(plain.task for plain in groups):
        items = findings.items(task)
        for plain, changed in groups.items():
            for member in findings.members if plain.task == task else ():
                mine = items[items["member"] == member].set_index("item")
                own = findings.score(member, plain)
                for one in changed:
                    if own is None or one.metric not in mine:
                        continue
                    pair = pd.concat(
                        [mine.loc[mine["variant"] == v.variant, v.metric] for v in (one, plain)], axis=1
                    ).dropna()
                    if pair.empty:
                        continue
                    values = pair.to_numpy(dtype=np.float64)
                    rng = np.random.default_rng(0)
                    found = paired_difference(
                        values[:, 0], values[:, 1], rng, findings.settings.confidence
                    )._asdict()
                    name = short_name(plain, findings.conditions)
                    told = {"condition": name, "member": member, "prompt": dict(one.labels)["prompt"]}
                    means = {"score": float(values[:, 0].mean()), "plain_n": own["n"]}
                    records.append(told | means | found)
    frame = pd.DataFrame(records, columns=None if records else ["condition", "member", "prompt", "n", "p"])
    frame["p_holm"] = holm(frame["p"]) if records else []
    return frame


def _cells(findings: Findings, own: dict[str, Any] | None, mine: pd.DataFrame) -> list[Cell | str]:
    if own is None or mine.empty:
        return [with_interval(own), *[MISSING] * 4]
    least, most = _ends(own, mine)
    beyond = int((mine["p_holm"] < findings.alpha).sum())
    level = f"{points(own['score'])} (all)"
    ends = [level, level] if least.prompts == most.prompts else [_named(least), _named(most)]
    return [with_interval(own), *ends, points(most.score - least.score), f"{beyond} of {len(mine)}"]


class _End(NamedTuple):
    """The lowest or the highest score and the prompts that it was reached under, in the suite's order."""

    score: float
    prompts: tuple[str, ...]


def _ends(own: dict[str, Any], mine: pd.DataFrame) -> tuple[_End, _End]:
    """Lowest and highest score of a member in a condition, the plain prompt among them."""
    scores = {"plain": float(own["score"])} | dict(zip(mine["prompt"], mine["score"], strict=True))
    found = []
    for end in (min, max):
        value = end(scores.values())
        # Means of the same items may differ in their last digit.
        prompts = tuple(name for name, score in scores.items() if math.isclose(score, value, abs_tol=1e-9))
        found.append(_End(value, prompts))
    return found[0], found[1]


def _named(end: _End, unit: str = "") -> str:
    """A score and where it was reached: `40.0 (labels)`."""
    return f"{points(end.score)}{f' {unit}' if unit else ''} ({listing(end.prompts)})"


PARTS = (
    TablePart("prompts", spread, 60),
    FigurePart(
        "prompts",
        dots,
        "The same items under changed prompts: each dot is a prompt, filled the plain one.",
        40,
    ),
    TextPart("prompts", sentences, 50),
)
