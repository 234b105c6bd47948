"""Models from an architecture block: seeded, and refused with the nearest name when misspelt."""

from __future__ import annotations

import pytest
import torch

from archbench.errors import RequestError
from archbench.models.build import build_config, build_model

TINY = {
    "model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 2,
}  # fmt: skip

NEMOTRON = {
    "vocab_size": 32, "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "head_dim": 8,
    "num_key_value_heads": 2, "mamba_num_heads": 4, "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 1,
}  # fmt: skip


def test_weights_are_a_function_of_the_seed_and_global_state_is_kept() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, again, other = (build_model(TINY, seed=s, vocab_size=32) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    weight = "model.embed_tokens.weight"
    assert torch.equal(first.state_dict()[weight], again.state_dict()[weight])
    assert not torch.equal(first.state_dict()[weight], other.state_dict()[weight])


def test_a_pattern_places_the_layers() -> None:
    model = build_model({"model_type": "nemotron_h", "pattern": "M-*"} | NEMOTRON, seed=0)
    assert [type(layer.mixer).__name__ for layer in model.model.layers] == [
        "NemotronHMamba2Mixer",
        "NemotronHMLP",
        "NemotronHAttention",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "lama"}, "'llama'"),
        ({"hiden_size": 3}, "'hidden_size'"),
        ({"hidden_size": 30, "num_attention_heads": 4}, "refuses"),
        ({"pattern": "M-"}, "no field 'pattern'"),
        ({"model_type": "nemotron_h", "pattern": "MX"}, "'X'"),
    ],
)
def test_wrong_blocks_are_refused_with_the_nearest_name(change: dict[str, object], said: str) -> None:
    fields = {"model_type": "llama"} | change
    with pytest.raises(RequestError, match="architecture:") as caught:
        build_config(fields)
    assert said in str(caught.value)
