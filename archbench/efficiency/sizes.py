"""How big a model is and what it costs, from its configuration alone: no weights, any known model type.

The model is built on torch's meta device and its parts are read one by one (`archbench.efficiency.count`).
A part that is not known makes the figures that would depend on it None, never zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from archbench.efficiency.count import Count
from archbench.errors import RequestError, did_you_mean
from archbench.models.build import build_config
from archbench.models.meta import meta_model
from archbench.models.protocol import DeclaresPart, Part

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float8": 1, "int8": 1}
"""Bytes of one number."""

_PLACES = 1024


@dataclass(frozen=True)
class Sizes:
    """What a model is made of.

    Attributes:
        parameters: All parameters, shared ones once.
        active: Those that one token uses: with experts, only the chosen ones; None where it is not known
            how many are chosen.
        embedding: Those of the token embedding and, where it has its own, of the output layer.
        by_kind: Parameters by what they are part of; they add up to `parameters`.
        layers: How many parts of each kind there are.
        parts: Every part, in the model's order.
        matmul_flops: Of all matrix products with weights, per token; None like `active`.
        routed: Parameters of experts and the share of them that a token uses, a pair for each set of experts.
        unknown: Classes inside of layers that were not recognised.
    """

    parameters: int
    active: int | None
    embedding: int
    by_kind: dict[str, int]
    layers: dict[str, int]
    parts: tuple[DeclaresPart, ...]
    matmul_flops: int | None
    routed: tuple[tuple[int, float | None], ...]
    unknown: tuple[str, ...]

    @property
    def non_embedding(self) -> int:
        """Parameters besides the embeddings."""
        return self.parameters - self.embedding

    def kv_bytes(self, context: int, *, batch: int = 1, dtype: str = "bfloat16") -> int | None:
        """Bytes of keys and values after `context` tokens, or of what else grows with the context.

        2 · attention layers · KV heads · head dimension · context · bytes, as the Jamba paper counts it
        (arXiv 2403.19887, Table 1); layers with a window keep no more than the window.

        Args:
            context: Tokens of each sequence.
            batch: Sequences.
            dtype: What they are kept in; see `BYTES`.

        Returns:
            The bytes, or None where a part is unknown.
        """
        if self.unknown:
            return None
        kept = sum(part.state_size(context) - part.state_size(0) for part in self.parts)
        return kept * batch * _bytes(dtype)

    def state_bytes(self, *, batch: int = 1, dtype: str = "bfloat16") -> int | None:
        """Bytes of recurrent state, convolutions' included; the same at every context.

        Args:
            batch: Sequences.
            dtype: What it is kept in; see `BYTES`.

        Returns:
            The bytes, or None where a part is unknown.
        """
        if self.unknown:
            return None
        return sum(part.state_size(0) for part in self.parts) * batch * _bytes(dtype)

    def inference_flops(self, context: int) -> int | None:
        """Floating-point operations of one decoding step of one sequence.

        Two for every weight in a matrix product, and 4 · heads · head dimension for every past token of every
        attention layer (scores, and the values' weighted sum), and the recurrences' own. Norms, activations,
        biases and rotary positions are left out, as in Kaplan et al. 2020 (arXiv 2001.08361, table 1).

        Args:
            context: Tokens in the cache, the new one included.
        """
        return self._flops(lambda part: part.step_flops(context))

    def training_flops(self, sequence_length: int) -> int | None:
        """Floating-point operations of training per token: forward, and backward as twice of it.

        A token attends to (sequence_length + 1) / 2 tokens on average, itself included. Recurrences are
        counted as the recurrence; a chunked scan does more, for speed.

        Args:
            sequence_length: Tokens in a training window.
        """
        forward = self._flops(lambda part: _mean_step_flops(part, sequence_length))
        return None if forward is None else 3 * forward

    def _flops(self, of: Callable[[DeclaresPart], float]) -> int | None:
        if self.matmul_flops is None or self.unknown:
            return None
        return round(float(self.matmul_flops) + sum(of(part) for part in self.parts))


def architecture_sizes(architecture: Mapping[str, Any], *, vocab_size: int | None = None) -> Sizes:
    """Sizes of what an architecture block describes.

    Args:
        architecture: As for `build_config`.
        vocab_size: As for `build_config`.

    Raises:
        RequestError: No model can be built from it.
    """
    return config_sizes(build_config(architecture, vocab_size=vocab_size))


def config_sizes(config: PretrainedConfig) -> Sizes:
    """Sizes of the causal language model that a transformers configuration describes.

    Raises:
        RequestError: transformers cannot build a model from it.
    """
    return model_sizes(meta_model(config))


def model_sizes(model: PreTrainedModel) -> Sizes:
    """Sizes of a model, with or without weights in it."""
    count = Count(model)
    parameters = sum(count.by_kind.values())
    embedding = count.by_kind["embedding"] + count.by_kind["head"]
    known = all(share is not None for _, share in count.routed)
    idle = round(sum(number * (1 - share) for number, share in count.routed if share is not None))
    return Sizes(
        parameters=parameters,
        active=parameters - idle if known else None,
        embedding=embedding,
        by_kind={kind: number for kind, number in count.by_kind.items() if number},
        layers=dict(Counter(part.kind for part in count.parts)),
        parts=tuple(count.parts),
        matmul_flops=2 * (count.multiplied - idle) if known else None,
        routed=tuple(count.routed),
        unknown=tuple(sorted(count.unknown)),
    )


def _mean_step_flops(part: DeclaresPart, length: int) -> float:
    """Operations of a part for one token, on average over a window of so many."""
    if isinstance(part, Part):
        return part.mean_step_flops(length)
    # At the middles of equal stretches: exact for what grows linearly, however few there are.
    places = min(length, _PLACES)
    return fmean(part.step_flops((place + 0.5) * length / places + 0.5) for place in range(places))


def _bytes(dtype: str) -> int:
    if dtype not in BYTES:
        raise RequestError(f"dtype '{dtype}' is not known here. {did_you_mean(dtype, BYTES, label='Known')}")
    return BYTES[dtype]
