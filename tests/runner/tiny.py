"""Tiny random models, a byte-level tokenizer and a question set, made in a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
}
MAMBA: dict[str, Any] = {
    "model_type": "mamba2",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "state_size": 8,
    "head_dim": 8,
    "num_heads": 4,
    "n_groups": 1,
    "chunk_size": 16,
}


def save_tokenizer(folder: Path) -> Path:
    """Save a tokenizer of one token per byte."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: index for index, token in enumerate(["<|end|>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>").save_pretrained(folder)
    return folder


def save_model(folder: Path, architecture: dict[str, Any], *, seed: int = 0, tokenizer: bool = True) -> Path:
    """Save a random model with its tokenizer."""
    from archbench.models.build import build_model

    build_model(architecture, seed=seed, vocab_size=257).save_pretrained(folder)
    if tokenizer:
        save_tokenizer(folder)
    return folder


def save_shelf(folder: Path) -> Path:
    """Save the models `llama` and `mamba` and the question set `mmlu`."""
    save_model(folder / "llama", LLAMA)
    save_model(folder / "mamba", MAMBA)
    save_questions(folder / "mmlu")
    return folder


def save_questions(folder: Path, *, test: int = 6, dev: int = 2) -> Path:
    """Save MMLU-like questions of two subjects."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, number in (("dev", dev), ("test", test)):
        rows = [
            {
                "question": f"What is {index} and {index + 1} in {subject}, {split}?",
                "choices": [f"{index + 1}", f"about {2 * index + 1}", "nothing", "every thing"],
                "answer": index % 4,
                "subject": subject,
            }
            for subject in ("anatomy", "philosophy")
            for index in range(number)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return folder
