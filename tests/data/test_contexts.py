"""Documents answered from themselves: the tasks' own prompts, each with one right answer."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archbench.data.microworld import World, contexts
from archbench.data.microworld.world import DIGITS, OBJECTS
from archbench.draw import Draw
from archbench.tasks.phonebook import prompts
from archbench.tasks.ruler.counting import FrequentWords
from archbench.tasks.ruler.haystacks import NOISE
from archbench.tasks.ruler.needles import Needles
from archbench.tasks.ruler.variables import Variables

WORLD = World(people=96)
INDICES = st.integers(0, 10_000)


def book_of(text: str) -> list[tuple[str, str]]:
    found = re.findall(rf"(?m)^([A-Z][a-z]+): (\d{{{DIGITS}}})$", text)
    return [entry for entry in found if entry[0] != "Answer"]


def without(text: str, *words: str) -> str:
    """A text with names, things and numbers taken out: what is left is the template's."""
    for word in sorted(words, key=len, reverse=True):
        text = re.sub(rf"\b{re.escape(word)}\b", "_", text)
    return text


@given(INDICES)
def test_phonebooks_are_the_tasks_prompts(index: int) -> None:
    text = contexts.phonebook(WORLD, Draw("test", index))
    lines, *turns = text.split("\n\n")
    book = book_of(lines)
    asked = [tuple(re.findall(r"for (\w+)\?\nAnswer: (\d+)", turn)[0]) for turn in turns]
    assert sorted(asked) == sorted(book), "each entry is asked once, and answered right"
    assert len({name for name, _ in book}) == len({number for _, number in book}) == len(book)
    for name, number in asked[2:]:
        prompt = prompts.standard(prompts.book_lines(book), asked[:2], name)
        shots, question = prompt.rsplit("\n\n", 1)
        assert text.startswith(shots)
        assert f"{question} {number}" in turns


@given(INDICES)
def test_copied_phonebooks_are_the_tasks_prompts(index: int) -> None:
    text = contexts.phonebook_copied(WORLD, Draw("test", index))
    book, examples, rest = map(book_of, text.split("\n\n"))
    assert sorted([*examples, *rest]) == sorted(book)
    name, number = rest[0]
    assert text.startswith(f"{prompts.copy(prompts.book_lines(book), examples, name)} {number}")


@given(INDICES)
def test_reversed_phonebooks_are_the_tasks_prompts(index: int) -> None:
    text = contexts.phonebook_reversed(WORLD, Draw("test", index))
    shown, book = (book_of(text.split("Here is the phonebook:")[at]) for at in (0, 1))
    name, number = re.findall(r"for (\w+)\?\nAnswer: (\d+)", text)[0]
    assert (name, number) in book
    assert set(shown) < set(book)
    assert text == f"{prompts.reversed_(prompts.book_lines(book), shown, name, worked=False)} {number}"


@given(INDICES)
def test_a_needle_is_there_once(index: int) -> None:
    text = contexts.needle(WORLD, Draw("test", index))
    body, question = text.rsplit("\n", 1)
    name, number = re.findall(r"The special magic number for (\w+) is (\d+)$", question)[0]
    assert body.count(f"The special magic number for {name} is {number}.") == 1
    assert body.count(name) == 1


@given(INDICES)
def test_a_chain_leads_to_all_its_names(index: int) -> None:
    text = contexts.chain(WORLD, Draw("test", index))
    values: dict[str, str] = {}
    for to, of in re.findall(r"VAR (\w+) = (?:VAR )?(\w+)\.", text):
        values[to] = values.get(of, of)
    value = re.findall(r"have the value (\d+) in", text)[0]
    names = text.rsplit(" are ", 1)[1].split(", ")
    assert names == list(values)
    assert set(values.values()) == {value}


@given(INDICES)
def test_the_three_most_frequent_things_are_named_in_order(index: int) -> None:
    text = contexts.frequency(WORLD, Draw("test", index))
    counts = Counter(text.split("\n")[1].split()).most_common()
    assert counts[0][0] == "...."
    assert text.rsplit(": ", 1)[1].split(", ") == [thing for thing, _ in counts[1:4]]
    assert counts[3][1] > counts[4][1]


@given(INDICES)
def test_lists_say_the_same_in_every_reading(index: int) -> None:
    readings = contexts.held_things(WORLD, Draw("test", index)).split("\n")
    pairs = [sorted(one.removeprefix("They hold: ").rstrip(".").split(", ")) for one in readings]
    assert len(readings) > 1
    assert all(one == pairs[0] for one in pairs)


@given(INDICES)
def test_a_book_read_out_says_the_same_each_time(index: int) -> None:
    readings = [sorted(book_of(one)) for one in contexts.book_read_out(WORLD, Draw("t", index)).split("\n\n")]
    assert len(readings) > 1
    assert all(one == readings[0] for one in readings)
    assert len(readings[0]) in contexts.SHORT


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (contexts.needle, Needles("niah_single_1", ())),
        (contexts.chain, Variables("short")),
        (contexts.frequency, FrequentWords(256)),
    ],
)
def test_wording_is_rulers(mine: object, theirs: object) -> None:
    """First line and question are the same but for what is asked about and how much of it there is."""
    ours = mine(WORLD, Draw("test", 1))  # type: ignore[operator]
    prompt = theirs.make(Draw("test", 1), 0, 40).prompt  # type: ignore[attr-defined]
    names = (*WORLD.holders, *OBJECTS)
    one, other = (
        re.sub(r"\d+|[A-Z]{5}|[a-z]+-[a-z]+", "_", without(text, *names)) for text in (ours, prompt)
    )
    assert one.split("\n")[0] == other.split("\n")[0]
    ending = other.split("\n")[-1]
    assert one.split("\n")[-1].startswith(ending)


def test_noise_is_rulers() -> None:
    assert contexts._NOISE == NOISE
