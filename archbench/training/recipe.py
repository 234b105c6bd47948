"""How a family is trained: everything that decides its members' weights, besides their architectures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from archbench.data.catalogue import AnyCorpus, resolved
from archbench.data.corpora.microworld import Microworld
from archbench.errors import RequestError, did_you_mean
from archbench.registry.evidence import recipe_digest
from archbench.schema import Count, Large, Number, Seed, Tokens

_LATER = ("reset_at_borders", "precision", "sweep", "seeds", "optimizer", "muon_learning_rate")
"""Settings that recipes did not have at first. Left at their defaults they are no part of a recipe as written
out, so that the digests of members trained before them still hold."""


def _distinct(values: tuple[float, ...]) -> tuple[float, ...]:
    if len(set(values)) < len(values):
        raise ValueError("the same value is listed twice")
    return values


Rate = Annotated[float, Number, Field(gt=0, le=1e6)]
"""A learning rate, or a norm; finite."""
_Decay = Annotated[float, Number, Field(ge=0, lt=1)]


class Sweep(BaseModel):
    """What is tried; each member keeps what served it best.

    Attributes:
        learning_rate: Peak learning rates, each in place of the recipe's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    learning_rate: Annotated[tuple[Rate, ...], AfterValidator(_distinct)] = Field(min_length=1)


class Recipe(BaseModel):
    """One recipe for all members of a family.

    Attributes:
        corpus: What is read: settings of any kind of corpus (`archbench.data.catalogue`).
        tokenizer: Folder of the tokenizer to train with; one is trained on the corpus where None. No part of
            a record, which holds the tokenizer's digest.
        vocab_size: Entries of the tokenizer.
        tokens: Training tokens; rounded down to whole batches.
        sequence_length: Tokens in a training window.
        batch_sequences: Windows in a batch.
        optimizer: `adamw` for everything, or `muon` for the matrices inside the layers and AdamW for the rest
            (`archbench.training.loop.optimizers`).
        learning_rate: AdamW's peak learning rate.
        muon_learning_rate: Muon's, which follows the same schedule; without effect for `adamw`.
        final_learning_rate: Share of the peak that the cosine ends at.
        warmup: Share of the steps in which the rate rises linearly from zero.
        betas: AdamW's moment decays.
        weight_decay: Decay of matrices; vectors (norms, biases, decays) have none.
        clip: Largest norm of the gradient.
        seed: Seed of the members' first weights.
        validation_windows: Windows of never-trained documents for the validation loss.
        reset_at_borders: Whether attention, states and positions begin anew with each document. The end token
            that closes a document is the first of the next one's context: it is predicted from its own
            document, and predicts the first token of the next.
        precision: Of the forward and backward pass; `bfloat16` is autocast over weights kept in fp32.
        sweep: Values to train each member with; the best by validation loss is kept.
        seeds: Seeds of first weights, each in place of `seed`; how far they lie apart is reported.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    corpus: AnyCorpus = Microworld()
    tokenizer: str | None = Field(default=None, min_length=1, exclude=True)
    vocab_size: Annotated[int, Field(ge=300, le=2**20)] = 1024
    tokens: Large
    sequence_length: Tokens = 256
    batch_sequences: Count = 8
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: Rate = 3e-3
    muon_learning_rate: Rate = 0.02
    final_learning_rate: Annotated[float, Number] = Field(default=0.1, ge=0, le=1)
    warmup: Annotated[float, Number] = Field(default=0.02, ge=0, le=1)
    betas: tuple[_Decay, _Decay] = (0.9, 0.95)
    weight_decay: Annotated[float, Number] = Field(default=0.1, ge=0, le=1e6)
    clip: Rate = 1.0
    seed: Seed = 0
    validation_windows: Count = 128
    reset_at_borders: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"
    sweep: Sweep | None = None
    seeds: Annotated[tuple[Seed, ...], AfterValidator(_distinct)] | None = Field(default=None, min_length=1)

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        return {
            key: value
            for key, value in written.items()
            if key not in _LATER or getattr(self, key) != fields[key].default
        }

    def runs(self) -> list[Recipe]:
        """The recipes of the single runs that this one asks for: every rate with every seed."""
        rates = self.sweep.learning_rate if self.sweep else (self.learning_rate,)
        once = self.model_copy(update={"sweep": None, "seeds": None})
        return [
            once.model_copy(update={"learning_rate": rate, "seed": seed})
            for rate in rates
            for seed in self.seeds or (self.seed,)
        ]

    @property
    def steps(self) -> int:
        """Optimizer steps; at least one."""
        return max(1, self.tokens // (self.sequence_length * self.batch_sequences))

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then a cosine to the final rate."""
        rising = max(1, round(self.warmup * self.steps))
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        done = (step - rising) / max(1, self.steps - rising)
        low = self.final_learning_rate
        return self.learning_rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done)))

    def digest(self, architecture: Mapping[str, Any], tokenizer: str) -> str:
        """Identify what a member is trained from.

        Args:
            architecture: The member's architecture block.
            tokenizer: Digest of the family's tokenizer.

        Returns:
            sha256 over the recipe, the architecture and the tokenizer, in hex.
        """
        return recipe_digest(self.model_dump(), architecture, tokenizer)


def parse_recipe(recipe: Mapping[str, Any], where: str) -> Recipe:
    """Read the `recipe` block of a family file.

    Args:
        recipe: The block.
        where: File and key, for messages.

    Raises:
        RequestError: the block does not fit `Recipe`.
    """
    try:
        return Recipe.model_validate(recipe)
    except ValidationError as error:
        errors = [one for each in error.errors(include_url=False) for one in resolved(each)]
        wrong = "; ".join(f"{'.'.join(map(str, path))}: {text}" for path, text in errors)
        unknown = [
            str(path[0]) for path, _ in errors if len(path) == 1 and path[0] not in Recipe.model_fields
        ]
        hint = f" {did_you_mean(unknown[0], Recipe.model_fields, label='Keys')}" if unknown else ""
        raise RequestError(f"{where}: the recipe does not fit: {wrong}.{hint}") from error
