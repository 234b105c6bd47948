"""The real MMLU through `archbench run`, on untrained models, next to lm-eval's `hf` model, item by item.

Run with ARCHBENCH_MMLU_DIR=<folder with dev and test> pytest -m slow tests/runner/test_real_mmlu.py
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import archbench
from archbench.data.tokenizer import save_tokenizer, train_tokenizer
from archbench.models.build import build_model
from archbench.tasks.mmlu.data import load
from archbench.tasks.mmlu.entry import MmluEntry

SUBJECTS = ["anatomy"]
MODELS = {
    "llama": {
        "model_type": "llama", "hidden_size": 160, "intermediate_size": 432, "num_hidden_layers": 4,
        "num_attention_heads": 8, "num_key_value_heads": 8, "max_position_embeddings": 4096,
    },
    "hybrid": {
        "model_type": "nemotron_h", "pattern": "M-M-*-M-", "hidden_size": 160, "intermediate_size": 480,
        "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 20, "mamba_num_heads": 10,
        "mamba_head_dim": 32, "ssm_state_size": 32, "n_groups": 2, "chunk_size": 64,
        "max_position_embeddings": 4096,
    },
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif("ARCHBENCH_MMLU_DIR" not in os.environ, reason="ARCHBENCH_MMLU_DIR names no folder")
@pytest.mark.filterwarnings("ignore")
def test_untrained_models_are_at_chance_and_every_item_equals_lm_evals_hf(tmp_path: Path) -> None:
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    from transformers import AutoModelForCausalLM, AutoTokenizer

    data = os.environ["ARCHBENCH_MMLU_DIR"]
    questions = load(data, subjects=None, limit=None).test
    texts = [" ".join([item.question, *item.choices]) for item in questions]
    tokenizer = train_tokenizer(texts, 16_384)
    overrides = [
        f"mmlu.data={data}",
        f"mmlu.subjects={SUBJECTS}",
        "engine.dtype=float32",
        "allow_unmatched=true",
    ]
    for name, architecture in MODELS.items():
        model = build_model(architecture, seed=0, vocab_size=len(tokenizer))
        assert 5e6 < model.num_parameters() < 20e6
        model.save_pretrained(tmp_path / name)
        save_tokenizer(tokenizer, tmp_path / name)
        overrides.append(f"members.{name}={tmp_path / name}")
    results = archbench.run("mmlu", tmp_path / "run", overrides, quiet=True)

    # Twelve intervals at once: 95 % for all of them together (Bonferroni).
    scores = results.scores(confidence=1 - 0.05 / 12)
    assert len(scores) == len(MODELS) * 6
    assert ((scores["low"] <= 0.25) & (scores["high"] >= 0.25)).all(), scores

    variants = {v.name: v for v in MmluEntry(kind="mmlu", data=data, subjects=SUBJECTS).variants()}
    for name in MODELS:
        theirs = HFLM(
            pretrained=AutoModelForCausalLM.from_pretrained(tmp_path / name, dtype=torch.float32),
            tokenizer=AutoTokenizer.from_pretrained(tmp_path / name), batch_size=8,
        )  # fmt: skip
        for variant_name, variant in variants.items():
            expected = _scored_by(theirs, variant, TaskManager)
            items = results.items(member=name)
            ours = items[items["variant"] == variant_name].sort_values("doc")
            assert len(ours) == len(expected) > 100
            worst = max(
                np.abs(np.array(mine) - np.array(other)).max()
                for mine, other in zip(ours["loglikelihoods"], expected, strict=True)
            )
            assert worst < 1e-4, (name, variant_name, worst)


def _scored_by(lm: object, variant: object, manager_class: type) -> list[list[float]]:
    from lm_eval.evaluator import simple_evaluate

    from archbench.paths import shared

    manager = manager_class(
        include_path=str(shared("tasks")), include_defaults=False, metadata=variant.work.metadata
    )
    found = simple_evaluate(
        model=lm, tasks=list(variant.work.tasks), task_manager=manager, num_fewshot=variant.work.num_fewshot,
        bootstrap_iters=0, log_samples=True,
    )  # fmt: skip
    [samples] = found["samples"].values()
    rows = pd.DataFrame(samples).drop_duplicates("doc_id").sort_values("doc_id")
    return [[answer[0][0] for answer in row] for row in rows["resps"]]
