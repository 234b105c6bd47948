"""Tables in their formats, against golden files; and escaping, against what renderers make of it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from archbench.report.escape import latex, markdown, markdown_code, one_line
from archbench.report.table import Cell, Column, Sheet, Table

GOLDEN = Path(__file__).parent / "golden"
SHEET = Sheet(
    "small",
    [
        Table(
            title="Small",
            caption="Score in percent and, in brackets, its 95 % interval.",
            columns=[
                Column("member", words=True),
                Column("0-shot", "standard"),
                Column("5-shot", "standard"),
                Column("n"),
            ],
            rows=[
                [
                    "transformer_1",
                    Cell("72.4 [70.6, 74.1]", bold=True),
                    Cell("70.0 [68.0, 71.8]", mark="†"),
                    "1,200",
                ],
                ["[a] & b | <c>", "−0.3", "—", "7"],
                ["guessing", "25.0", "25.0", ""],
            ],
            stamp="Match: not audited.",
            rules=frozenset({2}),
            notes=["mamba · mmlu · cloze: failed (100 % NaN_s)."],
        ),
        Table("Second", "Nothing.", [Column("x", words=True)], [["1"]], "Match: not audited."),
    ],
    pd.DataFrame({"member": ["transformer_1"], "score": [1 / 3], "low": [float("nan")]}),
)


@pytest.mark.parametrize("suffix", ["md", "tex", "csv"])
def test_a_small_table_looks_as_it_did(suffix: str) -> None:
    text = {"md": SHEET.to_markdown, "tex": SHEET.to_latex, "csv": SHEET.to_csv}[suffix]()
    assert text == (GOLDEN / f"small.{suffix}").read_text()


def test_inline_tables_leave_title_and_notes_to_the_page() -> None:
    text = SHEET.to_markdown(inline=True)
    assert "**Small.**" not in text
    assert "failed" not in text
    assert "Match: not audited." in text


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(max_size=60))
def test_markdown_shows_any_text_as_it_is(text: str) -> None:
    html = (
        MarkdownIt("commonmark")
        .enable("table")
        .render(f"| a |\n| --- |\n| x{markdown(text)} |\n\nx{markdown(text)}\n")
    )
    plain = html.replace("&#8203;", "").replace("\u200b", "")
    expected = (
        f"x{one_line(text)}".replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace('"', "&quot;")
    )
    assert plain.count(f">{expected}</") == 2, plain


@pytest.mark.parametrize(
    "text", ["- x", "+ x", "1. x", "# x", "> x", "* x", "- ", "https://evil.example/", "www.evil.example"]
)
def test_markdown_makes_no_list_heading_quote_or_link(text: str) -> None:
    html = MarkdownIt("gfm-like", {"linkify": False}).render(markdown(text))
    assert html.startswith("<p>")
    assert "<a" not in html
    if "evil" in text:
        assert "\u200b" in html  # keeps GitHub from linking the bare address


def test_code_blocks_hold_any_fence() -> None:
    html = MarkdownIt("commonmark").render(markdown_code("a\n```\n# b\n````\nc"))
    assert html == "<pre><code>a\n```\n# b\n````\nc\n</code></pre>\n"


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(max_size=60))
def test_latex_leaves_nothing_special_bare(text: str) -> None:
    made = latex(text)
    stripped = made
    for known in (
        r"\textbackslash{}",
        r"\{",
        r"\}",
        r"\$",
        r"\&",
        r"\%",
        r"\#",
        r"\_",
        r"\textasciitilde{}",
        r"$\pm$",
    ):
        stripped = stripped.replace(known, "")
    for known in (
        r"\textasciicircum{}",
        r"\textless{}",
        r"\textgreater{}",
        r"\textbar{}",
        "{[}",
        "{]}",
        "{*}",
        "{}-",
    ):
        stripped = stripped.replace(known, "")
    marks = (r"\textdagger{}", r"\textdaggerdbl{}", r"\S{}", r"\P{}")
    for known in ("$-$", r"$\times$", r"$\geq$", r"$\Delta$", r"\textperiodcentered{}", *marks):
        stripped = stripped.replace(known, "")
    assert not set("\\{}$&%#_^<>|[]*\n") & set(stripped)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("a--b", "a-{}-b"),
        ("mamba_2 50%", r"mamba\_2 50\%"),
        ("Müller Łódź ß", "Müller Łódź ß"),
        ("中 α ą", "U+4E2D U+03B1 U+0105"),
        ("x\u202ey\n[z]", "x y {[}z{]}"),
        ("38.3 ± 2.7 −1", r"38.3 $\pm$ 2.7 $-$1"),
    ],
)
def test_latex_of_examples(text: str, made: str) -> None:
    assert latex(text) == made


def test_every_mark_of_tables_has_a_command_in_latex() -> None:
    assert latex("† ‡ § ¶") == r"\textdagger{} \textdaggerdbl{} \S{} \P{}"
