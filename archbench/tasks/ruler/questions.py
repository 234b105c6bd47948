"""Question answering: the documents with the answer among others, from files of SQuAD and HotpotQA."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

from archbench.draw import Draw
from archbench.errors import RequestError
from archbench.tasks.entry import ENTRY
from archbench.tasks.lengths import TokenCounter
from archbench.tasks.ruler.fitting import Draft, TooShort, answer_room

VERSION = 2
"""Goes into the keys of cells that ask such questions: raise it when a change here alters a prompt."""
FILES = {"qa_1": "squad", "qa_2": "hotpotqa"}
"""Which setting names the file of which task."""
_NAMES = {"squad": "SQuAD (v1.1 or v2.0, JSON)", "hotpotqa": "HotpotQA (distractor setting, JSON)"}
_MARGIN = 16
"""Tokens by which a whole may be longer than the sum of its parts."""
_MISSES = 32
"""Documents too long for what is left of the length after which no other is tried."""
_GAP = 0.05
"""Part of the documents' tokens that may be left: where more is, other documents are drawn."""
_TRIES = 16
"""How many times they are, at most; then the fullest text remains."""
_SAME = 4
"""How many times with as many of the documents that come with the question."""
_REPLIES = 64


@dataclass(frozen=True)
class Question:
    """A question over the documents of a corpus.

    Attributes:
        text: The question.
        answers: Its answers, any of which is right.
        gold: Indices of the documents that are needed to answer it.
        near: Indices of others that come with it: its article's other paragraphs, or HotpotQA's distractors.
    """

    text: str
    answers: tuple[str, ...]
    gold: tuple[int, ...]
    near: tuple[int, ...]


class Corpus:
    """Documents and questions of a file, each document once.

    Attributes:
        path: The file.
        documents: The documents.
        questions: The questions, in the file's order.
        digest: Hex SHA-256 of the file.
    """

    def __init__(self, path: Path, documents: list[str], questions: list[Question], digest: str) -> None:
        """Take what was read."""
        self.path, self.documents, self.questions, self.digest = path, documents, questions, digest
        self._sizes: dict[tuple[TokenCounter, int], int] = {}

    def size(self, count: TokenCounter, document: int) -> int:
        """Tokens of a document in a prompt, its heading included; counted once."""
        key = count, document
        if key not in self._sizes:
            self._sizes[key] = count.pieces([f"Document 100:\n{self.documents[document]}\n\n"])[0]
        return self._sizes[key]


