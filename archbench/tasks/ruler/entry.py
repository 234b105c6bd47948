"""The suite entry `kind: ruler`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field, field_validator, model_validator

from archbench.errors import RequestError
from archbench.identity import digest
from archbench.results.shapes import CellShape
from archbench.schema import Address, Count, Tokens
from archbench.tasks.entry import Variant, each_once
from archbench.tasks.lengths import GeneratedEntry, required_counter
from archbench.tasks.ruler.fitting import VERSION, TooShort
from archbench.tasks.ruler.subtasks import USED_BY, Sources, Task, check, is_limited
from archbench.tasks.ruler.vocabulary import DIGITS
from archbench.tasks.work import LmEval


class RulerEntry(GeneratedEntry):
    """RULER at several lengths; each length is a variant with all the tasks (docs/ruler.md).

    Attributes:
        kind: `ruler`.
        tasks: Which tasks; all thirteen where absent.
        lengths: Tokens of prompt and answer together.
        samples: Items of each task and length.
        limit: Only the first so many of them; None for all.
        essays: Folder of texts (*.txt) for the haystack `essay`, or a hub data set with a column `text`
            (owner/name or owner/name:configuration); texts that come with archbench where absent.
        squad: File of SQuAD, which `qa_1` needs.
        hotpotqa: File of HotpotQA, which `qa_2` needs.
        data: Names to draw the needles' keys from instead of archbench's words: a text file with a name a
            line, or the name of a family that comes with such a file.
        digits: Digits of the needles' numbers; seven as published.
        seed: Seed of the items; the suite's where absent.
        tokenizer: Folder or hub id of the tokenizer that counts; the members' where absent.
    """

    LOCAL: ClassVar[tuple[str, ...]] = ("essays", "squad", "hotpotqa")

    SHAPE: ClassVar = CellShape((frozenset({"length"}),), metrics=frozenset({"string_match"}))

    kind: Literal["ruler"] = "ruler"
    tasks: list[Task] = Field(default=list(get_args(Task)), min_length=1)
    lengths: list[Tokens] = Field(default=[4096, 8192, 16384, 32768, 65536, 131072], min_length=1)
    samples: Count = 500
    essays: Address | None = Field(default=None, min_length=1)
    squad: Address | None = Field(default=None, min_length=1)
    hotpotqa: Address | None = Field(default=None, min_length=1)
    data: Address | None = Field(default=None, min_length=1)
    digits: Annotated[int, Field(ge=2, le=DIGITS)] = DIGITS

    _each_once = field_validator("tasks", "lengths")(each_once)

    @model_validator(mode="after")
    def _settings_are_used(self) -> RulerEntry:
        for name, tasks in USED_BY.items():
            if getattr(self, name) != type(self).model_fields[name].default and not {*tasks} & {*self.tasks}:
                raise ValueError(
                    f"none of the entry's tasks ({', '.join(self.tasks)}) uses {name}: take it out, or add "
                    f"one that does ({', '.join(tasks)})"
                )
        return self

    @property
    def counts_tokens(self) -> bool:
        """Always: texts are fitted to a length in tokens."""
        return True

    def check(self) -> None:
        """Measure the shortest texts of every task at the smallest length, and the filler of the longest.

        Raises:
            RequestError: A length is too short for some tasks, a file is missing, too small or in another
                format, or there is no tokenizer to count tokens with.
        """
        count = required_counter(self.tokenizer, "RULER")
        short: dict[str, TooShort] = {}
        for task in self.tasks:
            for length in {min(self.lengths), *([max(self.lengths)] if is_limited(task) else [])}:
                try:
                    check(task, self.seed or 0, length, self._count, self._sources, count)
                except TooShort as error:
                    short[task] = max(error, short.get(task, error), key=lambda one: one.enough)
        if len(short) == 1:
            raise next(iter(short.values()))
        if short:
            needed = ", ".join(f"{task} (enough: {error.enough})" for task, error in short.items())
            raise RequestError(
                f"RULER at {min(self.lengths)} tokens: too short with this tokenizer for {needed}. Use "
                f"{max(error.enough for error in short.values())} tokens, or leave these out of `tasks`."
            )

    def longest_inputs(self) -> dict[str, int]:
        """Tokens of the longest items, answer included."""
        return {"lengths": max(self.lengths)}

    def variants(self) -> list[Variant]:
        """One variant for each length."""
        metadata = {
            "samples": self._count,
            "seed": self.seed or 0,
            "tokenizer": self.tokenizer,
            **{name: getattr(self, name) for name in (*self.LOCAL, "data", "digits")},
        }
        return [
            Variant(
                name=f"{length}tokens",
                labels={"length": length},
                work=LmEval(
                    [f"archbench_ruler_{task}" for task in self.tasks], metadata=metadata | {"length": length}
                ),
                metric="string_match",
            )
            for length in self.lengths
        ]

    def digest(self) -> str:
        """Hex SHA-256 of what makes the items: settings, files, the tokenizer, the version of the code."""
        sources = self._sources
        parts = [VERSION, self._count, self.seed or 0, [sources.digest(task) for task in self.tasks]]
        return digest([*parts, self.tokenizer_digest()])

    @property
    def _count(self) -> int:
        return min(self.samples, self.limit or self.samples)

    @property
    def _sources(self) -> Sources:
        return Sources(**{name: getattr(self, name) for name in (*self.LOCAL, "data", "digits")})
