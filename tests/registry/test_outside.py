"""The contract for architectures: one file outside of archbench, named by a family file, makes a member."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from lm_eval.api.instance import Instance

from archbench.efficiency.sizes import model_sizes
from archbench.engine import load_lm
from archbench.errors import RequestError
from archbench.models.build import build_model
from archbench.models.load import load_tokenizer
from archbench.registry import FamilyChoice, Files, audit_family, families, resolve_members
from tests.models.outside import package
from tests.runner.tiny import save_tokenizer

FAMILY = """\
name: mine
title: An architecture of one's own next to another
tokenizer: tokens
imports: [leaky_lab]
match: {size: {quantity: parameters, tolerance: 100}}
members:
  leaky:
    path: trained
    architecture: &leaky {model_type: leaky_of_the_lab, hidden_size: 16, leak: 0.5, vocab_size: 257}
  control:
    init: random
    architecture: *leaky
  delta:
    init: random
    architecture: {model_type: delta_rule, hidden_size: 16, num_heads: 2, head_dim: 8, num_hidden_layers: 1,
                   intermediate_size: 16}
"""
TOWNS, ANSWERS = ("Elmford", "Elmham"), (" grey", " old")
REQUESTS = [(f"{'The cat sat. ' * 20}The cat of {town} is", one) for town in TOWNS for one in ANSWERS]


def where(*path: str | int) -> str:
    return "suite.yaml, line 1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    base = tmp_path / "families"
    base.mkdir()
    (base / "mine.yaml").write_text(FAMILY)
    save_tokenizer(base / "tokens")
    return base


def test_one_file_outside_is_enough(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with package(tmp_path, monkeypatch, name="leaky_lab", model_type="leaky_of_the_lab"):
        known = families([folder])
        # Listing families imports nothing.
        assert "leaky_lab" not in sys.modules
        control, delta = resolve_members(
            [FamilyChoice(name="mine", members=["control", "delta"])], {}, known, where=where
        )
        assert "leaky_lab" in sys.modules
        model = build_model(control.member.architecture or {}, seed=0)
        _train(model)
        model.save_pretrained(folder / "trained")
        (leaky,) = resolve_members([FamilyChoice(name="mine", members=["leaky"])], {}, known, where=where)

        audit = audit_family(
            known["mine"], {"leaky": Files(folder / "trained", folder / "tokens"), "control": Files()}
        )
        assert audit.members["leaky"].evidence["architecture"].status == "verified"
        assert audit.members["leaky"].figures["state_bytes"] == 2 * 16 * 2

        lm = load_lm(str(leaky.source), str(leaky.tokenizer))
        assert (lm.exactness.level, lm.exactness.batched) == ("chunk", True)
        _same_as_plain(lm, model.eval(), str(leaky.tokenizer))
        assert model_sizes(model).layers == {"leaky": 2}

        tokenizer = load_tokenizer(str(delta.tokenizer))
        other = build_model(delta.member.architecture or {}, seed=1, vocab_size=len(tokenizer))
        _same_as_plain(load_lm(other, tokenizer), other, str(delta.tokenizer))


def test_what_cannot_be_imported_is_told_with_file_and_key(folder: Path) -> None:
    (folder / "mine.yaml").write_text(FAMILY.replace("leaky_lab", "leaky_nowhere"))
    known = families([folder])
    for use in (
        lambda: resolve_members([FamilyChoice(name="mine")], {}, known, where=where),
        lambda: audit_family(known["mine"], {}),
    ):
        with pytest.raises(RequestError) as caught:
            use()
        message = str(caught.value)
        assert message.startswith(f"{folder / 'mine.yaml'}, line 4: imports: the package 'leaky_nowhere'")
        assert "pip install leaky-nowhere" in message


def test_without_the_import_the_message_names_it(folder: Path) -> None:
    text = FAMILY.replace("imports: [leaky_lab]\n", "").replace("leaky_of_the_lab", "leaky_unheard_of")
    (folder / "mine.yaml").write_text(text)
    with pytest.raises(RequestError, match=r"leaky_unheard_of.*imports: \[PACKAGE\]"):
        resolve_members([FamilyChoice(name="mine", members=["control"])], {}, families([folder]), where=where)


def _train(model: torch.nn.Module) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    ids = torch.arange(200)[None]
    for _ in range(3):
        logits = model(input_ids=ids).logits
        torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:]).backward()
        optimizer.step()
        optimizer.zero_grad()


def _same_as_plain(lm: object, model: torch.nn.Module, tokenizer: str) -> None:
    """Scores of the engine, which shares prefixes, next to those of a plain forward pass each."""
    encode = load_tokenizer(tokenizer).encode
    requests = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(REQUESTS)]
    scores = lm.loglikelihood(requests)  # type: ignore[attr-defined]
    assert lm.usage.tokens_forwarded < sum(len(encode(a + b)) for a, b in REQUESTS)  # type: ignore[attr-defined]
    for (context, continuation), (found, _) in zip(REQUESTS, scores, strict=True):
        ids = torch.tensor([encode(context + continuation)])
        start = len(encode(context))
        with torch.no_grad():
            logprobs = model(input_ids=ids[:, :-1]).logits.log_softmax(-1)[0, start - 1 :]
        expected = logprobs.gather(1, ids[0, start:, None]).sum().item()
        assert found == pytest.approx(expected, abs=1e-4)
