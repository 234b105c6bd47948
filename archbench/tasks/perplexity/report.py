"""What is reported of perplexity: loss by length of the context and by position in a window."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from archbench.report.findings import Findings, listing, short_name, with_interval
from archbench.report.recall import (
    BEYOND,
    Curve,
    beyond_caption,
    counted_items,
    is_beyond,
    panels,
    rows_of,
    training_lengths,
)
from archbench.report.table import MISSING, Cell, Column, Sheet, Table, stamped
from archbench.results.comparisons import scores_of
from archbench.results.conditions import Condition
from archbench.statistics.estimates import weighted_mean


class Loss(NamedTuple):
    """Mean loss of tokens, with its interval; NaN where it cannot be told.

    Attributes:
        tokens: Tokens scored.
        nats: Nats per token.
        low: Lower end of the interval, nats per token.
        high: Upper end.
        bits: Bits per byte of UTF-8.
    """

    tokens: int
    nats: float
    low: float
    high: float
    bits: float


def loss_of(rows: pd.DataFrame, confidence: float = 0.95) -> Loss:
    """Loss over items: all their nats over all their tokens.

    The interval is over windows, whose items are not independent of each other; windows are taken as
    independent.

    Args:
        rows: Item rows with `loglikelihoods`, `tokens`, `bytes` and `passage`.
        confidence: Coverage aimed at.
    """
    rows = rows[rows["loglikelihoods"].notna()] if len(rows) else rows
    if rows.empty:
        return Loss(0, math.nan, math.nan, math.nan, math.nan)
    nats = -np.array([float(values[0]) for values in rows["loglikelihoods"]])
    frame = pd.DataFrame({"passage": rows["passage"].to_numpy(), "nats": nats})
    frame["tokens"] = rows["tokens"].to_numpy(dtype=np.float64)
    sums = frame.groupby("passage", sort=True)[["nats", "tokens"]].sum()
    tokens = scores_of(sums["tokens"])
    found = weighted_mean(scores_of(sums["nats"]) / tokens, tokens, confidence)
    bits = float(nats.sum()) / math.log(2) / float(rows["bytes"].to_numpy(dtype=np.float64).sum())
    return Loss(int(tokens.sum()), found.score, found.low, found.high, bits)


def sentences(findings: Findings) -> list[str]:
    """Which members find parts of a text harder than its bytes, where the score that is tested ends."""
    if not _conditions(findings):
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
        "with it better or worse, cannot tell such items apart: compare nats per token in its table."
    ]


def table(findings: Findings) -> Sheet | None:
    """Every context length and window, every member: nats per token, perplexity and bits per byte."""
    conditions = _conditions(findings)
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
    conditions = [one for one in _conditions(findings) if _size(one)[0] == "window"]
    items = counted_items(findings, "perplexity")
    tables, data = [], []
    for condition in conditions:
        here = rows_of(items, [condition])
        rows: list[list[Cell | str]] = []
        rules = set()
        for low, high in _ranges(here):
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


def context_curve(findings: Findings) -> Figure | None:
    """Loss on the same tokens against the length of the context before them."""
    conditions = [one for one in _conditions(findings) if _size(one)[0] == "context"]
    items = counted_items(findings, "perplexity")
    sizes = sorted({_size(one)[1] for one in conditions})
    if len(sizes) < 2:
        return None
    tasks = list(dict.fromkeys(one.task for one in conditions))

    def curve(task: str, member: str) -> Curve:
        found = []
        for condition in conditions:
            mine = rows_of(items, [condition], member)
            if condition.task == task and len(mine):
                loss = loss_of(mine, findings.settings.confidence)
                # Evenly spaced, since no context has no place on a logarithmic axis.
                at = float(sizes.index(_size(condition)[1]))
                found.append((at, *_bounds(loss), is_beyond(findings, member, mine)))
        return sorted(found)

    figure = panels(
        findings,
        tasks,
        curve,
        x_label="tokens of context",
        y_label="nats per token",
        ticks=list(range(len(sizes))),
        limits=None,
    )
    for area in figure.axes if figure is not None else ():
        area.set_xticklabels([f"{size:,}" for size in sizes])
    return figure


def position_curve(findings: Findings) -> Figure | None:
    """Loss against the position in the window, a panel for each length of window."""
    conditions = [one for one in _conditions(findings) if _size(one)[0] == "window"]
    items, trained = counted_items(findings, "perplexity"), training_lengths(findings)
    names = {short_name(one, findings.conditions): one for one in conditions}

    def curve(name: str, member: str) -> Curve:
        mine = rows_of(items, [names[name]], member)
        found = []
        for low, high in _ranges(mine):
            here = mine[mine["position"].between(low, high - 1)]
            middle = float((here["position"] + here["tokens"] / 2).mean())
            beyond = member in trained and middle > trained[member]
            found.append((middle, *_bounds(loss_of(here, findings.settings.confidence)), beyond))
        return found

    if not names:
        return None
    longest = max(_size(one)[1] for one in conditions)
    return panels(
        findings,
        list(names),
        curve,
        x_label="position, tokens",
        y_label="nats per token",
        ticks=[2**power for power in range(4, longest.bit_length())],
        logarithmic=True,
        limits=None,
    )


def _ranges(rows: pd.DataFrame) -> list[tuple[int, int]]:
    """Ranges of positions: the first piece alone, then each twice as far as the last, up to the end."""
    if rows.empty:
        return []
    first = max(1, round(float(rows["tokens"].median())))
    end = int((rows["position"] + rows["tokens"]).max())
    found = [(0, max(1, first // 2))]
    while found[-1][1] < end:
        low = found[-1][1]
        found.append((low, max(2 * low, low + first)))
    starts = rows["position"]
    return [(low, high) for low, high in found if starts.between(low, high - 1).any()]


def _conditions(findings: Findings) -> list[Condition]:
    return [one for one in findings.conditions if one.kind == "perplexity"]


def _size(condition: Condition) -> tuple[str, int]:
    labels = dict(condition.labels)
    sizes = ((name, int(labels[name])) for name in ("context", "window") if labels.get(name) is not None)
    return next(sizes, ("", 0))


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


def _bounds(loss: Loss) -> tuple[float, float, float]:
    known = not math.isnan(loss.low)
    return (loss.nats, loss.low, loss.high) if known else (loss.nats, loss.nats, loss.nats)


def _record(member: str, condition: Condition, loss: Loss) -> dict[str, Any]:
    cell = {"member": member, "task": condition.task, "variant": condition.variant}
    # Not a number where there is no loss, and too large a one where there is too much.
    perplexity = math.inf if loss.nats > 700 else math.exp(loss.nats)
    return cell | {**loss._asdict(), "perplexity": perplexity}
