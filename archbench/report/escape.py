"""Text from models, data and users, made safe for Markdown and LaTeX. Both treat all of it as plain words."""

from __future__ import annotations

import re
import unicodedata

_MARKDOWN = re.compile(r"([\\`*_\[\]#|~$])")
_LIST = re.compile(r"^([-+]|\d+\.)(?=\s|$)")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # After the end of a row, these would be read as its arguments.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    '"': "''",
    "±": r"$\pm$",
    "−": r"$-$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "Δ": r"$\Delta$",
    "·": r"\textperiodcentered{}",
    "†": r"\textdagger{}",
    "‡": r"\textdaggerdbl{}",
    "§": r"\S{}",
    "¶": r"\P{}",
    "—": "---",
    "–": "--",
    "’": "'",
    "\u00a0": "~",
}
# Letters that LaTeX makes in its default encoding: those with an accent it can set, and a few of their own.
_ACCENTS = {"0300", "0301", "0302", "0303", "0304", "0306", "0307", "0308", "030A", "030B", "030C", "0327"}
_LETTERS = set("ßæÆøØœŒłŁ")


def one_line(text: str) -> str:
    """The text without line breaks, control and invisible characters; all spaces become single ones."""
    visible = (" " if unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else one for one in text)
    return " ".join("".join(visible).split())


def markdown(text: str) -> str:
    """Text that GitHub-flavoured Markdown shows as it is: no markup, HTML, cell border, maths or link."""
    escaped = _MARKDOWN.sub(r"\\\1", one_line(text))
    escaped = "".join(_ENTITIES.get(one, one) for one in escaped)
    escaped = _LIST.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", escaped)
    # Bare addresses become links without any markup; a zero-width break keeps them words.
    return re.sub(r"(?i)(https?|ftp|www)(?=[:.])", lambda found: f"{found[0]}&#8203;", escaped)


def markdown_code(text: str) -> str:
    """A block that shows text letter for letter, whatever fences are in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def latex(text: str) -> str:
    """Text that LaTeX typesets as it is, in any document class, with pdfLaTeX and no package.

    Letters that pdfLaTeX lacks without further packages, such as Greek or Chinese ones, become their code
    point (`U+4E2D`), since one of them would stop the whole document.
    """
    plain = one_line(text)
    pairs = zip(" " + plain, plain, strict=False)
    # Two hyphens in a row would be typeset as a dash.
    return "".join("{}-" if (before, one) == ("-", "-") else _latex(one) for before, one in pairs)


def _latex(one: str) -> str:
    if one in _LATEX:
        return _LATEX[one]
    parts = unicodedata.decomposition(one).split()
    if one.isascii() or one in _LETTERS or (ord(one) < 0x180 and len(parts) == 2 and parts[1] in _ACCENTS):
        return one
    return f"U+{ord(one):04X}"
