"""`kind: microworld`: prose, quizzes and passages about an invented world (docs/microworld.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from archbench.data.corpus import SPLITS, GeneratedSettings, Split
from archbench.data.microworld import Question, World, document, evaluation_set, short_document
from archbench.data.microworld.quiz import GROUPS
from archbench.schema import Number, Seed


class Microworld(GeneratedSettings):
    """The corpus of the families that ship.

    Attributes:
        world_seed: Seed of the world's people and facts.
        people: How many people live in it.
        stream_seed: Seed of the documents and their order.
        short_first: Share of the training tokens, at the beginning, that are short documents answered from
            themselves: lists alone in the first half of it, then also books. In whole shards of the stream.
    """

    about: ClassVar[str] = "generated documents about an invented world"

    kind: Literal["microworld"] = "microworld"
    world_seed: Seed = 0
    people: int = Field(default=96, ge=24, le=1200)
    stream_seed: Seed = 0
    short_first: Annotated[float, Number] = Field(default=0, ge=0, lt=1)

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The settings as records have always stated them: digests of members trained long ago still hold."""
        written = {
            "generator": self.kind,
            "world_seed": self.world_seed,
            "people": self.people,
            "stream_seed": self.stream_seed,
        }
        return written | ({"short_first": self.short_first} if self.short_first else {})

    def pinned(self, digest: str) -> Self:
        """The settings as they are: they determine the text, and older records state nothing else."""
        return self

    @property
    def alone(self) -> str | None:
        """Short documents belong to the beginning of a training, and a mix reads all parts all along."""
        return "short_first is of no use in a mix: leave it out" if self.short_first else None

    @property
    def world(self) -> World:
        """The world that the documents are about."""
        return _world(self.world_seed, self.people)

    def document(self, split: Split, shard: int, number: int, *, shards: float) -> str:
        """Text of a document; see `GeneratedSettings.document`."""
        short = round(self.short_first * shards) if split == "train" else 0
        if shard < short:
            return short_document(self.world, self.stream_seed, shard, number, lists=2 * shard < short)
        return document(self.world, self.stream_seed, SPLITS.index(split), shard, number)

    def more_items(self) -> Mapping[str, Mapping[str, str]]:
        """Questions about the world, and its names for phonebooks and needles."""
        names = "".join(f"{name}\n" for name in self.world.holders)
        dev, test = evaluation_set(self.world)
        quiz = {"dev.jsonl": _rows(dev), "test.jsonl": _rows(test)}
        return {"mmlu": quiz, "phonebook": {"": names}, "ruler": {"": names}}


@lru_cache(maxsize=8)
def _world(seed: int, people: int) -> World:
    return World(seed=seed, people=people)


def _rows(questions: Sequence[Question]) -> str:
    return "".join(json.dumps(_row(question), ensure_ascii=False) + "\n" for question in questions)


def _row(question: Question) -> dict[str, object]:
    return {
        "subject": question.subject,
        "category": GROUPS[question.subject],
        "question": question.stem,
        "choices": list(question.choices),
        "answer": question.answer,
    }
