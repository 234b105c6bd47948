"""Fixtures of the engine's tests."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerBase

from tests.engine.tiny import make_tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerBase:
    return make_tokenizer()
