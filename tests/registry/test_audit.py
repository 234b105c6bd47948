"""The audit: a trained family is matched, and every single change to one member is caught and named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from archbench.data.corpora.microworld import Microworld
from archbench.data.stream import TokenStream
from archbench.formats.yaml_file import parse_yaml
from archbench.models.tokenizer import tokenizer_identity
from archbench.registry import Audit, Family, Files, audit_family
from archbench.registry.contract import FIELDS
from archbench.schema import validate
from archbench.training.loop.train import train_member
from archbench.training.recipe import Recipe, parse_recipe
from tests.runner.tiny import save_tokenizer

RECIPE: dict[str, Any] = {
    "corpus": {"world_seed": 0, "people": 24, "stream_seed": 0}, "vocab_size": 300, "tokens": 32,
    "sequence_length": 8, "batch_sequences": 2, "validation_windows": 2,
}  # fmt: skip
LLAMA: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 2, "tie_word_embeddings": True,
}  # fmt: skip
QWEN = LLAMA | {"model_type": "qwen3", "head_dim": 8}
# What a change of each setting of the recipe must be told as; a new setting without a line fails the test.
CHANGES: dict[str, tuple[Any, str]] = {
    "corpus.kind": (None, "data"),
    "corpus.world_seed": (1, "data"),
    "corpus.people": (25, "data"),
    "corpus.stream_seed": (1, "data_order"),
    "corpus.short_first": (0.5, "data_order"),
    "vocab_size": (301, "other"),
    "tokens": (48, "tokens"),
    "sequence_length": (16, "sequence_length"),
    "batch_sequences": (4, "optimizer"),
    "optimizer": ("muon", "optimizer"),
    "learning_rate": (1e-3, "schedule"),
    "muon_learning_rate": (1e-3, "schedule"),
    "final_learning_rate": (0.2, "schedule"),
    "warmup": (0.5, "schedule"),
    "betas": ((0.9, 0.99), "optimizer"),
    "weight_decay": (0.2, "optimizer"),
    "clip": (2.0, "optimizer"),
    "seed": (1, "seed"),
    "validation_windows": (4, "other"),
    "reset_at_borders": (True, "other"),
    "precision": ("bfloat16", "other"),
    "sweep": ({"learning_rate": [1e-3, 1e-2]}, "schedule"),
    "seeds": ([0, 1], "seed"),
}


def family(folder: Path, more: str = "") -> Family:
    members = {name: {"path": name, "architecture": one} for name, one in (("a", LLAMA), ("b", QWEN))}
    text = f"name: tiny\ntitle: Two\ntokenizer: tokenizer\nrecipe: {json.dumps(RECIPE)}\n{more}\n"
    text += f"members: {json.dumps(members)}\n"
    return validate(Family, parse_yaml(text, source="tiny.yaml", file=folder / "tiny.yaml"))


def train(folder: Path, name: str, recipe: dict[str, Any], architecture: dict[str, Any]) -> None:
    parsed = parse_recipe(recipe, "recipe")
    shutil.rmtree(folder / name, ignore_errors=True)
    digest = tokenizer_identity(folder / "tokenizer").rules

    def stream(offset: int) -> TokenStream:
        return TokenStream(
            lambda shard, number: str(shard + number + offset + parsed.corpus.stream_seed),
            lambda texts: [[1 + (int(text) + k) % 200 for k in range(5)] for text in texts],
            end=0, length=parsed.sequence_length, windows_per_shard=8,
        )  # fmt: skip

    train_member(
        name, architecture, parsed, stream(0), stream(100), folder / name, vocab_size=257,
        digest=parsed.digest(architecture, digest), report=lambda *_: None, tokenizer=digest,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("family")
    save_tokenizer(folder / "tokenizer")
    train(folder, "a", RECIPE, LLAMA)
    train(folder, "b", RECIPE, QWEN)
    return folder


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "copy")
    return tmp_path / "copy"


def audited(folder: Path, more: str = "", recipe: dict[str, Any] | None = None) -> Audit:
    files = {
        name: Files(
            folder / name if (folder / name).is_dir() else None,
            own if (own := folder / name / "tokenizer").is_dir() else folder / "tokenizer",
        )
        for name in ("a", "b")
    }
    full = parse_recipe(recipe or RECIPE, "recipe").model_dump(mode="json")
    return audit_family(family(folder, more), files, recipe=full)


def forget_parts(folder: Path) -> None:
    """Make a record what it was before it named its parts."""
    record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    for key in ("recipe_fields", "architecture", "tokenizer", "weights"):
        del record[key]
    (folder / "training.json").write_text(json.dumps(record), encoding="utf-8")


def differing(found: Audit) -> set[tuple[str, str]]:
    return {
        (name, one)
        for name, member in found.members.items()
        for one, evidence in member.evidence.items()
        if evidence.status == "differs"
    }


def test_a_trained_family_is_matched(trained: Path) -> None:
    found = audited(trained)
    assert found.problems == []
    assert found.verdict == "matched"
    for member in found.members.values():
        assert {one.status for one in member.evidence.values()} == {"verified"}
        assert set(member.evidence) == set(FIELDS)
    assert found.statement.startswith("tiny: matched (verified: data, data order, tokenizer, tokens")
    assert "parameters within" in found.statement
    spread = found.spread["parameters"]
    assert spread is not None
    assert spread < 0.02
    assert json.loads(json.dumps(found.as_dict()))["verdict"] == "matched"


def test_records_that_name_no_parts_are_verified_by_their_digest(copy: Path) -> None:
    for name in ("a", "b"):
        forget_parts(copy / name)
    assert audited(copy).verdict == "matched"


def test_the_list_of_changes_is_whole() -> None:
    settings = {f"corpus.{name}" for name in Microworld.model_fields if name != "digest"}
    settings |= set(Recipe.model_fields) - {"corpus", "tokenizer"}  # its digest is compared, wherever it lies
    assert set(CHANGES) == settings


@pytest.mark.parametrize("setting", [name for name, (value, _) in CHANGES.items() if value is not None])
@pytest.mark.parametrize("names_parts", [True, False])
def test_every_change_of_one_members_recipe_is_caught(copy: Path, setting: str, names_parts: bool) -> None:
    value, expected = CHANGES[setting]
    recipe = json.loads(json.dumps(RECIPE))
    inner = recipe["corpus"] if setting.startswith("corpus.") else recipe
    inner[setting.removeprefix("corpus.")] = value
    train(copy, "b", recipe, QWEN)
    if not names_parts:
        forget_parts(copy / "b")
    found = audited(copy)
    assert found.verdict == "unmatched"
    assert ("b", expected) in differing(found)
    assert all(name == "b" for name, _ in differing(found) if _ != "size")
    assert any(line.startswith("b: ") and expected in line for line in found.problems)
    if names_parts:
        # What follows from the change differs too: other batches are other data.
        assert differing(found) <= {("b", expected), ("b", "data_order"), ("b", "tokens")}


def change_layer(folder: Path) -> None:
    train(folder, "b", RECIPE, QWEN | {"num_hidden_layers": 3})


def change_width(folder: Path) -> None:
    train(folder, "b", RECIPE, QWEN | {"intermediate_size": 33})


def change_without_a_shape(folder: Path) -> None:
    train(folder, "b", RECIPE, QWEN | {"rms_norm_eps": 1e-3})


def change_tokenizer(folder: Path) -> None:
    shutil.copytree(folder / "tokenizer", folder / "b" / "tokenizer")
    file = folder / "b" / "tokenizer" / "tokenizer.json"
    file.write_text(file.read_text(encoding="utf-8").replace("<|end|>", "<|stop|>"), encoding="utf-8")


def swap_weights(folder: Path) -> None:
    file = folder / "b" / "model.safetensors"
    with safe_open(file, "pt") as opened:
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 - not a dict
    save_file(tensors, file, metadata={"format": "pt"})


def edit_record(folder: Path) -> None:
    file = folder / "b" / "training.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    record["recipe_fields"]["seed"] = 5
    file.write_text(json.dumps(record), encoding="utf-8")
    train(folder, "a", RECIPE | {"seed": 5}, LLAMA)


def diverge(folder: Path) -> None:
    file = folder / "b" / "training.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(record | {"outcome": "diverged"}), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (change_layer, "architecture"),
        (change_width, "architecture"),
        (change_without_a_shape, "architecture"),
        (change_tokenizer, "tokenizer"),
        (swap_weights, "data"),
        (edit_record, "seed"),
        (diverge, "tokens"),
    ],
)
@pytest.mark.parametrize("names_parts", [True, False])
def test_every_other_change_of_one_member_is_caught(
    copy: Path, change: Callable[[Path], None], expected: str, names_parts: bool
) -> None:
    change(copy)
    if not names_parts and change is not edit_record:
        forget_parts(copy / "b")
    found = audited(copy)
    assert found.verdict == "unmatched"
    assert any(name == "b" and one == expected for name, one in differing(found)) or (
        change is edit_record and ("a", expected) in differing(found)
    )


def test_a_shorter_training_of_all_members_is_matched_and_said(copy: Path) -> None:
    for name, one in (("a", LLAMA), ("b", QWEN)):
        train(copy, name, RECIPE | {"tokens": 16}, one)
    found = audited(copy)
    assert found.verdict == "matched"
    assert found.notes == ["tokens, of all members: 16 where the family file says: 32"]


def test_a_family_file_that_describes_another_training_is_told(trained: Path) -> None:
    found = audited(trained, recipe=RECIPE | {"learning_rate": 0.5, "seed": 7})
    assert found.verdict == "matched"
    assert [note.partition(" where")[0] for note in found.notes] == [
        "schedule, of all members: learning_rate 0.003",
        "seed, of all members: 0",
    ]


def test_before_training_the_recipe_is_a_plan(copy: Path) -> None:
    for name in ("a", "b"):
        shutil.rmtree(copy / name)
    found = audited(copy)
    assert found.verdict == "declared"
    assert found.notes == ["not trained yet: a, b; archbench train tiny --out DIR trains them"]
    assert found.members["a"].evidence["seed"].status == "declared"
    assert found.members["a"].evidence["tokens"].value == "32"
    assert found.members["a"].figures["parameters"]


HYBRID = {
    "model_type": "nemotron_h", "pattern": "M*-", "hidden_size": 16, "num_attention_heads": 2, "head_dim": 8,
    "num_key_value_heads": 2, "mamba_num_heads": 2, "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 1,
}  # fmt: skip
EXPERTS = LLAMA | {"model_type": "mixtral", "num_local_experts": 2}


@pytest.mark.parametrize(
    ("architecture", "change"),
    [(HYBRID, {"pattern": "M*-M"}), (EXPERTS, {"num_local_experts": 3})],
    ids=["renamed", "taken apart"],
)
def test_weights_that_are_saved_under_other_names(
    copy: Path, architecture: dict[str, Any], change: dict[str, Any]
) -> None:
    train(copy, "b", RECIPE, architecture)
    weights, tokenizer = copy / "b", copy / "tokenizer"
    for declared, expected in ((architecture, "verified"), (architecture | change, "differs")):
        member = {"b": {"path": "b", "architecture": declared}}
        text = f"name: t\ntitle: T\nmembers: {json.dumps(member)}\n"
        one = validate(Family, parse_yaml(text, source="t.yaml", file=copy / "t.yaml"))
        found = audit_family(one, {"b": Files(weights, tokenizer)})
        assert found.members["b"].evidence["architecture"].status == expected


def test_sizes_are_held_to_the_familys_tolerance(copy: Path) -> None:
    assert audited(copy, "match: {size: {tolerance: 0.0001}}").verdict == "unmatched"
    problem = audited(copy, "match: {size: {target: 999999}}").problems[0]
    assert "a: size differs" in problem
    assert "of 999,999; tolerance 2 %" in problem
    free = audited(copy, "match: {varies: [architecture, size], size: {tolerance: 0.0001}}")
    assert free.verdict == "matched"


def test_an_axis_other_than_architecture(copy: Path) -> None:
    same = audited(copy, "match: {varies: [seed]}")
    assert ("b", "architecture") in differing(same), "architectures are then held equal"
    train(copy, "b", RECIPE | {"seed": 3}, QWEN)
    assert audited(copy, "match: {varies: [architecture, seed]}").verdict == "matched"


def test_an_ablation_varies_in_what_it_says_alone(copy: Path) -> None:
    found = audited(copy, "match: {architecture_varies: [model_type, head_dim]}")
    assert found.verdict == "matched"
    assert found.statement.endswith("varies: architecture (model_type, head_dim alone))")
    assert found.as_dict()["architecture_varies"] == ["model_type", "head_dim"]
    more = audited(copy, "match: {architecture_varies: [model_type]}")
    assert more.verdict == "unmatched"
    assert more.problems == ["b: architecture differs (head_dim 8 where a: None; only model_type may differ)"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rms_norm_eps", 0.1),
        ("rope_parameters", {"rope_type": "default", "rope_theta": 100.0}),
        ("hidden_act", "relu"),
        ("num_attention_heads", 4),
        ("num_hidden_layers", 1),
        ("max_position_embeddings", 64),
        ("model_type", "mistral"),
    ],
)
def test_a_configuration_that_is_not_the_blocks_is_named(copy: Path, key: str, value: Any) -> None:
    """What runs is what config.json says, and not every setting shows in the shapes of the weights."""
    file = copy / "a" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}), encoding="utf-8")
    found = audited(copy)
    assert found.verdict == "unmatched"
    assert ("a", "architecture") in differing(found)
    assert ("b", "architecture") not in differing(found)
    assert key in found.members["a"].evidence["architecture"].note


@pytest.mark.parametrize(
    "change",
    [
        {"extra_special_tokens": ["ab"]},
        {"additional_special_tokens": ["ab"]},
        {"eos_token": "b"},
        {"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": True},
    ],
)
def test_a_tokenizer_that_its_config_changes_is_named(copy: Path, change: dict[str, Any]) -> None:
    shutil.copytree(copy / "tokenizer", copy / "b" / "tokenizer")
    assert audited(copy).verdict == "matched"
    file = copy / "b" / "tokenizer" / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change), encoding="utf-8")
    found = audited(copy)
    assert found.verdict == "unmatched"
    assert any(one == "tokenizer" for _, one in differing(found))


def test_tokenizers_that_cannot_be_loaded_are_told_apart_by_their_files(tmp_path: Path) -> None:
    digests = set()
    for text in ("a", "b"):
        (tmp_path / text).mkdir()
        (tmp_path / text / "tokenizer_config.json").write_text("{}", encoding="utf-8")
        (tmp_path / text / "words.tiktoken").write_text(text, encoding="utf-8")
        digests.add(tokenizer_identity(tmp_path / text))
    assert len(digests) == 2


def test_a_number_of_tokens_that_the_recipe_does_not_give_is_not_believed(copy: Path) -> None:
    for name in ("a", "b"):
        file = copy / name / "training.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"tokens": 999_936}), encoding="utf-8")
    found = audited(copy)
    assert found.verdict == "unmatched"
    assert {("a", "tokens"), ("b", "tokens")} <= differing(found)
    assert "the record says 999936, its recipe 32" in found.members["a"].evidence["tokens"].note
