"""`kind: files`: a folder of your own text, or a dataset saved on this machine (docs/training.md)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from archbench.data.corpus import Corpus, CorpusSettings, Opening, OrderedCorpus, Split, check_digest
from archbench.data.folders import Found, Reading, read_folder
from archbench.data.stream import Document
from archbench.draw import Draw
from archbench.errors import RequestError
from archbench.paths import expanded
from archbench.schema import Count, Seed

TOKENIZER_BYTES = 2**26
"""How much of the training text a tokenizer is trained on at most."""


class Files(CorpusSettings):
    """Text of the user's own.

    A document is held out by its own digest, so that copies of it lie on one side, and it lies there whatever
    other text comes and goes. Of the documents held out, one half is for the validation loss, the other for
    evaluations.

    Attributes:
        folder: Folder with the text; a relative one starts from the family file. No part of a record: what
            counts is the text, not where it lies.
        files: Which files of it, as a glob pattern; all where absent.
        column: Column or key that holds the text in files of rows.
        separator: What stands between two documents of one `.txt` or `.md` file; each file is one where
            absent.
        dataset_split: Which split of a dataset that has several.
        held_out: Share of the documents that is never trained on.
        epochs: How often the text may be read; a training that needs more of it is refused.
        stream_seed: Seed of the documents' order, another one in each epoch.
    """

    kind: Literal["files"] = "files"
    folder: str = Field(min_length=1, exclude=True)
    files: str | None = Field(default=None, min_length=1, exclude=True)
    column: str = Field(default="text", exclude=True)
    separator: str | None = Field(default=None, min_length=1, exclude=True)
    dataset_split: str | None = Field(default=None, exclude=True)
    held_out: float = Field(default=0.1, gt=0, le=0.5)
    epochs: Count = 1
    stream_seed: Seed = 0

    def open(self, opening: Opening) -> Corpus:
        """Read the folder whole; see `CorpusSettings.open`."""
        reading = Reading(
            opening.folder / expanded(self.folder),
            opening.where,
            self.files,
            self.column,
            self.separator,
            self.dataset_split,
        )
        found = read_folder(reading)
        corpus = FilesCorpus.of(self, found, reading)
        check_digest(self, corpus.digest, opening)
        return corpus


@dataclass(frozen=True)
class FilesCorpus(OrderedCorpus):
    """Documents of files, ordered by their digests: names and places of files make no difference.

    Attributes:
        settings: The settings, with the digest.
        digest: Digest over the digests of all documents.
        description: How much text of which files.
        parts: The documents in UTF-8, by split.
    """

    settings: CorpusSettings
    digest: str
    description: str
    parts: dict[Split, list[bytes]]

    @classmethod
    def of(cls, settings: Files, found: Found, reading: Reading) -> FilesCorpus:
        """Part the documents of a folder.

        Raises:
            RequestError: A part would be without documents.
        """
        keyed = sorted((hashlib.sha256(text).digest(), text) for text in found.documents)
        keys = [key for key, _ in keyed]
        whole = hashlib.sha256(b"".join(keys)).hexdigest()
        parts: dict[Split, list[bytes]] = {"train": [], "validation": [], "evaluation": []}
        for key, text in keyed:
            parts[_split(key, settings.held_out)].append(text)
        for split, texts in parts.items():
            if not texts:
                fitting = next((str(one) for one in _SHARES if _is_enough(keys, one)), None)
                share = f", set held_out: {fitting}," if fitting else ""
                raise RequestError(
                    f"{reading.where}.folder: of the {len(keyed):,} documents of {reading.folder}, none is "
                    f"left for {_PURPOSES[split]} with held_out: {settings.held_out:g}, which parts them by "
                    f"their digests. Add documents{share} or cut text files into documents with `separator`, "
                    r'like separator: "\n\n".'
                )
        return cls(settings.pinned(whole), whole, _description(found, keys), parts)

    def documents(self, split: Split) -> Iterator[Document]:
        """Training text in a new order each epoch; all else once, by digest."""
        assert isinstance(self.settings, Files)
        texts = self.parts["train" if split == "tokenizer" else split]
        for epoch in range(self.settings.epochs if split == "train" else 1):
            order: Sequence[int] = range(len(texts))
            if split in ("train", "tokenizer"):
                order = Draw(self.settings.stream_seed, "files", "epoch", epoch).shuffled(order)
            for at in order:
                yield Document(texts[at].decode(), self.settings.kind, epoch)

    def tokenizer_texts(self) -> Iterator[str]:
        """Training text in the order of the first epoch, up to `TOKENIZER_BYTES`."""
        size = 0
        for one in self.documents("tokenizer"):
            yield one.text
            size += len(one.text.encode())
            if size >= TOKENIZER_BYTES:
                return


_SHARES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
"""Shares that a message proposes."""

_PURPOSES: dict[Split, str] = {
    "train": "training",
    "validation": "the validation loss",
    "evaluation": "evaluations",
}


def _split(key: bytes, held_out: float) -> Split:
    place = int.from_bytes(key[:8]) / 2**64
    if place >= held_out:
        return "train"
    return "validation" if place < held_out / 2 else "evaluation"


def _is_enough(keys: Iterable[bytes], held_out: float) -> bool:
    """Whether no split is without documents."""
    return {_split(key, held_out) for key in keys} == set(_PURPOSES)


def _description(found: Found, keys: list[bytes]) -> str:
    kinds = ", ".join(f"{number:,} {ending}" for ending, number in sorted(found.files.items()))
    size = sum(map(len, found.documents))
    parts = [f"{len(keys):,} documents, {size:,} bytes of text ({kinds})"]
    if copies := len(keys) - len(Counter(keys)):
        parts.append(f"{copies:,} of them copies of others")
    if found.blank:
        parts.append(f"{found.blank:,} rows without text left out")
    return "; ".join(parts)
