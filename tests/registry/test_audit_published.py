"""Families that others published: every claim has its source, and the audit claims no more than they say."""

from __future__ import annotations

import pytest

from archbench.registry import Audit, Family, Files, audit_family, families

PUBLISHED = ["based-1b", "fla-1.3b-100b", "nvidia-8b", "pile-300b"]


def audited(family: Family, *members: str) -> Audit:
    return audit_family(family, {name: Files() for name in members or family.members})


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_claim_names_its_source(name: str) -> None:
    family = families()[name]
    assert family.url
    claims = [*family.match.declared.values()]
    claims += [claim for member in family.members.values() for claim in member.declared.values()]
    assert all(claim.url and claim.url.startswith("https://") for claim in claims)
    for member in audited(family).members.values():
        # Nothing is local, so nothing can be verified.
        assert not {one.status for one in member.evidence.values()} & {"verified"}
        for one in member.evidence.values():
            assert one.status != "declared" or str(one.url).startswith("https://")


@pytest.mark.parametrize(
    ("name", "members", "verdict"),
    [
        ("based-1b", [], "declared"),
        ("nvidia-8b", [], "declared"),
        ("pile-300b", [], "declared"),
        ("fla-1.3b-100b", [], "unmatched"),
    ],
)
def test_verdicts(name: str, members: list[str], verdict: str) -> None:
    found = audited(families()[name], *members)
    assert (found.verdict, found.problems if verdict == "declared" else []) == (verdict, [])


def test_nobody_says_what_some_of_fla_hubs_models_read() -> None:
    found = audited(families()["fla-1.3b-100b"])
    assert "mamba: data is unknown (nobody says)" in found.problems
    assert not any(line.startswith("gla: data ") for line in found.problems)


def test_nvidias_sizes_are_counted_from_the_architectures() -> None:
    found = audited(families()["nvidia-8b"])
    sizes = [member.figures["parameters"] for member in found.members.values()]
    assert sizes == [8_540_135_424, 8_236_999_680, 8_654_517_248]
    spread = found.spread["parameters"]
    assert spread is not None
    assert round(100 * spread, 1) == 5.1
