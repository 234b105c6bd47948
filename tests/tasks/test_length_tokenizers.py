"""The tokenizer that lengths are counted with is known by how it encodes, as in plan and audit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from archbench.models.tokenizer import tokenizer_identity
from archbench.tasks.perplexity.entry import PerplexityEntry
from tests.runner.tiny import save_tokenizer


def digest(folder: Path, text: Path) -> str:
    return PerplexityEntry(kind="perplexity", data=str(text), tokenizer=str(folder)).digest()


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text("Some words.", encoding="utf-8")
    return tmp_path / "text.txt"


def copied(folder: Path, name: str) -> Path:
    shutil.copytree(folder, folder.parent / name)
    return folder.parent / name


def test_copies_next_to_other_models_and_with_other_chat_templates_are_the_same(
    tmp_path: Path, text: Path
) -> None:
    """Whichever member comes first, its items keep their key."""
    words = save_tokenizer(tmp_path / "words")
    known = digest(words, text)
    other = copied(words, "other")
    (other / "config.json").write_text('{"model_type": "llama", "hidden_size": 64}', encoding="utf-8")
    (other / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    assert digest(other, text) == known
    assert tokenizer_identity(other) == tokenizer_identity(words)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("tokenizer_config.json", {"eos_token": "b"}),
        ("tokenizer_config.json", {"additional_special_tokens": ["ab"]}),
        ("tokenizer.json", {"normalizer": {"type": "Lowercase"}}),
    ],
)
def test_what_changes_how_it_encodes_changes_the_key(
    tmp_path: Path, text: Path, file: str, change: dict[str, object]
) -> None:
    words = save_tokenizer(tmp_path / "words")
    other = copied(words, "other")
    fields = json.loads((other / file).read_text(encoding="utf-8")) | change
    (other / file).write_text(json.dumps(fields), encoding="utf-8")
    assert digest(other, text) != digest(words, text)


def test_one_that_does_not_show_its_rules_is_known_by_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "words"
    folder.mkdir()
    (folder / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    (folder / "words.tiktoken").write_text("a", encoding="utf-8")
    known = tokenizer_identity(folder)
    (folder / "config.json").write_text('{"model_type": "unheard-of"}', encoding="utf-8")
    assert tokenizer_identity(folder) == known
    (folder / "words.tiktoken").write_text("bc", encoding="utf-8")
    assert tokenizer_identity(folder) != known
