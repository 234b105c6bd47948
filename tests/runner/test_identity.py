"""A changed model never meets an old answer: whatever loading reads is part of a member's identity."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import transformers
from transformers import AutoTokenizer

from archbench.checkpoint import INDEX, TOKENIZER_FILES, tokenizer_files
from archbench.errors import RequestError
from archbench.identity import model_fingerprint, tokenizer_contents, tokenizer_fingerprint
from archbench.models.build import build_model
from archbench.models.load import load_model, load_tokenizer
from archbench.registry.family import Member
from archbench.registry.resolve import ResolvedMember
from archbench.runner.member.files import member_identity
from tests.runner.tiny import LLAMA, save_tokenizer

_watched: list[tuple[str, set[str]]] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _watched and event == "open" and isinstance(arguments[0], (str, os.PathLike)):
        folder, seen = _watched[-1]
        path = Path(arguments[0])
        if path.is_relative_to(folder):
            seen.add(str(path.relative_to(folder)))


sys.addaudithook(_watch)


@contextmanager
def opened(folder: Path) -> Iterator[set[str]]:
    """Files of a folder that Python opens meanwhile."""
    seen: set[str] = set()
    _watched.append((str(folder), seen))
    try:
        yield seen
    finally:
        _watched.pop()


# What may lie in a model's folder, as hubs and trainers leave it: name and content.
EVERYTHING = {
    "chat_template.jinja": "{{ messages }}",
    "additional_chat_templates/tools.jinja": "{{ tools }}",
    "chat_template.json": '{"chat_template": "{{ messages }}"}',
    "added_tokens.json": "{}",
    "special_tokens_map.json": '{"eos_token": "<|end|>"}',
    "tokenizer.4.0.0.json": "{}",
    "vocab.json": "{}",
    "vocab.txt": "a",
    "merges.txt": "#version: 0.2",
    "tekken.json": "{}",
    "processor_config.json": "{}",
    "preprocessor_config.json": "{}",
    "README.md": "A model.",
    "training_args.bin": "pickled",
    "optimizer.pt": "pickled",
    "pytorch_model.bin": "pickled",
    "trainer_state.json": "{}",
    "params.json": "{}",
    "custom_generate/generate.py": "raise SystemExit",
    "modeling_mine.py": "raise SystemExit",
    "onnx/model.safetensors": "another",
    "checkpoint-5/config.json": "{}",
    "consolidated.safetensors": "another",
    "model.fp16.safetensors": "another",
}


def save_everything(folder: Path, *, shards: bool) -> Path:
    model = build_model(LLAMA, seed=0, vocab_size=257)
    model.save_pretrained(folder, max_shard_size="20KB" if shards else "1GB")
    assert (folder / INDEX).is_file() == shards
    save_tokenizer(folder)
    for name, text in EVERYTHING.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def identity_of(folder: Path, tokenizer: Path | None = None) -> str | None:
    words = tokenizer or folder
    member = ResolvedMember("m", "m", None, str(folder), str(words), Member(path=str(folder)))
    return member_identity(member, folder, words)


def fingerprints(folder: Path) -> tuple[object, ...]:
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    ends = model.generation_config.eos_token_id if model.generation_config else None
    return model_fingerprint(model), tokenizer_fingerprint(tokenizer), ends


def changed(content: bytes, name: str) -> list[bytes]:
    """Other contents of a file: one that says the same or is nonsense, and one that says something else."""
    versions = [content[:-1] + bytes([content[-1] ^ 1]), content + b" "]
    if name.endswith(".json") and isinstance(fields := json.loads(content), dict):
        versions.append(
            json.dumps(fields | {"eos_token_id": 7, "eos_token": "!", "rms_norm_eps": 1.0}).encode()
        )
    return versions


@pytest.mark.parametrize("shards", [False, True])
def test_every_file_that_loading_reads_changes_the_identity(tmp_path: Path, shards: bool) -> None:
    """Whatever is changed: the identity is another one, or the folder is refused, or nothing has changed."""
    folder = save_everything(tmp_path / "m", shards=shards)
    with opened(folder) as seen:
        before = fingerprints(folder)
    assert {"config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja"} <= seen
    known, safe = identity_of(folder), set()
    for file in sorted(one for one in folder.rglob("*") if one.is_file()):
        name, content = str(file.relative_to(folder)), file.read_bytes()
        for other in changed(content, name):
            file.write_bytes(other)
            os.utime(file, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns + 1))
            try:
                if identity_of(folder) != known:
                    safe.add(name)
                    continue
            except RequestError:
                safe.add(name)
                continue
            assert name not in seen, f"{name} is read and is no part of the identity"
            assert fingerprints(folder) == before, f"{name} changes the model and is no part of the identity"
        file.write_bytes(content)
    assert seen <= safe
    weights = {file.name for file in folder.glob("model-*")} or {"model.safetensors"}
    assert weights <= safe
    assert "README.md" not in safe
    assert identity_of(folder) == known


def test_a_tokenizer_of_its_own_folder_brings_the_config_that_names_its_class(tmp_path: Path) -> None:
    folder = save_everything(tmp_path / "m", shards=False)
    words = save_tokenizer(tmp_path / "words")
    known, alone = identity_of(folder, words), tokenizer_contents(words)
    shutil.copy(folder / "config.json", words)
    with opened(words) as seen:
        load_tokenizer(words)
    assert "config.json" in seen
    assert identity_of(folder, words) != known
    assert tokenizer_contents(words) != alone


def test_a_tokenizer_of_parts_is_known_by_its_parts(tmp_path: Path) -> None:
    """Without tokenizer.json, from the files of its class."""
    vocab = {token: index for index, token in enumerate(["<|endoftext|>", "a", "b", "ab"])}
    (tmp_path / "vocab.json").write_text(json.dumps(vocab))
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b\n")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with opened(tmp_path) as seen:
        assert AutoTokenizer.from_pretrained(tmp_path).encode("ab") == [3]
    assert seen <= {file.name for file in tokenizer_files(tmp_path)} | {"config.json"}
    known = tokenizer_contents(tmp_path)
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    assert tokenizer_contents(tmp_path) != known


def test_the_files_of_every_tokenizer_of_transformers_are_known(tmp_path: Path) -> None:
    # From the source, since classes whose packages are not installed cannot be asked.
    sources = Path(transformers.__file__).parent.glob("models/*/tokenization_*.py")
    tables = (
        re.search(r"^VOCAB_FILES_NAMES = \{(.*?)\}", one.read_text("utf-8"), re.M | re.S) for one in sources
    )
    names = {name for table in tables if table for name in re.findall(r':\s*"([^"]+)"', table[1])}
    assert {"vocab.json", "tokenizer.json", "spiece.model"} <= names
    for name in names:
        (tmp_path / name).write_text("{}")
    unknown = names - {file.name for file in tokenizer_files(tmp_path)}
    assert not unknown, f"add to TOKENIZER_FILES ({', '.join(TOKENIZER_FILES)}): {unknown}"
