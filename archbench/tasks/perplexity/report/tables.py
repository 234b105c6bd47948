"""Perplexity in tables and sentences: loss by length of the context and by position in a window."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from archbench.report.findings import Findings
from archbench.report.part import TablePart, TextPart
from archbench.report.recall import (
    BEYOND,
    beyond_caption,
    counted_items,
    is_beyond,
    rows_of,
)
from archbench.report.table import MISSING, Cell, Column, Sheet, Table, stamped
from archbench.report.words.naming import listing, short_name, with_interval
from archbench.results.conditions import Condition
from archbench.tasks.perplexity.report.loss import Loss, conditions_of, loss_of, ranges_of, size_of


def sentences(findings: Findings) -> list[str]:
    """Which members find parts of a text harder than its bytes, where the score that is tested ends."""
    if not conditions_of(findings):
        return []
    items = counted_items(findings, "perplexity")
    if "compression" not in items:
        return []
    floored = []
    for member in findings.members:
        share = float((items.loc[items["member"] == member, "compression"] == 0).mean())
        if share > 0:
            floored.append(f"{member} on {100 * share:.0f} %")
    if not floored:
        return []
    return [
        f"Perplexity: {listing(floored)} of the items would save nothing over plain bytes. Compression, and "
        "with it better or worse, cannot distinguish such items: compare nats per token in its table."
    ]


def table(findings: Findings) -> Sheet | None:
    """Every context length and window, every member: nats per token, perplexity and bits per byte."""
    conditions = conditions_of(findings)
    if not conditions:
        return None
    items = counted_items(findings, "perplexity")
    if items.empty:
        return None
    rows: list[list[Cell | str]] = []
    data = []
    for condition in conditions:
        for at, member in enumerate(findings.members):
            mine = rows_of(items, [condition], member)
            found = loss_of(mine, findings.settings.confidence)
            who = Cell(member, mark=BEYOND if is_beyond(findings, member, mine) else "")
            label = short_name(condition, findings.conditions) if at == 0 else ""
            score = findings.score(member, condition)
            rows.append([label, who, *_cells(found), with_interval(score)])
            saved = {"compression": score["score"] if score else math.nan}
            data.append(_record(member, condition, found) | saved)
    caption = (
        f"Loss on long text. Nats per token with {findings.level} intervals over windows; perplexity is its "
        "exponential; bits per byte counts bytes of UTF-8, so that it does not depend on the tokenizer. "
        "Compression, in percent, is 1 − bits per byte / 8 (no item below 0): the score of the summary and "
        "the differences. "
        "Context: the same tokens after so many tokens of the text before them. Window: all tokens of "
        f"windows of that length.{beyond_caption(findings)}"
    )
    if any(findings.results.left_out[one.task, one.variant] for one in conditions):
        caption += " Windows that are left out (notes) are left out of their own row, not of other contexts'."
    rules = frozenset(range(0, len(rows), len(findings.members)))
    columns = [*_columns("condition"), Column("compression")]
    sheet = Table("Perplexity", caption, columns, rows, findings.stamp, rules)
    return Sheet("perplexity", [sheet], stamped(pd.DataFrame(data), findings.stamp))


def positions(findings: Findings) -> Sheet | None:
    """Loss by where in the window a token stands, in ranges that double."""
    conditions = [one for one in conditions_of(findings) if size_of(one)[0] == "window"]
    items = counted_items(findings, "perplexity")
    tables, data = [], []
    for condition in conditions:
        here = rows_of(items, [condition])
        rows: list[list[Cell | str]] = []
        rules = set()
        for low, high in ranges_of(here):
            rules.add(len(rows))
            for at, member in enumerate(findings.members):
                mine = here[(here["member"] == member) & here["position"].between(low, high - 1)]
                found = loss_of(mine, findings.settings.confidence)
                rows.append([f"{low:,} to {high - 1:,}" if at == 0 else "", member, *_cells(found)])
                data.append({**_record(member, condition, found), "from": low, "to": high - 1})
        if rows:
            caption = (
                "Loss by where in the window the scored piece begins, in tokens. Nats per token with "
                f"{findings.level} intervals over windows."
            )
            title = f"Perplexity by position, {short_name(condition, findings.conditions)}"
            columns = _columns("position")
            tables.append(Table(title, caption, columns, rows, findings.stamp, frozenset(rules)))
    if not tables:
        return None
    return Sheet("perplexity_positions", tables, stamped(pd.DataFrame(data), findings.stamp))


def _columns(first: str) -> list[Column]:
    heads = ["tokens", "nats/token", "perplexity", "bits/byte"]
    return [Column(first, words=True), Column("member", words=True), *map(Column, heads)]


def _cells(loss: Loss) -> list[Cell | str]:
    if not loss.tokens:
        return [MISSING] * 4
    interval = "" if math.isnan(loss.low) else f" [{loss.low:.3f}, {loss.high:.3f}]"
    # Beyond this an untrained model's perplexity says nothing that its loss does not.
    perplexity = f"{math.exp(loss.nats):,.2f}" if loss.nats < 20 else MISSING
    return [f"{loss.tokens:,}", f"{loss.nats:.3f}{interval}", perplexity, f"{loss.bits:.3f}"]


def _record(member: str, condition: Condition, loss: Loss) -> dict[str, Any]:
    cell = {"member": member, "task": condition.task, "variant": condition.variant}
    # NaN where there is no loss, infinite where the exponential would overflow.
    perplexity = math.inf if loss.nats > 700 else math.exp(loss.nats)
    return cell | {**loss._asdict(), "perplexity": perplexity}


PARTS = (
    TablePart("perplexity", table, 70),
    TablePart("perplexity_positions", positions, 71),
    TextPart("perplexity", sentences, 40),
)
