"""How near an answer is to the number, and where a wrong number came from."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from archbench.answers import first_line, form_of

SOURCES = ("right", "neighbour", "example", "book", "nowhere", "no number", "empty")
"""What `source` may say, in the order of tables."""

VERSION = 2
"""Part of the key of a phonebook's cells: raised when the same answer would be scored otherwise."""

# Minus, hyphen bullet, katakana middle dot, middle dots: no dashes or full stops by their category.
_MARKS = {"\u2212": "-", "\u2043": "-", "\u00b7": ".", "\u2027": ".", "\u2219": ".", "\u30fb": "."}


def plainly(text: str) -> str:
    """A text with its digits, spaces, dashes, dots and brackets as a keyboard has them, and nothing unseen.

    Models write numbers as typeset texts have them: with dashes of all lengths, spaces that do not break,
    full-width digits, marks without width. Other characters stay as they are, those that are not ASCII
    alone.
    """
    return text if text.isascii() else "".join(map(_plain, text))


def _plain(character: str) -> str:
    if character.isascii():
        return character
    if character in _MARKS:
        return _MARKS[character]
    category = unicodedata.category(character)
    fixed = {"Pd": "-", "Zs": " ", "Zl": " ", "Zp": " ", "Cf": ""}
    if category in fixed:
        return fixed[category]
    same = unicodedata.normalize("NFKC", character)
    digit = category == "Nd" and same.isascii()
    return same if digit or same in ("(", ")", ".") else character


def digits_right(answer: str, target: str) -> list[bool]:
    """For each digit of the target, whether the answer's digit at its position is the same.

    They are those of the answer's number (`number_in`), or where it has none all its digits, counted from
    the first. Digits that are missing are wrong.
    """
    given, wanted = number_in(answer, target) or _digits(plainly(answer)), _digits(target)
    return [at < len(given) and given[at] == digit for at, digit in enumerate(wanted)]


def number_in(answer: str, target: str) -> str:
    """Digits of the answer's number, with as many as the target has; empty if it has none.

    The first one written like the target counts, or else the first of as many digits with spaces, dots,
    dashes or brackets among them, where the target is not written plainly either. Typographic marks count as
    plain ones.
    """
    answer = plainly(answer)
    form = re.sub("[0-9]", "[0-9]", re.escape(target))
    if found := re.search(rf"(?<![0-9]){form}(?![0-9])", answer):
        return _digits(found[0])
    # Three marks are a dash between spaces; read so only where fewer do not give a number.
    for between in ("[ ().-]{0,2}", "[ ().-]{0,3}") if _digits(target) != target else ("",):
        for run in re.finditer(rf"[0-9](?:{between}[0-9])*", answer):
            if len(_digits(run[0])) == len(_digits(target)):
                return _digits(run[0])
    return ""


def numbers_in(answer: str, target: str) -> list[str]:
    """Digits of all numbers in an answer that have as many as the target has, in the order they stand in."""
    answer = plainly(answer)
    form = re.sub("[0-9]", "[0-9]", re.escape(target))
    digits = len(_digits(target))
    betweens = ("[ ().-]{0,2}", "[ ().-]{0,3}") if digits != len(target) else ("",)
    # As the target is written; plainly; or with anything between the digits.
    forms = form, f"[0-9]{{{digits}}}", *(f"[0-9](?:{between}[0-9])*" for between in betweens)
    found = {
        match.start(): _digits(match[0])
        for one in forms
        for match in re.finditer(rf"(?<![0-9])(?:{one})(?![0-9])", answer)
        if len(_digits(match[0])) == digits
    }
    return [found[at] for at in sorted(found)]


def leading(right: Sequence[bool]) -> int:
    """How many digits are right before the first wrong one."""
    return next((at for at, one in enumerate(right) if not one), len(right))


def edit_distance(one: str, other: str) -> int:
    """Fewest insertions, deletions and substitutions of characters that turn one text into the other.

    Levenshtein 1966, by the two-row table of Wagner and Fischer 1974.
    """
    row = list(range(len(other) + 1))
    for above, a in enumerate(one, start=1):
        diagonal, row[0] = row[0], above
        for at, b in enumerate(other, start=1):
            diagonal, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, diagonal + (a != b))
    return row[-1]


def source(answer: str, doc: Mapping[str, Any]) -> str:
    """Where the number in an answer came from.

    Args:
        answer: The answer's first line.
        doc: The item: `numbers` of the book in order, `place` of the queried entry, `examples`.

    Returns:
        `right`; `neighbour`, the entry just before or after the queried one; `example`, one shown as an
        example; `book`, any other entry; `nowhere`, a number of as many digits that is not in the book;
        `no number`; or `empty`.
    """
    if not answer:
        return "empty"
    place, numbers = doc["place"], [_digits(number) for number in doc["numbers"]]
    number = number_in(answer, doc["numbers"][place])
    if not number:
        return "no number"
    if number not in numbers:
        return "nowhere"
    at = numbers.index(number)
    if at == place:
        return "right"
    if abs(at - place) == 1:
        return "neighbour"
    return "example" if at in doc["examples"] else "book"


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Scores of a response, each from 0 to 1; lm-eval calls it.

    Returns:
        `exact_match`: the first line is the number and nothing else;
        `digit_accuracy`: share of the digits that are right at their position;
        `leading_digits`: share of them that are right before the first wrong one;
        `similarity`: 1 minus the edit distance over the longer text's length;
        `in_line`: the number stands somewhere in the first line, however it is written;
        `first_in_line`: it is the first number of as many digits there.
    """
    answer, target = first_line(results[0]), doc["target"]
    right, numbers = digits_right(answer, target), numbers_in(answer, target)
    return {
        "exact_match": float(answer == target),
        "digit_accuracy": sum(right) / len(right),
        "leading_digits": leading(right) / len(right),
        "similarity": 1 - edit_distance(answer, target) / max(len(answer), len(target)),
        "in_line": float(_digits(target) in numbers),
        "first_in_line": float(numbers[:1] == [_digits(target)]),
    }


def details(doc: Mapping[str, Any], response: str) -> dict[str, int | str]:
    """What an item row keeps in addition to the scores; docs/phonebook.md lists the columns."""
    answer = first_line(response)
    right = digits_right(answer, doc["target"])
    return {
        **{name: int(doc[name]) for name in ("book", "book_entries", "place", "depth")},
        "source": source(answer, doc),
        "answer_form": form_of(answer, of_the_kind=bool(number_in(answer, doc["target"]))),
        "digits": "".join("1" if one else "0" for one in right),
        "leading": leading(right),
        "edits": edit_distance(answer, doc["target"]),
    }


def _digits(text: str) -> str:
    return "".join(character for character in text if character in "0123456789")
