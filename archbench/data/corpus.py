"""What a corpus is: documents to train on, others never trained on, and a digest of everything in them.

A corpus has two halves. Its *settings* are the `recipe.corpus` block of a family file: a pydantic model with
a `kind` of its own. Opened, they give the *corpus*, which hands out documents:

    recipe:
      corpus: {kind: files, folder: texts}     settings ──open──> corpus ──stream──> windows of tokens

Every document is a function of (settings, split, index) alone, so that each member reads the same bytes and a
stopped training goes on with them. A new kind is one file in `archbench/data/corpora/`, or a class that a
package registers under the entry-point group `archbench.corpora`; `GeneratedSettings` needs no more than a
method `document`.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import count, islice
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, get_args

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from archbench.data.ordered import OrderedStream
from archbench.data.stream import Document, Encoding, TokenStream, Windows
from archbench.errors import RequestError

Split = Literal["train", "validation", "tokenizer", "evaluation"]
"""What documents are for: to train on, for the validation loss, to train the tokenizer on, for evaluations.

Documents of `validation` and `evaluation` are in neither of the others."""

SPLITS: tuple[Split, ...] = get_args(Split)

_TOKENIZER_DOCUMENTS = 4000
_EVALUATION_DOCUMENTS = 120
_DIGEST_DOCUMENTS = 64


@dataclass(frozen=True)
class Opening:
    """What a corpus may depend on besides its settings.

    Attributes:
        folder: Where relative paths start: the folder of the family file.
        where: File and key of the settings, for error messages.
        shards: How many shards of windows the training reads; not a whole number as a rule.
    """

    folder: Path = Path()
    where: str = "corpus"
    shards: float = 1.0

    def inner(self, key: str) -> Opening:
        """The same for settings that stand under a key of these."""
        return Opening(self.folder, f"{self.where}.{key}", self.shards)


class CorpusSettings(BaseModel, ABC):
    """The `recipe.corpus` block of one kind. A subclass has `kind: Literal[...]`, its name in family files.

    Attributes:
        digest: Digest of the text. A recipe may state it, so that another text is refused; records always do.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    digest: str | None = None

    @abstractmethod
    def open(self, opening: Opening) -> Corpus:
        """Read what the settings name, and check it; nothing is written.

        Raises:
            RequestError: There is no such text, or it cannot be used.
        """

    @property
    def alone(self) -> str | None:
        """Why these settings cannot be a part of a mix; None where they can."""
        return None

    def pinned(self, digest: str) -> Self:
        """The settings as records state them: with the digest."""
        return self.model_copy(update={"digest": digest})

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        return written if self.digest else {key: one for key, one in written.items() if key != "digest"}


class Corpus(Protocol):
    """Text to train on and to be evaluated on."""

    @property
    def settings(self) -> CorpusSettings:
        """The settings with every digest filled in: what records state and audits compare."""

    @property
    def digest(self) -> str:
        """Digest of everything that determines the text (sha256, hex)."""

    @property
    def description(self) -> str:
        """What it is, in half a sentence, for records and audits."""

    @property
    def offers(self) -> tuple[str, ...]:
        """Kinds of tasks that it has items for."""

    def documents(self, split: Split) -> Iterator[Document]:
        """Documents of a split in the order of reading; endless, or as often as the settings allow.

        Raises:
            TextEndedError: There is no more text. An iterator that ends means the same.
        """

    def stream(self, split: Split, encoding: Encoding) -> Windows:
        """Windows of tokens over the documents of a split."""

    def tokenizer_texts(self) -> Iterator[str]:
        """What a tokenizer is trained on."""

    def items(self, kind: str, end: str) -> Mapping[str, str]:
        """What members of a family are evaluated on by tasks of a kind.

        Args:
            kind: One of `offers`.
            end: What the tokenizer writes between documents.

        Returns:
            Texts by file name; under the empty name where the family names one file instead of a folder.
        """


