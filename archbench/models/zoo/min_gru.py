"""The minimal gated recurrent unit: the smallest recurrence that can be trained in parallel, in plain torch.

Neither the gate nor the candidate depends on the state before (Feng et al. 2024, arXiv 2410.01201, "minGRU"):

    z_t = σ(W_z x_t)        h_t = (1 - z_t) h_{t-1} + z_t g(W_h x_t)        g(x) = x + 1/2, or σ(x) below zero

The state is a vector: it counts and remembers, but cannot look anything up. So it is the lower end of what
probes of recall compare with.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from archbench.models.zoo._cache import States
from archbench.models.zoo._decays import CHUNK, decays
from archbench.models.zoo._language_model import Mixer, RecurrentConfig, RecurrentForCausalLM


class MinGRUConfig(RecurrentConfig):
    """Settings of a minGRU model.

    Args:
        expand: Width of the state, in widths of the residual stream.
        kwargs: As for `RecurrentConfig`.
    """

    model_type = "min_gru"

    def __init__(self, expand: int = 1, **kwargs: Any) -> None:
        if not isinstance(expand, int) or expand < 1:
            raise ValueError(f"expand is {expand!r}; expected a whole number from 1 on")
        self.expand = expand
        super().__init__(**kwargs)


class MinGRU(Mixer):
    """One layer's units."""

    kind = "min_gru"

    def __init__(self, config: MinGRUConfig) -> None:
        super().__init__()
        self.width = config.expand * config.hidden_size
        self.in_proj = nn.Linear(config.hidden_size, 2 * self.width, bias=False)
        self.o_proj = nn.Linear(self.width, config.hidden_size, bias=False)

    def state_size(self, tokens: int) -> int:
        """One number a unit."""
        return self.width

    def step_flops(self, tokens: float) -> float:
        """Per unit: (1 - z)·h, z·g, their sum."""
        return 3.0 * self.width

    def forward(
        self, hidden: torch.Tensor, states: States, starts: torch.Tensor | None
    ) -> tuple[torch.Tensor, States]:
        """Mix a segment; see `Mixer`."""
        gate, candidate = self.in_proj(hidden).float().chunk(2, dim=-1)
        candidate = torch.where(candidate >= 0, candidate + 0.5, candidate.sigmoid())
        state = states.get("unit")
        if state is None:
            state = candidate.new_zeros(len(candidate), self.width)
        outputs = []
        with torch.autocast(hidden.device.type, enabled=False):
            for first in range(0, hidden.shape[1], CHUNK):
                part = slice(first, first + CHUNK)
                begins = None if starts is None else starts[:, part]
                # Each unit is a head of its own.
                from_start, between = decays(F.logsigmoid(-gate[:, part]), begins)
                added = (gate[:, part].sigmoid() * candidate[:, part]).mT[..., None]
                units = (from_start * state[:, :, None, None] + between @ added).squeeze(3)
                state = units[:, :, -1]
                outputs.append(units.mT)
        return self.o_proj(torch.cat(outputs, dim=1).to(hidden.dtype)), {"unit": state}


class MinGRUForCausalLM(RecurrentForCausalLM):
    """A causal language model of minGRU layers."""

    config_class = MinGRUConfig
    mixer_class = MinGRU


AutoConfig.register(MinGRUConfig.model_type, MinGRUConfig)
AutoModelForCausalLM.register(MinGRUConfig, MinGRUForCausalLM)
