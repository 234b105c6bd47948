"""RULER's question answering: the documents that hold the answer among others."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter

from archbench.draw import Draw
from archbench.errors import RequestError, amount
from archbench.tasks.lengths import TokenCounter
from archbench.tasks.ruler.fitting import Draft, TooShort, answer_room
from archbench.tasks.ruler.qa_data import FILES, QaData, Question

VERSION = 2
"""Goes into the keys of cells with such questions: raise it when a change here alters a prompt."""
_MARGIN = 16
"""Tokens by which a prompt may be longer than the sum of its parts."""
_MISSES = 32
"""Documents that do not fit in a row, after which no other is tried."""
_GAP = 0.05
"""Share of the documents' tokens that may stay unused: above it, other documents are drawn."""
_TRIES = 16
"""Most draws of documents; then the fullest text is used."""
_SAME = 4
"""Draws with the same number of the question's own documents."""
_REPLIES = 64


class QuestionAnswering:
    """Makes `qa_1` or `qa_2`; a unit is a token of the documents.

    Questions come in an order drawn for the seed, the same at every length. One whose documents alone are
    longer than the length is passed over.
    """

    form = "published"
    least = 0

    def __init__(
        self, task: str, data: QaData, seed: int, length: int, room: int, count: TokenCounter
    ) -> None:
        """Draw the order of the questions.

        Args:
            task: The task's name.
            data: Documents and questions.
            seed: Seed of their order.
            length: Tokens of prompt and answer.
            room: Published tokens for the answer.
            count: Counts tokens.
        """
        self.step = length
        self._data, self._count, self._task, self._length = data, count, task, length
        order = Draw(seed, "ruler", task, "questions").shuffled(data.questions)
        self.replies = [min(question.answers, key=len) for question in order[:_REPLIES]]
        # The few longest answers are titles of works and the like, which need not fit.
        self.replies = sorted(self.replies, key=len)[: max(1, round(0.95 * len(self.replies)))]
        self._room = room
        most = length - self._reserved(length)
        self._order = order
        self._fitting = (one for one in order if self._least_size(one) <= most)
        self._known: list[Question] = []

    def make(self, draw: Draw, index: int, units: int) -> Draft:
        """Put the documents of a question among others, so many tokens in all; see `Maker.make`."""
        question, data = self._question(index), self._data
        chosen, left = self._choose(draw, question, units, near=len(question.near))
        for tried in range(_TRIES):
            if left <= _GAP * units:
                break
            # The question's own documents may be too many for one more and too few to fill the length.
            near = max(0, len(question.near) - tried // _SAME)
            chosen, left = min((chosen, left), self._choose(draw, question, units, near), key=itemgetter(1))
        if left > units // 10 and len(data.documents) - len(chosen) < _MISSES:
            raise RequestError(
                f"{data.path}: its {amount(len(data.documents), 'document fills', 'documents fill')} "
                f"no more than {units - left:,} "
                f"of the {self._length:,} tokens of {self._task}: choose a shorter length, or name a larger "
                f"file with `{FILES[self._task]}`."
            )
        shown = draw.shuffled(chosen)
        places = [shown.index(at) for at in question.gold]
        details: dict[str, int | str] = {"documents": len(shown)}
        if len(places) == 1 and len(shown) > 1:
            details["depth"] = round(100 * places[0] / (len(shown) - 1))
        return Draft(_prompt([data.documents[at] for at in shown], question.text), question.answers, details)

    def _choose(self, draw: Draw, question: Question, units: int, near: int) -> tuple[list[int], int]:
        """Documents of so many tokens in all: each that fits, in an order drawn.

        Args:
            draw: What the order is drawn with.
            question: The question, whose documents are in any case among them.
            units: Tokens of the documents, headings included.
            near: How many of those that come with the question are tried before others.

        Returns:
            The documents, and the tokens that are left.
        """
        data = self._data
        chosen, left, misses = [*question.gold], units - self._sum(question.gold), 0
        first = draw.sample(question.near, near)
        for at in _others(draw, first, {*question.gold, *first}, len(data.documents)):
            size = data.size(self._count, at)
            if size <= left:
                chosen.append(at)
                left -= size
            else:
                misses += 1
            if left <= 0 or misses == _MISSES:
                break
        return chosen, left

    def _question(self, index: int) -> Question:
        while len(self._known) <= index:
            found = next(self._fitting, None)
            if found is None:
                fewer = f"set `samples` to at most {len(self._known)}" if self._known else "leave it out"
                message = (
                    f"{self._data.path}: {len(self._known):,} of its {len(self._data.questions):,} "
                    f"questions have documents that fit into {self._length} tokens with this tokenizer, and "
                    f"{self._task} needs {index + 1:,}: {fewer}"
                )
                if index >= len(self._order):
                    raise RequestError(f"{message}.")
                enough = self._long_enough(index + 1)
                raise TooShort(
                    f"{message}, or choose a length of {enough} tokens or more.", self._task, enough
                )
            self._known.append(found)
        return self._known[index]

    def _reserved(self, length: int) -> int:
        """Tokens kept free for the answer, and some to spare."""
        return answer_room(self._room, self.replies, length, self._count) + _MARGIN

    def _long_enough(self, number: int) -> int:
        """The shortest length in tokens at which so many questions fit."""
        size = sorted(map(self._least_size, self._order))[number - 1]
        length = size + self._reserved(size)
        # From 1,024 tokens on, the answer's room is another one.
        return size + self._reserved(length)

    def _sum(self, documents: tuple[int, ...]) -> int:
        return sum(self._data.size(self._count, at) for at in documents)

    def _least_size(self, question: Question) -> int:
        return self._sum(question.gold) + self._count.pieces([_prompt([], question.text)])[0]


def _others(draw: Draw, near: list[int], taken: set[int], documents: int) -> Iterator[int]:
    """Indices of documents to fill up with: first those that come with the question, then any, each once."""
    yield from near
    moved: dict[int, int] = {}
    for at in range(documents):
        # Fisher and Yates's shuffle, as far as it is needed.
        other = at + draw.below(documents - at)
        found = moved.get(other, other)
        moved[other] = moved.get(at, at)
        if found not in taken:
            yield found


def _prompt(documents: list[str], question: str) -> str:
    r"""The prompt.

    Answer the question from the documents below. Give the answer alone, in as few words as possible.

    Document 1:
    {document}

    Document 2:
    ...

    Answer the question from the documents above. Give the answer alone, in as few words as possible.

    Question: {question} Answer:
    """
    shown = "".join(f"Document {at}:\n{one}\n\n" for at, one in enumerate(documents, start=1))
    how = "Give the answer alone, in as few words as possible."
    return (
        f"Answer the question from the documents below. {how}\n\n{shown}"
        f"Answer the question from the documents above. {how}\n\nQuestion: {question} Answer:"
    )
