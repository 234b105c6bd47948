"""The microworld: same bytes everywhere, held-out facts stay held out, every question answerable one way."""

from __future__ import annotations

import hashlib
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archbench.data.microworld import Question, World, document, evaluation_set, short_document
from archbench.data.microworld.contexts import SHORT
from archbench.data.microworld.documents import KINDS
from archbench.data.microworld.quiz import FORMATS, GROUPS, RECALL_SIZES, render, training_question
from archbench.data.microworld.world import OBJECTS, RELATIONS
from archbench.draw import Draw

WORLD = World(people=96)
CORPUS = "929f31b81eafe45eea914bc38d164e810e0e0b0f14217d969458b9c3fd314303"


def test_the_corpus_is_the_same_bytes_on_every_machine() -> None:
    text = "\x00".join(document(WORLD, 0, 0, number) for number in range(500))
    assert hashlib.sha256(text.encode()).hexdigest() == CORPUS


def test_documents_do_not_depend_on_what_was_made_before() -> None:
    alone = document(WORLD, 0, 0, 41)
    assert [document(WORLD, 0, 0, number) for number in (7, 41)][1] == alone
    assert document(WORLD, 1, 0, 41) != alone


def test_names_and_values_are_unambiguous() -> None:
    assert len(set(WORLD.names)) == WORLD.people
    words = [*OBJECTS, *(value for values in RELATIONS.values() for value in values)]
    assert len(set(words)) == len(words)


def test_half_of_the_facts_are_held_out_and_values_are_balanced() -> None:
    for relation, values in RELATIONS.items():
        asked, held_out = WORLD.asked(relation), WORLD.held_out(relation)
        assert len(asked) + len(held_out) == WORLD.people
        for value in values:
            counts = [sum(f.value == value for f in facts) for facts in (asked, held_out)]
            assert abs(counts[0] - counts[1]) <= 1


def test_no_training_document_asks_a_held_out_fact_but_prose_states_it() -> None:
    text = "\n".join(document(WORLD, 0, 0, number) for number in range(4000))
    asked = set(re.findall(r"What is the (\w+) of (\w+)\?", text))
    assert len(asked) > 200
    for relation in RELATIONS:
        for fact in WORLD.held_out(relation):
            assert (relation, fact.person) not in asked
            assert re.search(rf"(?:{fact.person}\b.*\b{fact.value}|The {relation} of {fact.person} is)", text)


def test_the_evaluation_asks_every_held_out_fact_once_and_shots_never_do() -> None:
    dev, test = evaluation_set(WORLD)
    stems = [q.stem for q in test if GROUPS[q.subject] == "facts"]
    expected = [f"What is the {f.relation} of {f.person}?" for f in WORLD.facts if f.held_out]
    assert sorted(stems) == sorted(expected)
    assert not {(q.stem, q.choices) for q in dev} & {(q.stem, q.choices) for q in test}
    assert {q.subject for q in dev} == {q.subject for q in test} == set(GROUPS)


@given(st.sampled_from(sorted(GROUPS)), st.integers(0, 10_000))
def test_every_question_has_one_right_option(subject: str, index: int) -> None:
    question = training_question(WORLD, subject, Draw(0, "test", subject, index))
    assert len(set(question.choices)) == 4
    right = question.choices[question.answer]
    if subject in RELATIONS:
        person = question.stem.split()[-1].rstrip("?")
        assert WORLD.by_person[person][subject].value == right
    elif subject == "kinds":
        kind = question.stem.split()[-1].rstrip("?")
        assert [choice in RELATIONS[kind] for choice in question.choices].count(True) == 1
        assert right in RELATIONS[kind]
    else:
        listed, asked = question.stem.removeprefix("They hold: ").split(". What does ")
        pairs = dict(pair.split() for pair in listed.split(", "))
        assert len(pairs) == int(subject.removeprefix("recall_"))
        assert pairs[asked.removesuffix(" hold?")] == right
        assert set(question.choices) <= set(pairs.values())


def test_the_answer_is_equally_often_at_each_place() -> None:
    _, test = evaluation_set(WORLD)
    counts = [sum(q.answer == place for q in test) for place in range(4)]
    assert min(counts) > 0.2 * len(test)


@pytest.mark.parametrize("layout", FORMATS)
def test_formats_differ_in_the_options_and_the_answer_alone(layout: str) -> None:
    question = Question("trade", "What is the trade of Mira?", ("smith", "baker", "mason", "potter"), 1)
    prompt, answer = render(question, layout)
    options = "\nA. smith\nB. baker\nC. mason\nD. potter"
    assert prompt == f"What is the trade of Mira?{'' if layout == 'cloze' else options}\nAnswer:"
    assert answer == (" B" if layout == "standard" else " baker")


def test_recall_sizes_fit_the_world() -> None:
    assert max(RECALL_SIZES) <= min(len(OBJECTS), len(WORLD.holders))


def test_shares_add_up_and_all_kinds_come() -> None:
    assert sum(share for _, share in KINDS) == pytest.approx(1)
    found = Counter(re.split(r"[ :]", document(WORLD, 0, 0, number))[0] for number in range(600))
    assert {"About", "They", "Entries", "Special", "Follow", "Read", "The", "A."} <= set(found)


def test_short_documents_are_lists_at_first_and_then_books_too() -> None:
    first = {short_document(WORLD, 0, 0, n, lists=True).split(":")[0] for n in range(60)}
    assert first == {"They hold"}
    then = [short_document(WORLD, 0, 9, n, lists=False) for n in range(60)]
    assert 10 < sum(text.startswith("They hold") for text in then) < 30
    assert 10 < sum("What is the phone number" in text for text in then) < 30
    assert short_document(WORLD, 0, 9, 41, lists=False) == then[41]
    for text in then:
        assert len(set(re.findall(r"(?m)^(?!Answer)(\w+): \d", text))) <= max(SHORT)
