"""A question set: rows checked and made into items with stable ids, grouped as the benchmark reports them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import groupby
from typing import Any

from archbench.errors import RequestError, amount, did_you_mean
from archbench.identity import digest
from archbench.tasks.entry import ENTRY
from archbench.tasks.files.alike import folded
from archbench.tasks.files.duplicates import check_splits_differ
from archbench.tasks.files.rows import Row, parse_json
from archbench.tasks.mmlu.answer_key import Base, base_note, check_one_notation, option_of
from archbench.tasks.mmlu.prompts import LETTERS
from archbench.tasks.mmlu.splits import Split, read_splits
from archbench.tasks.mmlu.subjects import CATEGORY_OF, UNLISTED


@dataclass(frozen=True)
class Item:
    """One question with its four options.

    Attributes:
        id: The data's own `id`, or `<subject>/<n>-<hash>`: the question's position among its subject's in
            the file, from 0, and eight hexadecimal digits of its content. Neither `subjects` nor `limit`
            changes it.
        subject: As in the data, without surrounding spaces.
        category: The data's own `category`, else MMLU's for the subject, else `unlisted`.
        question: As in the data.
        choices: The four options' texts, as in the data.
        answer: Index of the right option.
    """

    id: str
    subject: str
    category: str
    question: str
    choices: tuple[str, ...]
    answer: int

    @property
    def content(self) -> tuple[str, ...]:
        """What makes it the same question as another: question and options, in any order of the options.

        White space and case make no difference.
        """
        return (folded(self.question), *sorted(map(folded, self.choices)))


@dataclass(frozen=True)
class Questions:
    """The questions of a suite entry, and the shots that it may use.

    Attributes:
        test: The evaluated items, in data order.
        dev: Shots by subject, in data order.
        source: What the shots were read from, for messages.
        base_note: The note on answers whose base is unclear; None where it is not.
    """

    test: tuple[Item, ...]
    dev: dict[str, tuple[Item, ...]]
    source: str
    base_note: str | None = None

    def digest(self) -> str:
        """Hex SHA-256 of the items and shots; the same for the same questions from any kind of file."""
        shots = [shot for subject in sorted(self.dev) for shot in self.dev[subject]]
        content = [[astuple(item) for item in items] for items in (self.test, shots)]
        return digest(content, spaces=True)

    def require_shots(self, numbers: Sequence[int]) -> None:
        """Make sure that every evaluated subject has enough shots for the largest of some numbers.

        Raises:
            RequestError: One has fewer; says which numbers are possible for all.
        """
        subjects = {item.subject for item in self.test}
        have = {subject: len(self.dev.get(subject, ())) for subject in sorted(subjects)}
        fewest = min(have, key=lambda subject: have[subject])
        if have[fewest] < max(numbers):
            most = list(dict.fromkeys(min(one, have[fewest]) for one in numbers))
            error = too_few_shots(self.source, fewest, have[fewest], max(numbers))
            raise RequestError(
                f"{error} All subjects have enough for --set {ENTRY}.shots={json.dumps(most)}."
            )


def too_few_shots(source: str, subject: str, have: int, requested: int) -> RequestError:
    """The error for a subject whose `dev` split is shorter than the number of shots requested."""
    return RequestError(
        f"{source}: {amount(requested, 'shot is', 'shots are')} requested, but subject '{subject}' has "
        f"{have} in the dev split. Use at most {have}, leave the subject out with `subjects`, or add "
        "questions to dev (shots of one subject are never borrowed from another)."
    )


def load(
    data: str,
    *,
    subjects: Sequence[str] | None = None,
    limit: int | None = None,
    answer_base: Base | None = None,
) -> Questions:
    """Read a question set.

    Args:
        data: A folder or a hub data set id, see `archbench.tasks.mmlu.splits.read_splits`.
        subjects: Only these; None for all.
        limit: Only the first so many items of each subject; None for all.
        answer_base: What answers that are numbers are counted from; None for 0.

    Returns:
        The items and the shots of their subjects.

    Raises:
        RequestError: The data cannot be read, a row is not as expected, a subject is not in the data, or both
            splits hold the same questions.
    """
    splits = read_splits(data)
    test = _items(splits["test"], answer_base)
    present = {item.subject for item in test}
    for name in subjects or ():
        if name not in present:
            raise RequestError(
                f"{splits['test'].name}: `subjects` names '{name}', which no row has. "
                + did_you_mean(name, present, label="Subjects")
            )
    wanted = present.intersection(subjects) if subjects is not None else present
    taken: Counter[str] = Counter()
    kept = []
    for item in test:
        taken[item.subject] += 1
        if item.subject in wanted and (limit is None or taken[item.subject] <= limit):
            kept.append(item)
    dev = _items(splits["dev"], answer_base) if "dev" in splits else []
    if dev:
        names = splits["test"].name, splits["dev"].name
        check_splits_differ([item.content for item in test], [item.content for item in dev], names)
    dev.sort(key=lambda item: item.subject)
    shots = {subject: tuple(group) for subject, group in groupby(dev, key=lambda item: item.subject)}
    source = splits["dev"].name if "dev" in splits else data
    note = base_note(splits.values()) if answer_base is None else None
    return Questions(tuple(kept), {s: shots[s] for s in sorted(wanted) if s in shots}, source, note)


def _items(split: Split, base: Base | None) -> list[Item]:
    if base is None:
        check_one_notation(split)
    seen: dict[str, str] = {}
    counts: Counter[str] = Counter()
    items = []
    for where, row in split.rows:
        at = f"{split.name}, {where}"
        item = _item(row, at, counts, base)
        if item.id in seen:
            raise RequestError(f"{at}: id '{item.id}' was used in {seen[item.id]} too; ids must be unique.")
        seen[item.id] = where
        items.append(item)
    return items


def _item(row: Row, at: str, counts: Counter[str], base: Base | None) -> Item:
    subject = _text(row, "subject", at).strip()
    question = _text(row, "question", at)
    choices = _choices(row, at)
    answer = option_of(_cell(row, "answer", at), base, at)
    category = _label(row, "category", at) or CATEGORY_OF.get(subject, UNLISTED)
    content = digest([question, choices, answer], spaces=True)[:8]
    item_id = _label(row, "id", at) or f"{subject}/{counts[subject]}-{content}"
    counts[subject] += 1
    return Item(item_id, subject, category, question, tuple(choices), answer)


def _cell(row: Row, column: str, at: str) -> Any:
    if column not in row:
        names = [str(name) for name in row]
        raise RequestError(
            f"{at}: there is no column '{column}'; question, choices (or A, B, C, D), answer and subject are "
            f"expected. {did_you_mean(column, names, label='Columns')}"
        )
    return row[column]


def _text(row: Row, column: str, at: str) -> str:
    return _checked_text(_cell(row, column, at), f"{at}, column '{column}'")


def _checked_text(value: Any, at: str) -> str:
    if not isinstance(value, str):
        raise RequestError(f"{at}: text is expected, but it is {_shown(value)}.")
    if not value.strip():
        raise RequestError(f"{at}: text is expected, but it is empty.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RequestError(f"{at}: the text is not valid Unicode ({error.reason}).") from error
    return value


def _label(row: Row, column: str, at: str) -> str | None:
    """An optional column's text; None where the column or the cell is missing. An `id` may be a number."""
    value = row.get(column)
    if value is None or value == "":
        return None
    if column == "id" and type(value) is int:
        return str(value)
    return _checked_text(value, f"{at}, column '{column}'").strip()


