"""A linear recurrence that writes by the delta rule: DeltaNet, and with decay Gated DeltaNet, in plain torch.

Each head keeps a matrix S, [head_dim, head_dim], of which a key reads a value. A token corrects what its key
reads, by a share β, after all of S has decayed to a share α:

    S_t = α_t (I - β_t k_t k_tᵀ) S_{t-1} + β_t k_t v_tᵀ        o_t = S_tᵀ q_t / √head_dim

(Schlag et al. 2021, arXiv 2102.11174; Yang et al. 2024, arXiv 2406.06484; with α Yang et al. 2025, arXiv
2412.06464; β up to 2 lets a transition reflect, which tracking of states needs: Grazzi et al. 2025, arXiv
2411.12537). Queries, keys and values go through a short convolution each, queries and keys have norm 1.

The recurrence is computed in chunks. With γ_i the decay from the chunk's beginning to step i, Γ_ij from step
j to step i, and u_i what step i writes, S_i = γ_i S_0 + Σ_{j≤i} Γ_ij k_j u_jᵀ; put into the recurrence, this
is one triangular system a chunk:

    u_i + β_i Σ_{j<i} Γ_ij (k_i·k_j) u_j = β_i (v_i - γ_i S_0ᵀ k_i)
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM
from transformers import initialization as init

from archbench.models.kernels.convolution import causal_convolution
from archbench.models.zoo._cache import States
from archbench.models.zoo._decays import CHUNK, decays
from archbench.models.zoo._language_model import Mixer, RecurrentConfig, RecurrentForCausalLM


class DeltaRuleConfig(RecurrentConfig):
    """Settings of a delta-rule model.

    Args:
        num_heads: Heads of each mixer.
        head_dim: Width of a head's queries, keys and values.
        conv_kernel: Steps that the short convolutions see.
        gated: Whether states decay.
        negative_eigenvalues: Whether β reaches up to 2 in place of 1.
        kwargs: As for `RecurrentConfig`.
    """

    model_type = "delta_rule"

    def __init__(
        self,
        num_heads: int = 4,
        head_dim: int = 128,
        conv_kernel: int = 4,
        gated: bool = True,
        negative_eigenvalues: bool = False,
        **kwargs: Any,
    ) -> None:
        for name, value in {"num_heads": num_heads, "head_dim": head_dim, "conv_kernel": conv_kernel}.items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}; expected a whole number from 1 on")
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.conv_kernel = conv_kernel
        self.gated = gated
        self.negative_eigenvalues = negative_eigenvalues
        super().__init__(**kwargs)


class DeltaRule(Mixer):
    """One layer's heads."""

    kind = "delta_rule"

    def __init__(self, config: DeltaRuleConfig) -> None:
        super().__init__()
        self.heads, self.size, self.taps = config.num_heads, config.head_dim, config.conv_kernel
        self.most_written = 2.0 if config.negative_eigenvalues else 1.0
        inner = self.heads * self.size
        self.qkv_proj = nn.Linear(config.hidden_size, 3 * inner, bias=False)
        self.conv1d = nn.Conv1d(3 * inner, 3 * inner, self.taps, groups=3 * inner, bias=False)
        self.beta_proj = nn.Linear(config.hidden_size, self.heads, bias=False)
        self.decay_proj: nn.Linear | None = None
        if config.gated:
            self.decay_proj = nn.Linear(config.hidden_size, self.heads, bias=False)
            self.A_log = nn.Parameter(torch.zeros(self.heads))
            self.dt_bias = nn.Parameter(torch.zeros(self.heads))
        self.gate_proj = nn.Linear(config.hidden_size, inner, bias=False)
        self.norm = nn.RMSNorm(self.size, eps=config.rms_norm_eps)
        self.o_proj = nn.Linear(inner, config.hidden_size, bias=False)

    def state_size(self, tokens: int) -> int:
        """Numbers kept: the heads' matrices, and the last inputs of the convolutions."""
        return self.heads * self.size**2 + 3 * self.heads * self.size * (self.taps - 1)

    def step_flops(self, tokens: float) -> float:
        """Per element of S: decay (1), read by k (2), write (2), read by q (2)."""
        return 7.0 * self.heads * self.size**2

    def forward(
        self, hidden: torch.Tensor, states: States, starts: torch.Tensor | None
    ) -> tuple[torch.Tensor, States]:
        """Mix a segment; see `Mixer`."""
        batch, length, _ = hidden.shape
        mixed, past = self._convolved(self.qkv_proj(hidden), states.get("conv"), starts)
        query, key, value = mixed.float().view(batch, length, 3, self.heads, self.size).unbind(2)
        beta = self.most_written * self.beta_proj(hidden).float().sigmoid()
        if self.decay_proj is None:
            log_decay = torch.zeros_like(beta)
        else:
            step = F.softplus(self.decay_proj(hidden).float() + self.dt_bias.float())
            log_decay = -self.A_log.float().exp() * step
        with torch.autocast(hidden.device.type, enabled=False):
            output, state = delta_scan(
                F.normalize(query, dim=-1) / math.sqrt(self.size),
                F.normalize(key, dim=-1),
                value,
                beta,
                log_decay,
                states.get("matrix"),
                starts,
            )
        gate = F.silu(self.gate_proj(hidden)).view(output.shape)
        output = self.norm(output.to(hidden.dtype)) * gate
        return self.o_proj(output.flatten(2)), {"matrix": state, "conv": past}

    def _convolved(
        self, inputs: torch.Tensor, past: torch.Tensor | None, starts: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Short convolutions over inputs [batch, length, channels], and the last inputs."""
        before = self.taps - 1
        if past is None:
            past = inputs.new_zeros(len(inputs), before, inputs.shape[2])
        whole = torch.cat([past.to(inputs.dtype), inputs], dim=1)
        if starts is not None:
            starts = F.pad(starts, (before, 0))
        mixed = causal_convolution(
            whole.mT, self.conv1d.weight.squeeze(1), activation="silu", starts=starts
        ).mT
        return mixed[:, before:].contiguous(), whole[:, whole.shape[1] - before :].contiguous()


def delta_scan(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    beta: torch.Tensor,
    log_decay: torch.Tensor,
    state: torch.Tensor | None = None,
    starts: torch.Tensor | None = None,
    *,
    chunk: int = CHUNK,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the recurrence over whole segments.

    Args:
        query: Shape [batch, length, heads, head_dim], in fp32, scaled.
        key: Same shape.
        value: Same shape.
        beta: Share by which a token corrects what its key reads, shape [batch, length, heads].
        log_decay: log α, same shape.
        state: S before the first step, shape [batch, heads, head_dim, head_dim]; zero if None.
        starts: Steps before which S counts as zero, booleans of shape [batch, length].
        chunk: Steps computed at once.

    Returns:
        o, of `value`'s shape, and S after the last step.
    """
    if state is None:
        state = key.new_zeros(len(key), key.shape[2], key.shape[3], value.shape[3])
    outputs = []
    for first in range(0, key.shape[1], chunk):
        part = slice(first, first + chunk)
        begins = None if starts is None else starts[:, part]
        q, k, v = (one[:, part].transpose(1, 2) for one in (query, key, value))
        b = beta[:, part].mT[..., None]
        from_start, between = decays(log_decay[:, part], begins)
        weights = between * (k @ k.mT)
        right = b * (v - from_start * (k @ state))
        written = torch.linalg.solve_triangular(
            torch.tril(b * weights, -1), right, upper=False, unitriangular=True
        )
        outputs.append(from_start * (q @ state) + torch.tril(between * (q @ k.mT)) @ written)
        state = from_start[:, :, -1:] * state + (between[:, :, -1, :, None] * k).mT @ written
    return torch.cat(outputs, dim=2).transpose(1, 2), state


class DeltaRuleForCausalLM(RecurrentForCausalLM):
    """A causal language model of delta-rule layers."""

    config_class = DeltaRuleConfig
    mixer_class = DeltaRule

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if not isinstance(module, DeltaRule):
            return
        init.kaiming_uniform_(module.conv1d.weight, a=math.sqrt(5))
        if module.decay_proj is not None:
            # Half-lives from less than one step to some hundred, spread over the heads; ranges of Mamba-2.
            spread = torch.linspace(0, 1, module.heads)
            step = torch.exp(math.log(0.001) + spread * (math.log(0.1) - math.log(0.001)))
            init.copy_(module.dt_bias, step + torch.log(-torch.expm1(-step)))
            init.copy_(module.A_log, torch.log(1 + 15 * spread))


AutoConfig.register(DeltaRuleConfig.model_type, DeltaRuleConfig)
AutoModelForCausalLM.register(DeltaRuleConfig, DeltaRuleForCausalLM)
