"""A package outside of archbench that brings an architecture, written into a folder of a test."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

ARCHITECTURE = dedent(
    '''
    """A leaky average of what came before: one file, nothing imported from archbench."""

    import torch
    from torch import nn
    from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
    from transformers import GenerationMixin
    from transformers.cache_utils import Cache
    from transformers.modeling_outputs import CausalLMOutput


    class LeakyConfig(PretrainedConfig):
        model_type = "MODEL_TYPE"

        def __init__(self, vocab_size=64, hidden_size=16, num_hidden_layers=2, leak=0.9, **kwargs):
            self.vocab_size = vocab_size
            self.hidden_size = hidden_size
            self.num_hidden_layers = num_hidden_layers
            self.leak = leak
            super().__init__(**kwargs)


    class Held:
        """A layer's average, [rows, width]."""

        def __init__(self, average=None):
            self.average = average

        def select_rows(self, rows):
            return Held(self.average[rows])


    class Leaky(nn.Module):
        kind = "leaky"

        def __init__(self, config):
            super().__init__()
            self.width, self.leak = config.hidden_size, config.leak
            self.inner = nn.Linear(config.hidden_size, config.hidden_size)

        def state_size(self, tokens):
            return self.width

        def step_flops(self, tokens):
            return 2.0 * self.width

        def forward(self, hidden, average):
            found = []
            for step in self.inner(hidden).unbind(1):
                average = self.leak * average + (1 - self.leak) * torch.tanh(step)
                found.append(average)
            return torch.stack(found, 1), average


    class Layer(nn.Module):
        def __init__(self, config):
            super().__init__()
            self.norm = nn.LayerNorm(config.hidden_size)
            self.mixer = Leaky(config)


    class LeakyForCausalLM(PreTrainedModel, GenerationMixin):
        config_class = LeakyConfig
        supports_gradient_checkpointing = False

        def __init__(self, config):
            super().__init__(config)
            self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
            self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
            self.post_init()

        def get_input_embeddings(self):
            return self.embed_tokens

        def get_output_embeddings(self):
            return self.lm_head

        def new_cache(self):
            cache = Cache(layers=[])
            cache.layers = [Held() for _ in self.layers]
            return cache

        def forward(self, input_ids, cache=None, past_key_values=None, use_cache=None, **kwargs):
            cache = cache if cache is not None else past_key_values
            hidden = self.embed_tokens(input_ids)
            for index, layer in enumerate(self.layers):
                average = None if cache is None else cache.layers[index].average
                if average is None:
                    average = torch.zeros_like(hidden[:, 0])
                mixed, average = layer.mixer(layer.norm(hidden), average)
                hidden = hidden + mixed
                if cache is not None:
                    cache.layers[index].average = average
            return CausalLMOutput(logits=self.lm_head(hidden))


    AutoConfig.register("MODEL_TYPE", LeakyConfig, exist_ok=True)
    AutoModelForCausalLM.register(LeakyConfig, LeakyForCausalLM, exist_ok=True)
    '''
)


@contextmanager
def package(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, name: str, model_type: str, more: str = ""
) -> Iterator[str]:
    """A package of one file on Python's path, which registers `model_type` when it is imported."""
    root = folder / "site"
    root.mkdir()
    (root / f"{name}.py").write_text(ARCHITECTURE.replace("MODEL_TYPE", model_type) + more)
    monkeypatch.syspath_prepend(str(root))
    importlib.invalidate_caches()
    try:
        yield name
    finally:
        sys.modules.pop(name, None)
