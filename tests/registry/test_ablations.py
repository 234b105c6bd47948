"""Ablation families: one thing differs, sizes match, the recipe is microworld's, and a trained one runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import archbench
from archbench.efficiency.sizes import architecture_sizes
from archbench.efficiency.widths import solve_widths
from archbench.models.patterns import expand_pattern
from archbench.registry import Audit, Family, audit_family, families
from archbench.registry.contract import Contract
from archbench.runner.match import files_at_hand, full_recipe
from archbench.training import train_family

DOCS = Path(__file__).parents[2] / "docs" / "ablations.md"
# What the file says differs, and how transformers calls that in a configuration.
VARIED = {
    "microworld-attention-share": ("pattern", "layers_block_type"),
    "microworld-positions": ("position_embedding_type", "position_embedding_type"),
    "microworld-kv-heads": ("num_key_value_heads", "num_key_value_heads"),
    "microworld-order": ("pattern", "layers_block_type"),
    "microworld-placement": ("pattern", "layers_block_type"),
}
CATALOG = families()


def audited(family: Family) -> Audit:
    files = {name: files_at_hand(family, name) for name in family.members}
    return audit_family(family, files, recipe=full_recipe(family))


def changed(family: Family, member: str, **architecture: Any) -> Family:
    one = family.members[member]
    block = (one.architecture or {}) | architecture
    made = family.model_copy(
        update={"members": family.members | {member: one.model_copy(update={"architecture": block})}}
    )
    made._document = family._document
    return made


def patterns(name: str) -> dict[str, str]:
    members = CATALOG[name].members
    return {one: expand_pattern((member.architecture or {})["pattern"]) for one, member in members.items()}


def test_the_list_is_whole() -> None:
    assert {name for name in CATALOG if name.startswith("microworld-")} == set(VARIED)


@pytest.mark.parametrize("name", VARIED)
def test_trained_as_microworld_is(name: str) -> None:
    family, model = CATALOG[name], CATALOG["microworld"]
    assert full_recipe(family) == full_recipe(model), (
        f"{name}.yaml restates microworld's recipe: copy the block again"
    )
    assert (family.tokenizer, family.items) == (model.tokenizer, model.items)
    assert family.budget == model.budget


@pytest.mark.parametrize("name", VARIED)
def test_the_audit_before_training(name: str) -> None:
    family = CATALOG[name]
    found = audited(family)
    assert (found.verdict, found.problems) == ("declared", [])
    assert f"archbench train {name} --out DIR" in found.notes[0]
    assert f"({VARIED[name][0]} alone)" in found.statement
    assert all(member.evidence["tokenizer"].status == "verified" for member in found.members.values())
    # The mismatch is stated in the file, rounded up.
    stated = re.search(r"parameters\s+within (\d\.\d\d) %", family.description)
    assert stated is not None
    spread = found.spread["parameters"]
    assert spread is not None
    assert spread <= 0.02
    assert float(stated[1]) - 0.1 < 100 * spread <= float(stated[1]) + 1e-9
    for member in found.members.values():
        assert 300_000 < (member.figures["parameters"] or 0) < 340_000, "of microworld's size"


@pytest.mark.parametrize("name", VARIED)
def test_one_thing_differs(name: str) -> None:
    """Held equal in everything, the audit finds one setting of transformers to differ."""
    strict = CATALOG[name].model_copy(update={"match": Contract(varies=())})
    notes = {
        member.evidence["architecture"].note
        for member in audited(strict).members.values()
        if member.evidence["architecture"].status == "differs"
    }
    assert notes
    for note in notes:
        assert note.startswith(f"{VARIED[name][1]} "), note
        assert ";" not in note, note


@pytest.mark.parametrize("name", VARIED)
def test_a_second_difference_is_caught(name: str) -> None:
    family = CATALOG[name]
    *_, last = family.members
    found = audited(changed(family, last, initializer_range=0.03))
    assert found.verdict == "unmatched"
    assert [one.partition(":")[0] for one in found.problems] == [last]
    assert "initializer_range 0.03" in found.problems[0]
    assert f"only {VARIED[name][0]} may differ" in found.problems[0]


def test_the_shares_of_attention() -> None:
    found = patterns("microworld-attention-share")
    assert [one.count("*") for one in found.values()] == [0, 1, 2, 3, 6, 12, 20]
    assert {len(one) for one in found.values()} == {40}
    assert {one.count("-") for one in found.values()} == {12}
    for name, member in CATALOG["microworld-attention-share"].members.items():
        reached = f"{found[name].count('*') / 0.4:g} %"
        assert name == "attention-0" or (reached in (member.title or "") and reached in (member.notes or ""))


def test_the_state_is_of_the_size_at_which_both_mixers_weigh_the_same() -> None:
    members = CATALOG["microworld-attention-share"].members
    block = members["attention-0"].architecture or {}
    attention = block | {"pattern": expand_pattern(block["pattern"]).replace("M", "*")}
    target = architecture_sizes(attention, vocab_size=2000).parameters
    found = solve_widths(block, target, [{"ssm_state_size": 8}], vocab_size=2000)
    assert found.architecture["ssm_state_size"] == block["ssm_state_size"]


def test_the_same_layers_in_another_order() -> None:
    for name in ("microworld-order", "microworld-placement"):
        one, other = patterns(name).values()
        assert one != other
        assert sorted(one) == sorted(other)
    assert [one[0] for one in patterns("microworld-order").values()] == ["M", "*"]


def test_the_documentation_names_every_member() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for name in VARIED:
        assert f"`{name}`" in text
        for member in CATALOG[name].members:
            assert member in text, (name, member)


@pytest.mark.slow
def test_from_training_to_a_report(tmp_path: Path) -> None:
    trained = tmp_path / "families"
    results = train_family(CATALOG["microworld-kv-heads"], out=trained, tokens=40_000)
    assert [result.member for result in results] == ["mha", "gqa"]
    assert len({result.data for result in results}) == 1
    family = families([trained])["microworld-kv-heads"]
    found = audited(family)
    assert (found.verdict, found.problems) == ("matched", [])
    assert not any("not trained" in note for note in found.notes)
    run = archbench.run(
        "quick",
        tmp_path / "run",
        families=[trained],
        overrides=["families=[microworld-kv-heads]", "report.baseline=mha", "mmlu.limit=2", "mmlu.shots=[0]"],
        quiet=True,
    )
    assert sorted(set(run.scores()["member"])) == ["gqa", "mha"]
    assert run.manifest["verdict"] == "matched"
