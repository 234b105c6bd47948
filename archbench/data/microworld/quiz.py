"""Multiple-choice questions about the microworld, in the layout that MMLU evaluation uses.

Three groups of subjects, each answerable in one way only:

    facts    what prose stated somewhere in training   What is the trade of Mira?
    kinds    what sort of thing a word names           Which of these is a pet?
    recall   what this very question's passage says    They hold: Mira rope, Taba coin. What does Taba hold?

and three formats, here for one question (the answer, which ends the text, is what is scored):

    standard                      choice_text                   cloze
    ---------------------------   ---------------------------   ---------------------------
    The following are multiple choice questions (with answers) about trade.   (all three)
    <blank line>
    What is the trade of Mira?    What is the trade of Mira?    What is the trade of Mira?
    A. smith                      A. smith                      Answer: baker
    B. baker                      B. baker
    C. mason                      C. mason
    D. potter                     D. potter
    Answer: B                     Answer: baker

The evaluation renders its prompts in `archbench/tasks/mmlu`; a test holds that both give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from archbench.data.microworld.world import OBJECTS, RELATIONS, Fact, World
from archbench.draw import Draw

FORMATS = ("standard", "choice_text", "cloze")
RECALL_SIZES = (4, 8)
GROUPS: dict[str, str] = (
    dict.fromkeys(RELATIONS, "facts")
    | {"kinds": "kinds"}
    | {f"recall_{size}": "recall" for size in RECALL_SIZES}
)
"""Subject -> group of subjects (the `category` column of the quiz files)."""

_OPTIONS = 4


@dataclass(frozen=True)
class Question:
    """One question with four options, of which one is right.

    Attributes:
        subject: A key of `GROUPS`.
        stem: The question as asked, with its passage where it has one.
        choices: Four different options.
        answer: Index of the right option.
    """

    subject: str
    stem: str
    choices: tuple[str, ...]
    answer: int


def _with_options(subject: str, stem: str, right: str, wrong: list[str], draw: Draw) -> Question:
    choices = draw.shuffled([right, *draw.sample(wrong, _OPTIONS - 1)])
    return Question(subject, stem, tuple(choices), choices.index(right))


def fact_question(fact: Fact, draw: Draw) -> Question:
    """Ask for a fact; the wrong options are other values of the same relation."""
    wrong = [value for value in RELATIONS[fact.relation] if value != fact.value]
    return _with_options(
        fact.relation, f"What is the {fact.relation} of {fact.person}?", fact.value, wrong, draw
    )


def kind_question(draw: Draw) -> Question:
    """Ask which of four words names a value of a relation; the others name values of other relations."""
    kind, *others = draw.sample(list(RELATIONS), _OPTIONS)
    wrong = [draw.pick(RELATIONS[other]) for other in others]
    article = "an" if kind[0] in "aeiou" else "a"
    return _with_options(
        "kinds", f"Which of these is {article} {kind}?", draw.pick(RELATIONS[kind]), wrong, draw
    )


def recall_question(world: World, size: int, draw: Draw) -> Question:
    """Ask for one of `size` pairs that the question itself lists.

    The layout of the passage, a name and at once its object, is the one that attention learns to copy
    from earliest (a key and its value side by side, one token each):

        They hold: Mira rope, Taba coin, Zolin lamp, Heris key. What does Taba hold?

    The wrong options are other objects of the passage, so that knowing which objects occur is no help.
    """
    names, objects = draw.sample(world.holders, size), draw.sample(OBJECTS, size)
    passage = ", ".join(f"{name} {thing}" for name, thing in zip(names, objects, strict=True))
    asked = draw.below(size)
    wrong = [thing for thing in objects if thing != objects[asked]]
    return _with_options(
        f"recall_{size}", f"They hold: {passage}. What does {names[asked]} hold?", objects[asked], wrong, draw
    )


def training_question(world: World, subject: str, draw: Draw) -> Question:
    """Draw a question that training may ask: of the facts, only asked ones."""
    if subject in RELATIONS:
        return fact_question(draw.pick(world.asked(subject)), draw)
    if subject == "kinds":
        return kind_question(draw)
    return recall_question(world, int(subject.removeprefix("recall_")), draw)


def render(question: Question, layout: str) -> tuple[str, str]:
    """Prompt and answer of one question in one of `FORMATS`, without description or shots."""
    if layout == "cloze":
        return f"{question.stem}\nAnswer:", f" {question.choices[question.answer]}"
    options = "".join(
        f"\n{letter}. {choice}" for letter, choice in zip("ABCD", question.choices, strict=True)
    )
    answer = "ABCD"[question.answer] if layout == "standard" else question.choices[question.answer]
    return f"{question.stem}{options}\nAnswer:", f" {answer}"


def description(subject: str) -> str:
    """The line above the questions of a subject."""
    about = subject.replace("_", " ")
    return f"The following are multiple choice questions (with answers) about {about}."


def evaluation_set(
    world: World, *, shots: int = 5, kinds: int = 60, recall: int = 80
) -> tuple[list[Question], list[Question]]:
    """The questions that ship with the family.

    Args:
        world: The world asked about.
        shots: Questions a subject in the first list; of the facts, asked ones.
        kinds: Evaluation questions about kinds.
        recall: Evaluation questions for each size of the recalled list.

    Returns:
        Shots and evaluation questions, both by subject. The evaluation asks every held-out fact once.
    """
    dev, test = [], []
    for subject, group in GROUPS.items():
        draw = Draw(world.seed, "evaluation", "shots", subject)
        seen: set[str] = set()
        while len(seen) < shots:
            question = training_question(world, subject, draw)
            if question.stem not in seen:
                seen.add(question.stem)
                dev.append(question)
        draw = Draw(world.seed, "evaluation", "test", subject)
        if group == "facts":
            test += [fact_question(fact, draw) for fact in world.held_out(subject)]
        elif group == "kinds":
            test += [kind_question(draw) for _ in range(kinds)]
        else:
            test += [training_question(world, subject, draw) for _ in range(recall)]
    return dev, test
