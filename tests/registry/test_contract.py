"""What a family file may say of its match, and what the audit makes of facts that are only declared."""

from __future__ import annotations

from pathlib import Path

import pytest

from archbench.errors import RequestError
from archbench.formats.yaml_file import parse_yaml
from archbench.registry import Audit, Family, Files, audit_family
from archbench.schema import validate
from tests.registry.test_audit import family


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ("{architecture_varies: [hed_dim]}", "Did you mean 'head_dim'"),
        ("{architecture_varies: [head_dim], varies: [data]}", "needs architecture among what varies"),
    ],
)
def test_what_an_ablation_may_not_say(tmp_path: Path, match: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        family(tmp_path, f"match: {match}")


def test_an_ablation_needs_architecture_blocks() -> None:
    text = "name: t\ntitle: T\nmatch: {architecture_varies: [x]}\nmembers: {published: {hub: o/m}}\n"
    with pytest.raises(RequestError, match="published has none"):
        validate(Family, parse_yaml(text, source="t.yaml"))


PUBLISHED = """\
name: published
title: Two
url: https://example.org/paper
data: web
budget: {tokens: 100}
tokenizer: owner/tokenizer
match:
  declared: {optimizer: {value: AdamW, url: https://example.org/code}}
  size: {tolerance: 0.1}
members:
  a: {hub: owner/a, declared: {size: {value: 100}}}
  b: {hub: owner/b, declared: {size: {value: 105}}}
"""


def published(text: str) -> Audit:
    one = validate(Family, parse_yaml(text, source="p.yaml"))
    return audit_family(one, {name: Files() for name in one.members})


def test_what_is_only_said_is_declared_and_what_nobody_says_unknown() -> None:
    found = published(PUBLISHED)
    assert found.verdict == "declared"
    evidence = found.members["a"].evidence
    assert {name: one.status for name, one in evidence.items() if one.status == "declared"}.keys() == {
        "data", "tokenizer", "tokens", "optimizer", "size",
    }  # fmt: skip
    assert evidence["optimizer"].url == "https://example.org/code"
    assert evidence["data"].url == "https://example.org/paper"
    assert "unknown: architecture" not in found.statement
    assert "unknown: data order, sequence length, schedule, seed, other" in found.statement


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("data: web\n", "", "a: data is unknown"),
        ("budget: {tokens: 100}\n", "", "a: tokens is unknown"),
        ("tokenizer: owner/tokenizer\n", "", "a: tokenizer is unknown"),
        ("value: 105", "value: 120", "b: size differs"),
        (
            "b: {hub: owner/b, declared: {",
            "b: {hub: owner/b, declared: {tokens: {value: 90}, ",
            "b: tokens differs",
        ),
    ],
)
def test_a_declaration_that_does_not_hold(old: str, new: str, problem: str) -> None:
    assert old in PUBLISHED
    found = published(PUBLISHED.replace(old, new))
    assert found.verdict == "unmatched"
    assert any(line.startswith(problem) for line in found.problems)
