"""Duplicates: among the evaluated questions, among the examples, and between the two."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

from archbench.errors import RequestError, amount


def check_splits_differ(
    evaluated: Sequence[Hashable], shown: Sequence[Hashable], names: tuple[str, str]
) -> None:
    """Make sure that examples are not the questions themselves.

    Args:
        evaluated: A key of each evaluated question's content.
        shown: A key of each question's content that examples are taken from.
        names: What the two were read from.

    Raises:
        RequestError: Both hold the same questions.
    """
    if set(evaluated) == set(shown):
        raise RequestError(
            f"{names[1]} holds the same questions as {names[0]}, so that prompts with examples would show "
            f"their own right answers. Put other questions into {names[1]}, or delete it and evaluate "
            "without examples."
        )


def duplicate_questions(
    keys: Sequence[Hashable], names: Sequence[str], answers: Sequence[Hashable]
) -> str | None:
    """The note on questions that are evaluated more than once; None where there are none.

    Args:
        keys: A key of each question's content, in which its answer is left out.
        names: The name of each question.
        answers: The right answer of each, in any form that can be compared.
    """
    twins = _groups(keys)
    if not twins:
        return None
    first = " and ".join(names[at] for at in twins[0][:2])
    return (
        f"{_copies(twins)} of {len(keys)} evaluated questions are copies of others (the first: {first}). "
        "They are kept, but copies are not independent, so that intervals and p-values look more certain "
        "than they are." + _contrary(twins, answers)
    )


def duplicate_examples(
    keys: Sequence[Hashable], names: Sequence[str], answers: Sequence[Hashable], source: str
) -> str | None:
    """The note on examples that occur more than once; None where there are none.

    Args:
        keys: A key of each example's content, in which its answer is left out.
        names: The name of each example.
        answers: The right answer of each, in any form that can be compared.
        source: What they were read from.
    """
    twins = _groups(keys)
    if not twins:
        return None
    first = " and ".join(names[at] for at in twins[0][:2])
    return (
        f"{_copies(twins)} of {len(keys)} examples of {source} are copies of others (the first: {first}), so "
        "that prompts may show one question more than once, and fewer different examples than they have "
        "shots." + _contrary(twins, answers)
    )


def _groups(keys: Sequence[Hashable]) -> list[list[int]]:
    """Positions of those that are equal to one another, of each such group."""
    groups: defaultdict[Hashable, list[int]] = defaultdict(list)
    for at, key in enumerate(keys):
        groups[key].append(at)
    return [group for group in groups.values() if len(group) > 1]


def _copies(groups: Sequence[Sequence[int]]) -> int:
    return sum(len(group) - 1 for group in groups)


def _contrary(groups: Sequence[Sequence[int]], answers: Sequence[Hashable]) -> str:
    contrary = sum(len({answers[at] for at in group}) > 1 for group in groups)
    return f" Copies of {contrary} differ in the right answer, so one at most is right." * bool(contrary)


def leaked_questions(
    evaluated: Sequence[Hashable], shown: Sequence[Hashable], names: Sequence[str], source: str
) -> str | None:
    """The note on evaluated questions that are also examples; None where there are none.

    Args:
        evaluated: A key of each evaluated question's content.
        shown: Keys of the examples that prompts may show.
        names: The name of each evaluated question.
        source: What the examples were read from.
    """
    known = set(shown)
    both = [name for key, name in zip(evaluated, names, strict=True) if key in known]
    if not both:
        return None
    return (
        f"{len(both)} of {amount(len(evaluated), 'evaluated question')} are also among the examples of "
        f"{source} ({', '.join(both[:3])}{', ...' if len(both) > 3 else ''}): prompts that show them hold "
        "the right answer. Take them out of one of the two."
    )
