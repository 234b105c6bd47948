"""Families: what is read, where they are found, and which models can be loaded."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import save_file

from archbench.errors import RequestError
from archbench.formats.yaml_file import parse_yaml
from archbench.registry import Family, FamilyChoice, Member, families, find_family, resolve_members
from archbench.schema import validate
from tests.runner.tiny import LLAMA, save_model, save_tokenizer

FAMILY = """\
name: world
title: Two tiny models
tokenizer: tokens
data: stories
budget: {tokens: 10, sequence_length: 4, notes: no GPU}
controlled: [tokenizer]
varies: [mixer]
recipe: {anything: goes}
items: {mmlu: questions}
members:
  plain:
    path: plain
    architecture: {model_type: llama, hidden_size: 16, num_attention_heads: 2}
  control:
    init: random
    seed: 3
    architecture: {model_type: mamba2, hidden_size: 16, num_heads: 4, head_dim: 8, state_size: 8}
  published: {hub: owner/model, revision: v1}
"""


def where(*path: str | int) -> str:
    return "suite.yaml, line 1"


def write(folder: Path, text: str, name: str = "world.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A families folder whose models are there."""
    base = write(tmp_path_factory.mktemp("families"), FAMILY)
    save_tokenizer(base / "tokens")
    save_model(base / "plain", LLAMA, tokenizer=False)
    return base


def test_a_family_is_read(folder: Path) -> None:
    family = find_family("world", [folder])
    assert (family.data and family.data.name, family.budget.tokens) == ("stories", 10)
    assert family.budget.notes == "no GPU"
    assert list(family.members) == ["plain", "control", "published"]
    assert (family.folder, family.file) == (folder, folder / "world.yaml")


def test_members_are_resolved(folder: Path) -> None:
    own = {"mine": Member(path=str(folder / "plain"), tokenizer=str(folder / "tokens"))}
    found = resolve_members([FamilyChoice(name="world")], own, families([folder]), where=where)
    assert [(one.name, one.family) for one in found] == [
        ("plain", "world"),
        ("control", "world"),
        ("published", "world"),
        ("mine", None),
    ]
    assert [one.source for one in found] == [
        str(folder / "plain"),
        None,
        "owner/model",
        str(folder / "plain"),
    ]
    assert [one.tokenizer for one in found] == [str(folder / "tokens")] * 4


def test_members_of_one_name_get_their_familys_too(folder: Path, tmp_path: Path) -> None:
    other = FAMILY.replace("name: world", "name: other").replace(
        "tokenizer: tokens", f"tokenizer: {folder}/tokens"
    )
    other = other.replace("path: plain", f"path: {folder}/plain")
    known = families([folder, write(tmp_path / "more", other)])
    own = {"control": Member(path=str(folder / "plain"), tokenizer=str(folder / "tokens"))}
    choices = [
        FamilyChoice(name="world", members=["plain", "control"]),
        FamilyChoice(name="other", members=["plain"]),
    ]
    names = [one.name for one in resolve_members(choices, own, known, where=where)]
    assert names == ["world:plain", "world:control", "other:plain", "control"]
    assert len(set(names)) == len(names)


