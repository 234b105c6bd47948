"""Questions over documents, from files of SQuAD and HotpotQA."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from archbench.errors import RequestError
from archbench.formats.text import decoded
from archbench.identity import content_digest
from archbench.paths import expanded
from archbench.tasks.entry import ENTRY
from archbench.tasks.files.rows import parse_json
from archbench.tasks.lengths import TokenCounter

FILES = {"qa_1": "squad", "qa_2": "hotpotqa"}
"""Which setting names the file of which task."""
_NAMES = {"squad": "SQuAD (v1.1 or v2.0, JSON)", "hotpotqa": "HotpotQA (distractor setting, JSON)"}


@dataclass(frozen=True)
class Question:
    """A question over documents of a file.

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


class QaData:
    """Documents and questions of a file, each document once.

    Attributes:
        path: The file.
        documents: The documents.
        questions: The questions, in the file's order.
        digest: Hex SHA-256 of the file.
    """

    def __init__(self, path: Path, documents: list[str], questions: list[Question], digest: str) -> None:
        """Store the content of a file."""
        self.path, self.documents, self.questions, self.digest = path, documents, questions, digest
        self._sizes: dict[tuple[TokenCounter, int], int] = {}

    def size(self, count: TokenCounter, document: int) -> int:
        """Tokens of a document in a prompt, its heading included; counted once."""
        key = count, document
        if key not in self._sizes:
            self._sizes[key] = count.pieces([f"Document 100:\n{self.documents[document]}\n\n"])[0]
        return self._sizes[key]


def read_qa_file(kind: str, file: str | None) -> QaData:
    """Read a file of questions and documents.

    Args:
        kind: `squad` or `hotpotqa`.
        file: The file.

    Raises:
        RequestError: No file is named, or it is in another format.
    """
    if file is None:
        task = next(name for name, of in FILES.items() if of == kind)
        raise RequestError(
            f"RULER's {task} needs a file of {_NAMES[kind]}, which does not come with archbench: name it "
            f"with --set {ENTRY}.{kind}=FILE, or leave {task} out of `tasks`."
        )
    path = expanded(file)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RequestError(f"`{kind}`: {path} cannot be read ({error.strerror}).") from error
    return _parsed(kind, path, content)


@lru_cache(maxsize=4)
def _parsed(kind: str, path: Path, content: bytes) -> QaData:
    documents: dict[str, int] = {}
    try:
        read = _squad if kind == "squad" else _hotpotqa
        questions = list(read(parse_json(decoded(path, content)), documents))
    except RecursionError as error:
        raise RequestError(f"`{kind}`: {path} is nested too deeply to be {_NAMES[kind]}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(
            f"`{kind}`: {path} is not in the format of {_NAMES[kind]} ({type(error).__name__}: {error})."
        ) from error
    if not questions:
        raise RequestError(f"`{kind}`: {path} has no question with an answer.")
    return QaData(path, list(documents), questions, content_digest(content))


def _squad(data: Any, documents: dict[str, int]) -> Iterator[Question]:
    """Questions of `{"data": [{"paragraphs": [{"context", "qas": [{"question", "answers"}]}]}]}`."""
    for article in data["data"]:
        texts = [paragraph["context"] for paragraph in article["paragraphs"]]
        places = [documents.setdefault(text, len(documents)) for text in texts]
        for paragraph, place in zip(article["paragraphs"], places, strict=True):
            near = tuple(dict.fromkeys(one for one in places if one != place))
            for entry in paragraph["qas"]:
                # Version 2.0 has questions without an answer.
                answers = tuple(dict.fromkeys(one["text"] for one in entry["answers"] if one["text"].strip()))
                if answers:
                    yield Question(entry["question"].strip(), answers, (place,), near)


def _hotpotqa(data: Any, documents: dict[str, int]) -> Iterator[Question]:
    """Questions of `[{"question", "answer", "context": [[title, [text]]], "supporting_facts": ...}]`."""
    for entry in data:
        needed = {title for title, _ in entry["supporting_facts"]}
        gold: list[int] = []
        near: list[int] = []
        for title, sentences in entry["context"]:
            place = documents.setdefault(f"{title}\n{''.join(sentences)}", len(documents))
            (gold if title in needed else near).append(place)
        if gold and entry["answer"].strip():
            yield Question(
                entry["question"].strip(),
                (entry["answer"].strip(),),
                tuple(dict.fromkeys(gold)),
                tuple(one for one in dict.fromkeys(near) if one not in gold),
            )
