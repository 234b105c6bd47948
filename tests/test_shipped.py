"""What ships is what its family file says: recipe, data, weights, questions, sizes."""

from __future__ import annotations

import json

import pytest
from safetensors import safe_open

from archbench import paths
from archbench.data.microworld import World, evaluation_set
from archbench.registry import families
from archbench.training.material import tokenizer_digest
from archbench.training.recipe import parse_recipe

FAMILY = families()["microworld"]
FOLDER = paths.catalog() / "microworld"
RECORDS = {
    name: json.loads((FOLDER / name / "training.json").read_text(encoding="utf-8")) for name in FAMILY.members
}


@pytest.mark.parametrize("name", FAMILY.members)
def test_weights_come_from_the_recipe_in_the_family_file(name: str) -> None:
    from transformers import AutoTokenizer

    recipe = parse_recipe(FAMILY.recipe, "microworld.yaml")
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "tokenizer")
    expected = recipe.digest(FAMILY.members[name].architecture, tokenizer_digest(tokenizer))
    record = RECORDS[name]
    with safe_open(FOLDER / name / "model.safetensors", "pt") as file:
        header = file.metadata()
    assert record["recipe"] == header["archbench_recipe"] == expected
    assert record["data"] == header["archbench_data"]
    assert record["outcome"] == "finished"
    assert record["steps"] == recipe.steps


def test_members_read_the_same_batches_and_are_of_one_size() -> None:
    assert len({record["data"] for record in RECORDS.values()}) == 1
    sizes = [record["parameters"] for record in RECORDS.values()]
    assert max(sizes) <= 1.02 * min(sizes)


@pytest.mark.parametrize("name", FAMILY.members)
def test_cards_state_what_the_record_says(name: str) -> None:
    card, record = (FOLDER / name / "README.md").read_text(encoding="utf-8"), RECORDS[name]
    assert f"{record['parameters']:,} parameters" in card
    assert f"{record['tokens']:,} tokens" in card
    assert f"| validation loss | {record['validation_loss']:.3f} nats" in card
    assert f"| training loss, last point | {record['training_loss']:.3f} nats" in card
    assert "cannot do" in card


def test_questions_are_those_of_the_recipes_world() -> None:
    corpus = parse_recipe(FAMILY.recipe, "microworld.yaml").corpus
    _, test = evaluation_set(World(seed=corpus.world_seed, people=corpus.people))
    rows = [json.loads(line) for line in (FOLDER / "quiz" / "test.jsonl").read_text().splitlines()]
    assert [(row["question"], row["answer"]) for row in rows] == [(q.stem, q.answer) for q in test]


def test_what_ships_is_small_and_carries_no_path_of_the_machine_it_was_made_on() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 20e6
    for path in files:
        if path.suffix == ".json":
            text = path.read_text(encoding="utf-8")
            assert "/tmp" not in text
            assert "/root" not in text
