"""What the benchmarks run on: untrained models of about ten million parameters, a tokenizer of 16k tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from archbench.models.build import build_model
from archbench.tasks.mmlu.data import load

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

VOCAB = 16384

_COMMON = {
    "hidden_size": 256,
    "max_position_embeddings": 8192,
    "eos_token_id": 0,
    "tie_word_embeddings": True,
}
ARCHITECTURES = {
    "llama": {
        **_COMMON,
        "model_type": "llama",
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "intermediate_size": 640,
    },
    "nemotron_h": {
        **_COMMON,
        "model_type": "nemotron_h",
        "pattern": "M-M-M-*-M-M-M-",
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "head_dim": 32,
        "intermediate_size": 768,
        "mamba_num_heads": 8,
        "mamba_head_dim": 64,
        "ssm_state_size": 64,
        "n_groups": 1,
        "chunk_size": 64,
    },
}
"""Attention alone, and Mamba-2 with one attention layer in seven mixers."""


def make_tokenizer(
    folder: Path, *, questions: Path | None = None, vocab: int = VOCAB
) -> PreTrainedTokenizerBase:
    """A byte-level BPE trained on all `*.txt` below a folder, and on MMLU's own questions where named."""
    return train_tokenizer(_texts(folder, questions), vocab)


def train_tokenizer(
    texts: Iterable[str], vocab: int, *, single_digits: bool = False
) -> PreTrainedTokenizerBase:
    """A byte-level BPE trained on some texts.

    Args:
        texts: What to train it on.
        vocab: Number of tokens.
        single_digits: Whether every digit is a token of its own, as in most current models.
    """
    bpe = Tokenizer(models.BPE())
    bytewise = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([digits, bytewise]) if single_digits else bytewise
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|endoftext|>", clean_up_tokenization_spaces=False
    )


def make_model(
    name: str, *, vocab: int, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> PreTrainedModel:
    """An untrained model; what is measured does not depend on its weights."""
    model = build_model(ARCHITECTURES[name], seed=0, vocab_size=vocab)
    return model.to(device=device, dtype=dtype).eval()


def _texts(folder: Path, questions: Path | None) -> Iterator[str]:
    for path in sorted(folder.rglob("*.txt")):
        yield from path.read_text(encoding="utf-8").splitlines(keepends=True)
    for item in load(str(questions)).test if questions is not None else ():
        yield "\n".join([item.question, *item.choices])