def test_a_later_folder_counts_and_says_so(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    later = write(tmp_path / "later", FAMILY.replace("Two tiny models", "Mine"))
    with caplog.at_level(logging.WARNING):
        assert families([folder, later])["world"].title == "Mine"
    assert "replaces the one of" in caplog.text


def test_the_users_own_folder_is_searched(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(tmp_path / "home" / "families", FAMILY)
    monkeypatch.setenv("ARCHBENCH_HOME", str(tmp_path / "home"))
    assert "world" in families()


def test_a_draft_in_the_users_own_folder_is_left_out_and_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "home" / "families", "titel: x\n", name="draft.yaml")
    monkeypatch.setenv("ARCHBENCH_HOME", str(tmp_path / "home"))
    with caplog.at_level(logging.WARNING):
        assert "microworld" in families()
    assert "left out" in caplog.text
    assert "draft.yaml" in caplog.text
    with pytest.raises(RequestError, match=r"draft\.yaml"):
        families([tmp_path / "home" / "families"])


def test_shipped_families_are_whole() -> None:
    for name, family in families().items():
        assert family.title
        assert family.members
        assert family.file is not None
        assert name == family.file.stem


WRONG = [
    ("title: Two tiny models", "titel: x", 2, ["'titel'", "Did you mean 'title'?"]),
    ("    path: plain", "    paht: plain", 12, ["'members.plain.paht'", "Did you mean 'path'?"]),
    ("    path: plain\n", "", 11, ["'members.plain'", "path (a folder) or hub"]),
    ("    init: random", "    init: none", 15, ["'members.control.init'", "'trained' or 'random'"]),
    ("    init: random", "    init: random\n    path: x", 14, ["built from its architecture"]),
    ("{model_type: llama, ", "{", 13, ["needs a model_type"]),
    ("controlled: [tokenizer]", "controlled: tokenizer", 6, ["'controlled'", "a list"]),
    ("budget: {tokens: 10", "budget: {tokens: many", 5, ["'budget.tokens' is 'many'", "whole number"]),
    ("revision: v1", "revision: v1, path: x", 18, ["either path"]),
    ("  plain:", "  control:", 14, ["there twice"]),
    ("items: {mmlu", "items: [mmlu", 9, ["not valid YAML"]),
]


@pytest.mark.parametrize(("old", "new", "line", "parts"), WRONG)
def test_a_wrong_family_file_is_told_by_line(
    tmp_path: Path, old: str, new: str, line: int, parts: list[str]
) -> None:
    assert old in FAMILY
    broken = write(tmp_path / "f", FAMILY.replace(old, new, 1))
    with pytest.raises(RequestError) as error:
        families([broken])
    message = str(error.value)
    assert f"{broken / 'world.yaml'}, line {line}: " in message
    for part in parts:
        assert part in message


def resolve_error(family: Family, *members: str) -> str:
    with pytest.raises(RequestError) as error:
        resolve_members(
            [FamilyChoice(name="world", members=list(members) or None)], {}, {"world": family}, where=where
        )
    return str(error.value)


def family_of(text: str, folder: Path) -> Family:
    return validate(Family, parse_yaml(text, source="world.yaml", file=folder / "world.yaml"))


def test_unknown_names(folder: Path) -> None:
    known = families([folder])
    with pytest.raises(
        RequestError, match=r"suite\.yaml, line 1: .*no family 'wrld'.*Did you mean 'world'\?"
    ):
        resolve_members([FamilyChoice(name="wrld")], {}, known, where=where)
    assert "no member 'plane'. Did you mean 'plain'?" in resolve_error(known["world"], "plane")
    with pytest.raises(RequestError, match="Did you mean 'world'"):
        find_family("wurld", [folder])
    with pytest.raises(RequestError, match=r"--families .*no such folder"):
        families([folder / "nowhere"])


def test_models_that_are_not_there(folder: Path, tmp_path: Path) -> None:
    text = FAMILY.replace("tokenizer: tokens", f"tokenizer: {folder}/tokens")
    family = family_of(text, tmp_path)
    assert "no model folder" in resolve_error(family, "plain")
    assert "archbench train world" in resolve_error(family, "plain")
    (tmp_path / "plain").mkdir()
    assert "has no config.json" in resolve_error(family, "plain")
    (tmp_path / "plain" / "config.json").write_text("{", encoding="utf-8")
    assert "has no weights (expected model.safetensors" in resolve_error(family, "plain")
    (tmp_path / "plain" / "pytorch_model.bin").write_bytes(b"x")
    assert "pickle" in resolve_error(family, "plain")
    (tmp_path / "plain" / "model.safetensors").write_bytes(b"x")
    assert "model.safetensors cannot be read as a safetensors file" in resolve_error(family, "plain")
    save_file({"a": numpy.zeros(1)}, tmp_path / "plain" / "model.safetensors")
    assert "not a model configuration in JSON" in resolve_error(family, "plain")
    (tmp_path / "plain" / "config.json").write_text('{"model_type": "lama"}', encoding="utf-8")
    assert "no causal language model of model_type 'lama'. Did you mean 'llama'?" in resolve_error(
        family, "plain"
    )


def test_architectures_that_transformers_does_not_have(folder: Path) -> None:
    unknown = family_of(FAMILY.replace("mamba2", "mammba2"), folder)
    assert "world.yaml, line 17: " in resolve_error(unknown, "control")
    assert "Did you mean 'mamba2'?" in resolve_error(unknown, "control")
    field = family_of(FAMILY.replace("state_size", "stat_size"), folder)
    assert "Did you mean 'state_size'?" in resolve_error(field, "control")


def test_tokenizers_that_are_not_there(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = family_of(FAMILY.replace("tokenizer: tokens", f"tokenizer: {tmp_path}/empty"), folder)
    told = resolve_error(empty, "plain")
    assert "holds no tokenizer" in told
    assert "`tokenizer: FOLDER_OR_HUB_ID`, for the whole family or under members.plain" in told
    missing = family_of(FAMILY.replace("tokenizer: tokens", "tokenizer: ./nowhere"), folder)
    assert "no tokenizer folder" in resolve_error(missing, "plain")
    none = family_of(FAMILY.replace("tokenizer: tokens\n", ""), folder)
    assert "no tokenizer. Save it beside the weights" in resolve_error(none, "plain")
    assert "the member 'control' has no tokenizer" in resolve_error(none, "control")
