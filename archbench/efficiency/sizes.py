"""How big a model is and what it costs, from its configuration alone: no weights, any transformers model.

The model is built on torch's meta device and its parts are read one by one
(`archbench.efficiency.recognise`). A part that is not known makes the figures that would depend on it None,
never zero.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archbench.efficiency.recognise import Part, has_experts, recognise
from archbench.errors import RequestError, did_you_mean
from archbench.models.build import build_config
from archbench.models.meta import meta_model

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float8": 1, "int8": 1}
"""Bytes of one number."""

_NOT_MULTIPLIED = re.compile(r"A_log|time_mix|time_decay|time_first")
"""Weights with more than one dimension that no matrix product uses."""


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
    parts: tuple[Part, ...]
    matmul_flops: int | None
    routed: tuple[tuple[int, float | None], ...]
    unknown: tuple[str, ...]

    @property
    def non_embedding(self) -> int:
        """Parameters besides the embeddings."""
        return self.parameters - self.embedding

    def kv_bytes(self, context: int, *, batch: int = 1, dtype: str = "bfloat16") -> int | None:
        """Bytes of keys and values after `context` tokens.

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
        kept = sum(part.kv_width * min(context, part.window or context) for part in self.parts)
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
        return sum(part.state for part in self.parts) * batch * _bytes(dtype)

    def inference_flops(self, context: int) -> int | None:
        """Floating-point operations of one decoding step of one sequence.

        Two for every weight in a matrix product, and 4 · heads · head dimension for every past token of every
        attention layer (scores, and the values' weighted sum), and the recurrences' own. Norms, activations,
        biases and rotary positions are left out, as in Kaplan et al. 2020 (arXiv 2001.08361, table 1).

        Args:
            context: Tokens in the cache, the new one included.
        """
        return self._flops(context, float(context))

    def training_flops(self, sequence_length: int) -> int | None:
        """Floating-point operations of training per token: forward, and backward as twice of it.

        A token attends to (sequence_length + 1) / 2 tokens on average, itself included. Recurrences are
        counted as the recurrence; a chunked scan does more, for speed.

        Args:
            sequence_length: Tokens in a training window.
        """
        forward = self._flops(sequence_length, (sequence_length + 1) / 2)
        return None if forward is None else 3 * forward

    def _flops(self, context: int, attended: float) -> int | None:
        if self.matmul_flops is None or self.unknown:
            return None
        total = float(self.matmul_flops)
        for part in self.parts:
            seen = attended
            if part.window is not None and part.window < context:
                # Decoding: the window is full. Training: it fills up over the first tokens.
                w = part.window
                seen = w if attended == context else (w * (w + 1) / 2 + (context - w) * w) / context
            total += 4 * part.attended_width * seen + part.scan_flops
        return round(total)


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
    count = _Count(model)
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


@dataclass
class _Count:
    """One walk over a model."""

    model: PreTrainedModel
    by_kind: Counter[str] = field(default_factory=Counter)
    parts: list[Part] = field(default_factory=list)
    routed: list[tuple[int, float | None]] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)
    multiplied: int = 0
    seen: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.config = self.model.config.get_text_config()
        head = self.model.get_output_embeddings()
        self.head = head
        self.tokens = self.model.get_input_embeddings()
        self._visit(self.model, in_layer=False, is_layer=False)
        # An output layer multiplies, whether its weights are its own or the embedding's.
        if head is not None:
            self.multiplied += int(head.weight.numel())

    def _visit(self, module: nn.Module, *, in_layer: bool, is_layer: bool) -> None:
        from torch import nn

        if module is self.head or isinstance(module, nn.Embedding):
            kind = "embedding" if module is not self.head else "head"
            self._add(module, kind if module in (self.head, self.tokens) else "position", multiplies=False)
            return
        part = recognise(module, self.config) if in_layer and not is_layer else None
        if part is not None:
            self.parts.append(part)
            self._add(module, part.kind, multiplies=True)
            if part.kind == "moe":
                self._route(module)
            return
        if "norm" in type(module).__name__.lower():
            self._add(module, "norm", multiplies=False)
            return
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList):
                for one in child:
                    self._visit(one, in_layer=True, is_layer=not in_layer)
            elif isinstance(child, nn.Linear | nn.Conv1d) or type(child).__name__ == "Conv1D":
                if child is self.head:
                    self._visit(child, in_layer=in_layer, is_layer=False)
                elif is_layer and name.startswith("fc"):
                    # OPT and its time: the feed-forward block is written out in the layer.
                    self._add(child, "mlp", multiplies=True)
                    self.parts.extend([Part("mlp")] if name == "fc1" else [])
                else:
                    self._add(child, "other", multiplies=True)
                    # A projection straight in a layer holds no state; one in a module not known might
                    # be part of a mixer, and a convolution always keeps its past.
                    if in_layer and (not is_layer or isinstance(child, nn.Conv1d)):
                        self.unknown.add(type(module).__name__)
            else:
                self._visit(child, in_layer=in_layer, is_layer=False)
        own = [p for p in module._parameters.values() if p is not None]
        if own:
            self._add(module, "other", multiplies=True, recurse=False)
            if in_layer and not is_layer:
                self.unknown.add(type(module).__name__)

    def _add(self, module: nn.Module, kind: str, *, multiplies: bool, recurse: bool = True) -> None:
        from torch import nn

        norms = {
            id(p) for m in module.modules() if "norm" in type(m).__name__.lower() for p in m.parameters()
        }
        tables = {id(p) for m in module.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
        for name, parameter in module.named_parameters(recurse=recurse, remove_duplicate=False):
            if id(parameter) not in self.seen:
                self.seen.add(id(parameter))
                self.by_kind[kind] += parameter.numel()
            # A shared module multiplies every time that it is used.
            if (
                multiplies
                and parameter.dim() >= 2
                and id(parameter) not in norms | tables
                and not _NOT_MULTIPLIED.search(name)
            ):
                self.multiplied += parameter.numel()

    def _route(self, module: nn.Module) -> None:
        """Note how many parameters of a layer with experts are experts', and which share a token uses."""
        for experts in module.modules():
            if not has_experts(experts):
                continue
            first = next((p for p in experts._parameters.values() if p is not None), None)
            number = len(list(experts.children())) if first is None else first.shape[0]
            chosen = self._chosen(module)
            share = None if chosen is None else min(1.0, chosen / number)
            self.routed.append((sum(p.numel() for p in experts.parameters()), share))

    def _chosen(self, module: nn.Module) -> int | None:
        """Experts that a token goes to."""
        for name in (
            "num_experts_per_tok",
            "num_experts_per_token",
            "moe_top_k",
            "moe_topk",
            "top_k_experts",
        ):
            if isinstance(value := getattr(self.config, name, None), int):
                return value
        for one in module.modules():
            if isinstance(value := getattr(one, "top_k", None), int):
                return value
        return None


def _bytes(dtype: str) -> int:
    if dtype not in BYTES:
        raise RequestError(f"dtype '{dtype}' is not known here. {did_you_mean(dtype, BYTES, label='Known')}")
    return BYTES[dtype]