class OrderedCorpus(ABC):
    """Base of corpora that are read from the first document on: each is found by way of those before it."""

    @abstractmethod
    def documents(self, split: Split) -> Iterator[Document]:
        """Documents of a split; see `Corpus`."""

    def stream(self, split: Split, encoding: Encoding) -> Windows:
        """Windows over them, in which nothing between two documents is lost."""
        return OrderedStream(partial(self.documents, split), encoding)

    @property
    def offers(self) -> tuple[str, ...]:
        """A text for perplexity."""
        return ("perplexity",)

    def items(self, kind: str, end: str) -> Mapping[str, str]:
        """The documents held out for evaluations, as one text."""
        assert kind == "perplexity", kind
        return {"": end.join(one.text for one in self.documents("evaluation"))}


class GeneratedSettings(CorpusSettings, ABC):
    """Base of corpora that a program writes: endless, each document made from its own index alone."""

    about: ClassVar[str]
    """What the documents are, in half a sentence."""

    @abstractmethod
    def document(self, split: Split, shard: int, number: int, *, shards: float) -> str:
        """Text of a document.

        Args:
            split: What it is for; no text may come in `train` and in `validation` or `evaluation`.
            shard: Which shard of the stream it is read in; 0 outside of a stream.
            number: Its number in the shard.
            shards: How many shards the training reads.

        Returns:
            The text, a function of the settings and of these numbers.
        """

    def open(self, opening: Opening) -> Corpus:
        """The corpus; nothing is read."""
        corpus = Generated(self, opening.shards)
        check_digest(self, corpus.digest, opening)
        return corpus

    def more_items(self) -> Mapping[str, Mapping[str, str]]:
        """Items besides a text for perplexity, by kind of task; see `Corpus.items`."""
        return {}


@dataclass(frozen=True)
class Generated:
    """A corpus that a program writes.

    Attributes:
        made_by: Its settings, which make the documents.
        shards: How many shards the training reads.
    """

    made_by: GeneratedSettings
    shards: float

    @property
    def settings(self) -> CorpusSettings:
        """The settings with the digest."""
        return self.made_by.pinned(self.digest)

    @cached_property
    def digest(self) -> str:
        """Digest of the settings and of the first documents of each split."""
        whole = hashlib.sha256(json.dumps(self.made_by.pinned("").model_dump(mode="json")).encode())
        for split in SPLITS:
            for number in range(_DIGEST_DOCUMENTS):
                whole.update(self._text(split, 0, number).encode() + b"\0")
        return whole.hexdigest()

    @property
    def description(self) -> str:
        """What the program writes."""
        return self.made_by.about

    @property
    def offers(self) -> tuple[str, ...]:
        """A text for perplexity, and what the program brings."""
        return ("perplexity", *self.made_by.more_items())

    def _text(self, split: Split, shard: int, number: int) -> str:
        return self.made_by.document(split, shard, number, shards=self.shards)

    def documents(self, split: Split) -> Iterator[Document]:
        """The documents of the first shard, which never ends."""
        source = str(getattr(self.made_by, "kind", ""))
        return (Document(self._text(split, 0, number), source) for number in count())

    def stream(self, split: Split, encoding: Encoding) -> Windows:
        """Windows of which each shard is made alone."""
        return TokenStream(
            partial(self._text, split), encoding.encode, end=encoding.end, length=encoding.length
        )

    def tokenizer_texts(self) -> Iterator[str]:
        """The first documents of their split."""
        return (one.text for one in islice(self.documents("tokenizer"), _TOKENIZER_DOCUMENTS))

    def items(self, kind: str, end: str) -> Mapping[str, str]:
        """Documents of the evaluation as one text, or what the program brings."""
        if kind == "perplexity":
            documents = islice(self.documents("evaluation"), _EVALUATION_DOCUMENTS)
            return {"": end.join(one.text for one in documents)}
        return self.made_by.more_items()[kind]


def check_digest(settings: CorpusSettings, digest: str, opening: Opening) -> None:
    """Refuse a text whose digest the settings do not state.

    Raises:
        RequestError: They state another one.
    """
    if settings.digest and settings.digest != digest:
        raise RequestError(
            f"{opening.where}.digest: the recipe states {settings.digest[:12]}…, and the text has the "
            f"digest {digest}. It is another text than the recipe was written for: restore it, or state the "
            "new digest (or none)."
        )