class Questions:
    """Makes `qa_1` or `qa_2`; a unit is a token of the documents.

    Questions come in an order drawn for the seed, the same at every length. One whose documents alone are
    longer than the length is passed over.
    """

    form = "published"
    least = 0

    def __init__(
        self, task: str, corpus: Corpus, seed: int, length: int, room: int, count: TokenCounter
    ) -> None:
        """Order the corpus's questions.

        Args:
            task: The task's name.
            corpus: Its documents and questions.
            seed: Seed of their order.
            length: Tokens of prompt and answer.
            room: Published tokens for the answer.
            count: Counts tokens.
        """
        self.step = length
        self._corpus, self._count, self._task, self._length = corpus, count, task, length
        order = Draw(seed, "ruler", task, "questions").shuffled(corpus.questions)
        self.replies = [min(question.answers, key=len) for question in order[:_REPLIES]]
        # The longest few of the answers are names of works and the like, which need not fit.
        self.replies = sorted(self.replies, key=len)[: max(1, round(0.95 * len(self.replies)))]
        self._room = room
        most = length - self._beside(length)
        self._order = order
        self._fitting = (one for one in order if self._least_size(one) <= most)
        self._known: list[Question] = []

    def make(self, draw: Draw, index: int, units: int) -> Draft:
        """Put the documents of a question among others, so many tokens in all; see `Maker.make`."""
        question, corpus = self._question(index), self._corpus
        chosen, left = self._choose(draw, question, units, near=len(question.near))
        for tried in range(_TRIES):
            if left <= _GAP * units:
                break
            # The question's own documents may be too many for one more and too few to fill the length.
            near = max(0, len(question.near) - tried // _SAME)
            chosen, left = min((chosen, left), self._choose(draw, question, units, near), key=itemgetter(1))
        if left > units // 10 and len(corpus.documents) - len(chosen) < _MISSES:
            raise RequestError(
                f"{corpus.path}: its {len(corpus.documents):,} documents fill no more than {units - left:,} "
                f"of the {self._length:,} tokens of {self._task}: ask for a shorter length, or name a larger "
                f"file with `{FILES[self._task]}`."
            )
        shown = draw.shuffled(chosen)
        places = [shown.index(at) for at in question.gold]
        details: dict[str, int | str] = {"documents": len(shown)}
        if len(places) == 1 and len(shown) > 1:
            details["depth"] = round(100 * places[0] / (len(shown) - 1))
        return Draft(
            _prompt([corpus.documents[at] for at in shown], question.text), question.answers, details
        )

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
        corpus = self._corpus
        chosen, left, misses = [*question.gold], units - self._sum(question.gold), 0
        first = draw.sample(question.near, near)
        for at in _others(draw, first, {*question.gold, *first}, len(corpus.documents)):
            size = corpus.size(self._count, at)
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
                told = (
                    f"{self._corpus.path}: {len(self._known):,} of its {len(self._corpus.questions):,} "
                    f"questions have documents that fit into {self._length} tokens with this tokenizer, and "
                    f"{self._task} was asked for {index + 1:,}: {fewer}"
                )
                if index >= len(self._order):
                    raise RequestError(f"{told}.")
                enough = self._long_enough(index + 1)
                raise TooShort(f"{told}, or ask for {enough} tokens or more.", self._task, enough)
            self._known.append(found)
        return self._known[index]

    def _beside(self, length: int) -> int:
        """Tokens that the answer takes, and some to spare."""
        return answer_room(self._room, self.replies, length, self._count) + _MARGIN

    def _long_enough(self, number: int) -> int:
        """Tokens from which on so many questions fit."""
        size = sorted(map(self._least_size, self._order))[number - 1]
        length = size + self._beside(size)
        # From 1,024 tokens on, the answer's room is another one.
        return size + self._beside(length)

    def _sum(self, documents: tuple[int, ...]) -> int:
        return sum(self._corpus.size(self._count, at) for at in documents)

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


def read_corpus(kind: str, file: str | None) -> Corpus:
    """Read a file of questions.

    Args:
        kind: `squad` or `hotpotqa`.
        file: The file.

    Raises:
        RequestError: None is named, or it is not such a file.
    """
    if file is None:
        task = next(name for name, of in FILES.items() if of == kind)
        raise RequestError(
            f"RULER's {task} needs a file of {_NAMES[kind]}, which archbench does not bring: name it with "
            f"--set {ENTRY}.{kind}=FILE, or leave {task} out of `tasks`."
        )
    path = Path(file).expanduser()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RequestError(f"`{kind}`: {path} cannot be read ({error.strerror}).") from error
    return _parsed(kind, path, content)


@lru_cache(maxsize=4)
def _parsed(kind: str, path: Path, content: bytes) -> Corpus:
    documents: dict[str, int] = {}
    try:
        read = _squad if kind == "squad" else _hotpotqa
        questions = list(read(json.loads(content), documents))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(
            f"`{kind}`: {path} is not in the format of {_NAMES[kind]} ({type(error).__name__}: {error})."
        ) from error
    if not questions:
        raise RequestError(f"`{kind}`: {path} has no question with an answer.")
    return Corpus(path, list(documents), questions, hashlib.sha256(content).hexdigest())


def _squad(data: Any, documents: dict[str, int]) -> Iterator[Question]:
    """Questions of `{"data": [{"paragraphs": [{"context", "qas": [{"question", "answers"}]}]}]}`."""
    for article in data["data"]:
        texts = [paragraph["context"] for paragraph in article["paragraphs"]]
        places = [documents.setdefault(text, len(documents)) for text in texts]
        for paragraph, place in zip(article["paragraphs"], places, strict=True):
            near = tuple(dict.fromkeys(one for one in places if one != place))
            for asked in paragraph["qas"]:
                # Version 2.0 has questions without an answer.
                answers = tuple(dict.fromkeys(one["text"] for one in asked["answers"] if one["text"].strip()))
                if answers:
                    yield Question(asked["question"].strip(), answers, (place,), near)


def _hotpotqa(data: Any, documents: dict[str, int]) -> Iterator[Question]:
    """Questions of `[{"question", "answer", "context": [[title, [text]]], "supporting_facts": ...}]`."""
    for asked in data:
        needed = {title for title, _ in asked["supporting_facts"]}
        gold: list[int] = []
        near: list[int] = []
        for title, sentences in asked["context"]:
            place = documents.setdefault(f"{title}\n{''.join(sentences)}", len(documents))
            (gold if title in needed else near).append(place)
        if gold and asked["answer"].strip():
            yield Question(
                asked["question"].strip(),
                (asked["answer"].strip(),),
                tuple(dict.fromkeys(gold)),
                tuple(one for one in dict.fromkeys(near) if one not in gold),
            )