def _choices(row: Row, at: str) -> list[str]:
    if "choices" not in row and set(LETTERS) <= set(row):
        _no_more(row, at)
        return [_text(row, letter, at) for letter in LETTERS]
    options = _listed(row, at)
    _no_more(row, at)
    for letter, option in zip(LETTERS, options, strict=True):
        if row.get(letter) not in (None, "", option):
            raise RequestError(
                f"{at}: column '{letter}' has {_shown(row[letter])}, but option {letter} of column "
                f"'choices' is {_shown(option)}. Make them the same, or take one of the two out."
            )
    return options


def _no_more(row: Row, at: str) -> None:
    """Refuse a fifth option, which no format could score."""
    if row.get("E") not in (None, ""):
        raise RequestError(
            f"{at}: column 'E' has {_shown(row['E'])}, but items have 4 options, A to D, as in all of MMLU. "
            "Rename the column if it is no option."
        )


def _listed(row: Row, at: str) -> list[str]:
    value = _cell(row, "choices", at)
    at = f"{at}, column 'choices'"
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except (ValueError, RecursionError) as error:
            raise RequestError(
                f'{at}: a JSON list of four texts is expected, such as ["one", "two", "three", "four"], but '
                f"it is {_shown(value)}. Four columns A, B, C and D are accepted too."
            ) from error
    if not isinstance(value, list) or len(value) != len(LETTERS):
        got = amount(len(value), "option") if isinstance(value, list) else _shown(value)
        raise RequestError(f"{at}: a list of 4 options is expected, as in all of MMLU, but it has {got}.")
    options = zip(LETTERS, value, strict=True)
    return [_checked_text(text, f"{at}, option {letter}") for letter, text in options]


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
