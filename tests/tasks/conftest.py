"""Small question sets, the tasks over them, and a tiny random model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

Question = dict[str, Any]


def question(subject: str, text: str, choices: list[str], answer: int | str, **more: Any) -> Question:
    return {"subject": subject, "question": text, "choices": choices, "answer": answer, **more}


def write_jsonl(path: Path, rows: list[Question]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def plain(subject: str, number: int, split: str) -> Question:
    texts = [f"{split} {subject} {number} option {letter}" for letter in "abcd"]
    return question(subject, f"What is item {split}-{subject}-{number}?", texts, number % 4)


TRICKY = [
    question(
        "anatomy", "  Spaces around, and a tab.\t\n", [" leading", "trailing ", "inner\nbreak", "plain"], 0
    ),
    question(
        "anatomy", "{{question}} {% raw %} {# not a comment #} {subject}", ["{{answer}}", "{", "}}", "%}"], 1
    ),
    question("anatomy", "12", ["1", "2", "3", "4"], 2),
    question(
        "high_school_us_history", "Où est l'année 1789 — \u2028 où? 🏛️", ["é", "中文", "ñ", "\u00a0x"], 3
    ),
    question("high_school_us_history", "Quotes \"and\" 'apostrophes', commas", ["a,b", '"', "'", "\\n"], 0),
    question("high_school_us_history", "Answer:\n\nAnswer: A", ["A", "B", "C", "D"], 2),
]


@pytest.fixture(scope="session")
def tricky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two subjects whose texts would break careless templates; five shots each, some tricky themselves."""
    folder = tmp_path_factory.mktemp("tricky")
    write_jsonl(folder / "test.jsonl", TRICKY)
    shots = [plain(s, n, "dev") for n in range(4) for s in ("high_school_us_history", "anatomy")]
    extra = [{**TRICKY[1], "question": "A {{shot}}"}, {**TRICKY[3], "question": " Another\n"}]
    write_jsonl(folder / "dev.jsonl", [*shots, *extra])
    return folder


@pytest.fixture
def plain_set(tmp_path: Path) -> Path:
    """Three subjects in mixed order, four test items and five shots each."""
    subjects = ("virology", "anatomy", "sociology")
    for split, size in (("test", 4), ("dev", 5)):
        write_jsonl(
            tmp_path / "set" / f"{split}.jsonl", [plain(s, n, split) for n in range(size) for s in subjects]
        )
    return tmp_path / "set"


@pytest.fixture(scope="session")
def load_task() -> Callable[..., Any]:
    """Loads one of our tasks as the runner does, through lm-eval's task manager."""
    from lm_eval.tasks import TaskManager

    from archbench.paths import shared

    def load(form: str, shots: int, **metadata: Any) -> Any:
        manager = TaskManager(include_path=str(shared("tasks")), include_defaults=False, metadata=metadata)
        task = manager.load([f"archbench_mmlu_{form}"])["tasks"][f"archbench_mmlu_{form}"]
        task.set_config("num_fewshot", shots)
        return task

    return load


@pytest.fixture(scope="session")
def requests_of() -> Callable[[Any], list[tuple[str, str]]]:
    """Every (context, continuation) that a task puts to a model, in order."""

    def requests(task: Any) -> list[tuple[str, str]]:
        task.build_all_requests()
        return [instance.args for instance in task.instances]

    return requests


@pytest.fixture(scope="session")
def tiny_lm() -> Any:
    """lm-eval's own model class around a random two-layer llama with a byte-level tokenizer."""
    import torch
    from lm_eval.models.huggingface import HFLM
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {"<eos>": 0, **{c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()), 1)}}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<eos>", pad_token="<eos>")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=4096,
        initializer_range=0.5,  # far from uniform, so that a wrong prompt shows
    )
    return HFLM(pretrained=LlamaForCausalLM(config), tokenizer=tokenizer, batch_size=1, device="cpu")


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Folders of two tokenizers: `byte`, one token per byte, and `bpe`, of 2,000 words and single digits."""
    from itertools import islice

    from archbench.data.tokenizer import save_tokenizer, train_tokenizer
    from archbench.draw import Draw
    from archbench.tasks.phonebook.pool import draw_entries

    folder = tmp_path_factory.mktemp("tokenizers")
    lines = "\n".join(f"{name}: {number}" for name, number in islice(draw_entries(Draw("train")), 1500))
    text = f"What is the phone number for {lines} Answer: Find the phonebook and memorise it"
    save_tokenizer(train_tokenizer([], 257), folder / "byte")
    save_tokenizer(train_tokenizer([text], 2000), folder / "bpe")
    return lambda name: str(folder / name)


@pytest.fixture(scope="session")
def counter(tokenizer_folder: Callable[[str], str]) -> Any:
    """Counts with the small tokenizer."""
    from archbench.tasks.lengths import token_counter

    return token_counter(tokenizer_folder("bpe"))


@pytest.fixture(scope="session")
def byte_counter(tokenizer_folder: Callable[[str], str]) -> Any:
    """Counts bytes."""
    from archbench.tasks.lengths import token_counter

    return token_counter(tokenizer_folder("byte"))
