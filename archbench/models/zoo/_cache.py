"""The states of recurrent layers between forward passes."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import CacheLayerMixin

States = dict[str, torch.Tensor]
"""States of a layer by name, each with the rows of the batch as its first dimension."""


class StateLayer(CacheLayerMixin):  # type: ignore[misc]
    """States of one layer after some tokens.

    Attributes:
        states: By name; empty before the first token.
        seen: Tokens whose effect is in them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.states: States = {}
        self.seen = 0

    def select_rows(self, rows: torch.Tensor) -> StateLayer:
        """A copy that holds some rows; see `archbench.models.protocol.SelectsRows`."""
        new = StateLayer()
        new.seen = self.seen
        new.states = {
            name: state.index_select(0, rows.to(state.device)) for name, state in self.states.items()
        }
        return new

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Keep some rows, as beam search requires."""
        self.states = self.select_rows(beam_idx).states

    def reset(self) -> None:
        """Forget everything."""
        self.states, self.seen = {}, 0

    def get_seq_length(self) -> int:
        """Tokens seen."""
        return self.seen

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of a mask over the tokens seen and new ones."""
        return self.seen + query_length, 0

    def get_max_length(self) -> int:
        """No maximum."""
        return -1

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing to set aside."""

    def update(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """There are no keys and values."""
        raise TypeError("a layer of recurrent states takes no keys and values")
