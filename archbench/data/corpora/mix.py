"""`kind: mix`: other corpora, read side by side in fixed shares (docs/training.md)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from archbench.data.catalogue import AnyCorpus
from archbench.data.corpus import Corpus, CorpusSettings, Opening, OrderedCorpus, Split, check_digest
from archbench.data.stream import Document, TextEndedError
from archbench.draw import Draw
from archbench.schema import Name, Seed

_HORIZON = 2**16
"""Bytes within which the shares are made good: the less, the more regular is the order of the parts."""

_TOKENIZER_BYTES = 2**24
_EVALUATION_BYTES = 2**17


class Part(BaseModel):
    """A part of a mix.

    Attributes:
        share: Its share of the text, in bytes of UTF-8.
        corpus: What it is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    share: float = Field(gt=0, lt=1)
    corpus: AnyCorpus


def _whole(parts: dict[str, Part]) -> dict[str, Part]:
    if not math.isclose(total := sum(part.share for part in parts.values()), 1, abs_tol=1e-6):
        raise ValueError(f"the shares add up to {total:g}, and 1 is expected")
    for name, part in parts.items():
        if (why := part.corpus.alone) is not None:
            raise ValueError(f"{name}.corpus: {why}")
    return parts


class Mix(CorpusSettings):
    """Several corpora as one.

    Attributes:
        parts: The corpora and their shares, by names of the user's choice.
        stream_seed: Seed of the order in which the parts take turns.
    """

    kind: Literal["mix"] = "mix"
    parts: Annotated[dict[Name, Part], AfterValidator(_whole)] = Field(min_length=2)
    stream_seed: Seed = 0

    def open(self, opening: Opening) -> Corpus:
        """Open all parts; see `CorpusSettings.open`."""
        opened = {
            name: part.corpus.open(opening.inner(f"parts.{name}.corpus")) for name, part in self.parts.items()
        }
        digests = {name: [self.parts[name].share, one.digest] for name, one in opened.items()}
        whole = json.dumps({"parts": digests, "stream_seed": self.stream_seed}, sort_keys=True)
        corpus = MixCorpus(self, hashlib.sha256(whole.encode()).hexdigest(), opened)
        check_digest(self, corpus.digest, opening)
        return corpus


@dataclass(frozen=True)
class MixCorpus(OrderedCorpus):
    """Documents of several corpora in turn.

    Attributes:
        mixed_by: The settings.
        digest: Digest of shares and parts.
        corpora: The parts.
    """

    mixed_by: Mix
    digest: str
    corpora: Mapping[str, Corpus]

    @property
    def settings(self) -> CorpusSettings:
        """The settings with the digests of all parts."""
        parts = {
            name: part.model_copy(update={"corpus": self.corpora[name].settings})
            for name, part in self.mixed_by.parts.items()
        }
        return self.mixed_by.model_copy(update={"parts": parts, "digest": self.digest})

    @property
    def description(self) -> str:
        """Shares and descriptions of the parts."""
        return "; ".join(
            f"{100 * self.mixed_by.parts[name].share:g} % {name}: {one.description}"
            for name, one in self.corpora.items()
        )

    def documents(self, split: Split) -> Iterator[Document]:
        """Documents of the parts in turn.

        Each turn is drawn from a key of its own, with chances in proportion to what a part still lacks of its
        share. So the shares hold from the beginning, to within about `_HORIZON` bytes and a document.

        Raises:
            TextEndedError: A part whose turn it is has no more text.
        """
        shares = {name: part.share for name, part in self.mixed_by.parts.items()}
        reading = {name: one.documents(split) for name, one in self.corpora.items()}
        given = dict.fromkeys(shares, 0)
        turn = 0
        while True:
            aim = sum(given.values()) + _HORIZON
            lacking = {name: max(0.0, share * aim - given[name]) for name, share in shares.items()}
            draw = Draw(self.mixed_by.stream_seed, "mix", split, turn)
            name = _drawn(lacking, draw.uniform())
            try:
                one = next(reading[name])
            except StopIteration:
                raise TextEndedError(name) from None
            except TextEndedError as end:
                raise TextEndedError(f"{name}/{end.source}") from None
            given[name] += len(one.text.encode())
            nested = isinstance(self.corpora[name], MixCorpus)
            yield replace(one, source=f"{name}/{one.source}" if nested else name)
            turn += 1

    def tokenizer_texts(self) -> Iterator[str]:
        """The mix itself, until a part has ended or there is enough."""
        return self._some("tokenizer", _TOKENIZER_BYTES)

    @property
    def offers(self) -> tuple[str, ...]:
        """A text for perplexity, and what exactly one of the parts has items for."""
        kinds = [kind for one in self.corpora.values() for kind in one.offers]
        return ("perplexity", *(kind for kind in kinds if kind != "perplexity" and kinds.count(kind) == 1))

    def items(self, kind: str, end: str) -> Mapping[str, str]:
        """Held-out text of all parts in their shares, or the items of the part that has them."""
        if kind == "perplexity":
            return {"": end.join(self._some("evaluation", _EVALUATION_BYTES))}
        owner = next(one for one in self.corpora.values() if kind in one.offers)
        return owner.items(kind, end)

    def _some(self, split: Split, size: int) -> Iterator[str]:
        try:
            for one in self.documents(split):
                yield one.text
                size -= len(one.text.encode())
                if size <= 0:
                    return
        except TextEndedError:
            return


def _drawn(weights: Mapping[str, float], ticket: float) -> str:
    """The name that a ticket from [0, 1) falls on, with chances in proportion to the weights."""
    rest = ticket * sum(weights.values())
    for name, weight in weights.items():
        if rest < weight:
            return name
        rest -= weight
    return max(weights, key=lambda name: weights[name])
