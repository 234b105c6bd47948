"""The walk over a model's modules: parameters by kind, parts of layers, and what was not recognised."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from archbench.efficiency.parts.feed_forward import has_experts
from archbench.efficiency.recognise import recognise
from archbench.models.protocol import DeclaresPart, Part

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

_NOT_MULTIPLIED = re.compile(r"A_log|time_mix|time_decay|time_first")
"""Weights with more than one dimension that no matrix product uses."""


@dataclass
class Count:
    """One walk over a model.

    Attributes:
        model: The model, with or without weights in it.
        by_kind: Parameters by what they are part of.
        parts: Every part, in the model's order.
        routed: Parameters of experts and the share of them that a token uses, a pair for each set of experts.
        unknown: Classes inside of layers that were not recognised.
        multiplied: Parameters that a token is multiplied with, of experts all.
        seen: Identities of parameters that were counted.
    """

    model: PreTrainedModel
    by_kind: Counter[str] = field(default_factory=Counter)
    parts: list[DeclaresPart] = field(default_factory=list)
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
