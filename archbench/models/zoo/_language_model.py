"""What recurrent architectures share: the stack around their mixers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.cache_utils import Cache
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import CausalLMOutputWithPast

from archbench.models.zoo._cache import StateLayer, States


class RecurrentConfig(PretrainedConfig):  # type: ignore[misc]
    """Settings of the stack; architectures add those of their mixer.

    Args:
        vocab_size: Entries of the tokenizer.
        hidden_size: Width of the residual stream.
        num_hidden_layers: Layers, each a mixer and a feed-forward block.
        intermediate_size: Width of the feed-forward blocks; 0 leaves them out.
        rms_norm_eps: Added to the mean square in norms.
        initializer_range: Standard deviation that weights are drawn with.
        use_cache: Whether forward passes return states by default.
        tie_word_embeddings: Whether the output layer has the embedding's weights.
        bos_token_id: Token that texts begin with.
        eos_token_id: Token that texts end with.
        pad_token_id: Token that batches are padded with.
        kwargs: transformers' common fields.
    """

    def __init__(
        self,
        vocab_size: int = 32_000,
        hidden_size: int = 512,
        num_hidden_layers: int = 8,
        intermediate_size: int = 1408,
        rms_norm_eps: float = 1e-5,
        initializer_range: float = 0.02,
        use_cache: bool = True,
        tie_word_embeddings: bool = False,
        bos_token_id: int | None = None,
        eos_token_id: int | None = None,
        pad_token_id: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.intermediate_size = intermediate_size
        self.rms_norm_eps = rms_norm_eps
        self.initializer_range = initializer_range
        self.use_cache = use_cache
        self.bos_token_id = bos_token_id
        self.eos_token_id = eos_token_id
        self.pad_token_id = pad_token_id
        super().__init__(tie_word_embeddings=tie_word_embeddings, **kwargs)


class Mixer(nn.Module, ABC):
    """What passes information from token to token.

    Subclasses declare their part (`archbench.models.protocol.DeclaresPart`).
    """

    @abstractmethod
    def forward(
        self, hidden: torch.Tensor, states: States, starts: torch.Tensor | None
    ) -> tuple[torch.Tensor, States]:
        """Mix a segment of tokens, going on from what earlier ones left.

        Args:
            hidden: Shape [batch, length, width]; zero at positions that are masked.
            states: After the tokens before; empty where there were none.
            starts: Steps whose past counts as nothing, booleans of shape [batch, length].

        Returns:
            The output, of `hidden`'s shape, and the states after the segment.
        """


class _FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020, arXiv 2002.05202)."""

    kind = "mlp"

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.down_proj(F.silu(self.gate_proj(hidden)) * self.up_proj(hidden))
        return result

    def state_size(self, tokens: int) -> int:
        return 0

    def step_flops(self, tokens: float) -> float:
        return 0.0


class _Block(GradientCheckpointingLayer):  # type: ignore[misc]
    """A mixer and a feed-forward block, each on a normalised residual stream."""

    def __init__(self, config: RecurrentConfig, mixer: Mixer) -> None:
        super().__init__()
        self.mixer_norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.mixer = mixer
        self.mlp: _FeedForward | None = None
        if config.intermediate_size:
            self.mlp_norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
            self.mlp = _FeedForward(config)

    def forward(
        self, hidden: torch.Tensor, mask: torch.Tensor | None, states: States, starts: torch.Tensor | None
    ) -> tuple[torch.Tensor, States]:
        entering = self.mixer_norm(hidden)
        if mask is not None:
            entering = entering * mask[..., None]
        mixed, states = self.mixer(entering, states, starts)
        hidden = hidden + mixed
        if self.mlp is not None:
            hidden = hidden + self.mlp(self.mlp_norm(hidden))
        return hidden, states


class _Stack(nn.Module):
    """Embedding, blocks and the last norm."""

    def __init__(self, config: RecurrentConfig, mixer: type[Mixer]) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(_Block(config, mixer(config)) for _ in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)


# The field that hands out the cache, as this release of transformers names it.
_CACHE = "cache" if "cache" in CausalLMOutputWithPast.__dataclass_fields__ else "past_key_values"


class RecurrentForCausalLM(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """A causal language model of recurrent layers.

    Attributes:
        mixer_class: Set by each architecture.
    """

    mixer_class: ClassVar[type[Mixer]]
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _tied_weights_keys: ClassVar[dict[str, str]] = {"lm_head.weight": "model.embed_tokens.weight"}
    _no_split_modules: ClassVar[list[str]] = ["_Block"]

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        self.model = _Stack(config, self.mixer_class)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The embedding of tokens."""
        return self.model.embed_tokens

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the embedding of tokens."""
        self.model.embed_tokens = value

    def new_cache(self) -> Cache:
        """An empty cache; see `archbench.models.protocol.MakesCache`."""
        return Cache(layers=[StateLayer() for _ in self.model.layers])

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        # `generate` leaves the cache to the model.
        return False

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        cache: Cache | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        labels: torch.Tensor | None = None,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        """Logits of every position.

        Args:
            input_ids: Shape [batch, length].
            attention_mask: 0 where a token is padding, shape [batch, at least length].
            position_ids: A document begins where its position is 0; only this is taken from them.
            cache: What to go on from; moved on.
            past_key_values: The same, under its name in older releases of transformers.
            use_cache: Whether to hand out the states.
            labels: Tokens to predict, as transformers takes them; -100 for none.
        """
        held = cache if cache is not None else past_key_values
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        if held is None and use_cache:
            held = self.new_cache()
        length = input_ids.shape[1]
        mask = None if attention_mask is None else attention_mask[:, -length:].to(self.dtype)
        starts = None if position_ids is None else (position_ids == 0).expand(input_ids.shape)
        hidden = self.model.embed_tokens(input_ids)
        for index, block in enumerate(self.model.layers):
            before = {} if held is None else held.layers[index].states
            hidden, states = block(hidden, mask, before, starts)
            if held is not None:
                held.layers[index].states = states
                held.layers[index].seen += length
        logits = self.lm_head(self.model.norm(hidden))
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())
        return CausalLMOutputWithPast(loss=loss, logits=logits, **{_CACHE: held if use_cache else None})
