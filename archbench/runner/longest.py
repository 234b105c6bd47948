"""Suites whose `engine.max_length` leaves no room for what they ask: refused with the plan."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from archbench.errors import RequestError
from archbench.suite import Suite
from archbench.tasks.entry import TaskEntry
from archbench.tasks.lengths import token_counter

_OUT = (
    "Raise engine.max_length, take it out, or leave what is too long out for every member, counted: "
    "engine.too_long=exclude."
)
_SPARE = 2
"""Tokens by which a text alone and the same text in a prompt may differ."""


def check_longest(suite: Suite, name: str, entry: TaskEntry, tokenizers: Iterable[Path]) -> None:
    """Refuse an entry whose items are sure to be longer than `engine.max_length`, where that is an error.

    Args:
        suite: The suite, as it was read.
        name: Name of the entry.
        entry: The entry, with its data and tokenizer written out.
        tokenizers: Tokenizers of the members.

    Raises:
        RequestError: A length that the entry asks for is longer; or the prompts of all its variants are.
    """
    most = suite.engine.max_length
    if most is None or suite.engine.too_long != "error":
        return
    # Lengths counted with another tokenizer are others in the members' own.
    if getattr(suite.tasks[name], "tokenizer", None) is None:
        for key, tokens in entry.longest_inputs().items():
            if tokens > most:
                raise RequestError(
                    f"{suite.where('tasks', name, key)}: 'tasks.{name}.{key}' makes inputs of {tokens:,} "
                    f"tokens, and engine.max_length is {most:,}; expected are inputs of at most {most:,} "
                    f"tokens. Ask for shorter ones. {_OUT}"
                )
    shortest = entry.part_of_every_variant()
    for folder in tokenizers if shortest is not None else ():
        tokens = token_counter(str(folder)).pieces([str(shortest)])[0] - _SPARE
        if tokens > most:
            raise RequestError(
                f"{suite.where('engine', 'max_length')}: 'engine.max_length' is {most:,}, but prompts of the "
                f"task '{name}' have {tokens:,} tokens and more with the tokenizer {folder}, in every "
                f"variant, so that each would fail; expected is a max_length that they fit into. {_OUT}"
            )
