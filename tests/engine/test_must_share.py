"""Which model types of transformers share prefixes, and how: none of them may stop doing so unnoticed.

A release of transformers that renames an argument or changes a cache makes sharing fail without changing a
single score: only the time shows it. This table is what has been promised; `.ci/run` holds the newest and the
oldest admitted release to it.
"""

from __future__ import annotations

import copy
import pkgutil

import pytest
from transformers import PreTrainedTokenizerBase

from archbench.engine import load_lm
from archbench.models import zoo
from tests.engine.tiny import CONFIGS, UNSHARED, make_model

# Model type: how tokens may follow a held prefix ("chunk": all at once, "steps": one at a time, "none").
LEVELS = {
    "bamba": "chunk",
    "delta_rule": "chunk",
    "falcon_h1": "chunk",
    "falcon_mamba": "chunk",
    "gemma2": "chunk",
    "gpt_neox": "chunk",
    "granite": "chunk",
    "granitemoehybrid": "chunk",
    "jamba": "chunk",
    "lfm2": "chunk",
    "llama": "chunk",
    "mamba": "chunk",
    "mamba2": "chunk",
    "min_gru": "chunk",
    "mistral": "chunk",
    "mixtral": "chunk",
    "nemotron_h": "chunk",
    "olmo_hybrid": "chunk",
    "qwen3_next": "chunk",
    "zamba2": "chunk",
    "recurrent_gemma": "none",
    "rwkv": "none",
    "xlstm": "none",
}


def test_archbenchs_own_architectures_are_all_in_the_table() -> None:
    own = {found.name for found in pkgutil.iter_modules(zoo.__path__) if not found.name.startswith("_")}
    assert own <= LEVELS.keys()


def test_the_table_names_every_model_type_that_is_tested() -> None:
    assert sorted(LEVELS) == sorted({model_type for model_type, _ in (CONFIGS | UNSHARED).values()})


@pytest.mark.parametrize("name", CONFIGS | UNSHARED)
def test_every_model_type_shares_as_promised(name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    found = load_lm(copy.deepcopy(make_model(name)), tokenizer).exactness
    model_type, _ = (CONFIGS | UNSHARED)[name]
    assert found.level == LEVELS[model_type], found.reason
    assert found.batched
