"""How a family is trained: everything that decides its members' weights, besides their architectures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from archbench.errors import RequestError
from archbench.registry.evidence import recipe_digest


class Corpus(BaseModel):
    """What the members read, and in which order.

    Attributes:
        generator: Where documents come from; `microworld` is the one there is.
        world_seed: Seed of the world's people and facts.
        people: How many people live in it.
        stream_seed: Seed of the documents and their order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    generator: Literal["microworld"] = "microworld"
    world_seed: int = 0
    people: int = Field(default=96, ge=24, le=1200)
    stream_seed: int = 0


class Recipe(BaseModel):
    """One recipe for all members of a family.

    Attributes:
        corpus: What is read.
        vocab_size: Entries of the tokenizer trained on the corpus.
        tokens: Training tokens; rounded down to whole batches.
        sequence_length: Tokens in a training window.
        batch_sequences: Windows in a batch.
        learning_rate: AdamW's peak learning rate.
        final_learning_rate: Share of the peak that the cosine ends at.
        warmup: Share of the steps in which the rate rises linearly from zero.
        betas: AdamW's moment decays.
        weight_decay: AdamW's decay of matrices; vectors (norms, biases, decays) have none.
        clip: Largest norm of the gradient.
        seed: Seed of the members' first weights.
        validation_windows: Windows of never-trained documents for the validation loss.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    corpus: Corpus = Corpus()
    vocab_size: int = Field(default=1024, ge=300)
    tokens: PositiveInt
    sequence_length: PositiveInt = 256
    batch_sequences: PositiveInt = 8
    learning_rate: PositiveFloat = 3e-3
    final_learning_rate: float = Field(default=0.1, ge=0, le=1)
    warmup: float = Field(default=0.02, ge=0, le=1)
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = Field(default=0.1, ge=0)
    clip: PositiveFloat = 1.0
    seed: int = 0
    validation_windows: PositiveInt = 128

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
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg'].lower()}" for e in error.errors())
        raise RequestError(f"{where}: the recipe does not fit: {wrong}.") from error
