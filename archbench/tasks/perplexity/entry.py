"""The suite entry `kind: perplexity`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from archbench.identity import digest
from archbench.results.shapes import CellShape
from archbench.schema import Address, Count, Tokens, Whole
from archbench.tasks.entry import Variant, each_once
from archbench.tasks.lengths import GeneratedEntry, required_counter
from archbench.tasks.perplexity.texts import VERSION, by_context, by_position, load_texts, texts_digest
from archbench.tasks.work import LmEval


class PerplexityEntry(GeneratedEntry):
    """How well long texts are predicted, by length of the context and by position (docs/perplexity.md).

    Attributes:
        kind: `perplexity`.
        data: A text file in UTF-8, or a folder of .txt files.
        contexts: Lengths in tokens of the contexts after which the same targets are scored; 0 is none.
        lengths: Lengths in tokens of windows that are scored whole, bucket by bucket.
        target: Tokens of a target or bucket.
        windows: Number of targets for each context length, and of windows for each length.
        limit: Only the first so many items of each variant; None for all.
        seed: Not used: nothing is drawn.
        tokenizer: Folder or hub id of the tokenizer that counts; the members' where absent.
    """

    SHAPE: ClassVar = CellShape(
        (frozenset({"context"}), frozenset({"window"})),
        metrics=frozenset({"compression"}),
        columns=frozenset({"position", "tokens", "bytes", "passage"}),
    )

    kind: Literal["perplexity"] = "perplexity"
    data: Address = Field(min_length=1)
    contexts: list[Annotated[int, Whole, Field(ge=0, le=2**22)]] = Field(
        default=[0, 64, 256, 1024], max_length=1000
    )
    lengths: list[Tokens] = Field(default=[], max_length=1000)
    target: Tokens = 64
    windows: Count = 50

    _each_once = field_validator("contexts", "lengths")(each_once)

    @model_validator(mode="after")
    def _something_to_score(self) -> PerplexityEntry:
        if not self.contexts and not self.lengths:
            raise ValueError("perplexity needs contexts, lengths or both, in tokens: contexts: [0, 64, 256]")
        if self.lengths and (shortest := min(self.lengths)) < self.target:
            raise ValueError(
                f"lengths: a window of {shortest} tokens is shorter than one of the buckets that it is cut "
                f"into (target: {self.target}); expected are lengths of at least {self.target} tokens, or a "
                "smaller target"
            )
        return self

    @property
    def counts_tokens(self) -> bool:
        """Texts are cut by tokens."""
        return True

    def check(self) -> None:
        """Cut the texts for the longest context and window.

        Raises:
            RequestError: There is no text, too little of it, or no tokenizer.
        """
        count = required_counter(self.tokenizer, "Perplexity")
        texts = load_texts(self.data, str(self.tokenizer))
        if self.contexts:
            next(by_context(texts, self.contexts, max(self.contexts), self.target, self.windows, count))
        if self.lengths:
            next(by_position(texts, max(self.lengths), self.target, self.windows, count))

    def longest_inputs(self) -> dict[str, int]:
        """Tokens of the longest contexts with their targets, and of the longest windows, but for the last."""
        found = {"contexts": max(self.contexts) + self.target - 1} if self.contexts else {}
        return found | ({"lengths": max(self.lengths) - 1} if self.lengths else {})

    def variants(self) -> list[Variant]:
        """One variant for each length of context, then one for each length of window."""
        metadata: dict[str, Any] = {
            "data": self.data,
            "target": self.target,
            "windows": self.windows,
            "limit": self.limit,
            "tokenizer": self.tokenizer,
        }
        views = [("context", one, {"context": one, "contexts": self.contexts}) for one in self.contexts]
        views += [("position", one, {"length": one}) for one in self.lengths]
        return [
            Variant(
                name=f"{'context' if view == 'context' else 'window'}-{tokens}",
                labels={"context" if view == "context" else "window": tokens},
                work=LmEval([f"archbench_perplexity_{view}"], metadata=metadata | more),
                metric="compression",
                scale="loss",
            )
            for view, tokens, more in views
        ]

    def digest(self) -> str:
        """Hex SHA-256 of the texts, the tokenizer's content, the settings and the code version.

        The longest context is in, since the targets stand after it.
        """
        longest = max(self.contexts, default=0)
        parts = [VERSION, texts_digest(self.data), longest, self.target, self.windows, self.limit]
        return digest([*parts, self.tokenizer_digest()])
