"""From a planned member to a model that answers: archbench's engine, or one of lm-eval's own classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from archbench.engine import EngineOptions, RequestStore, load_backend, load_lm
from archbench.models.build import build_model
from archbench.models.load import load_tokenizer
from archbench.runner.planned import PlannedMember
from archbench.suite import EngineSettings


def load_member(
    member: PlannedMember,
    engine: EngineSettings,
    *,
    seed: int = 0,
    progress: Callable[[int, int], object] | bool = False,
    store: RequestStore | None = None,
) -> Any:
    """The engine with a member's model in it.

    Args:
        member: The member, its files at hand.
        engine: The suite's engine settings.
        seed: Seed of sampled generations.
        progress: Called with (requests done, requests in all).
        store: Where answers are kept and found again.
    """
    declared = member.resolved.member
    options = EngineOptions(**engine.model_dump(exclude={"threads"}), seed=seed)
    if declared.backend is not None:
        return load_backend(
            declared.backend,
            declared.arguments,
            options,
            name=member.resolved.name,
            source=member.weights,
            tokenizer=member.tokenizer,
            progress=progress,
        )
    if member.weights is not None:
        return load_lm(str(member.weights), str(member.tokenizer), options, progress=progress, store=store)
    import torch

    tokenizer = load_tokenizer(str(member.tokenizer))
    model = build_model(declared.architecture or {}, seed=declared.seed, vocab_size=len(tokenizer))
    device = engine.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if engine.dtype != "auto":
        model = model.to(getattr(torch, engine.dtype))
    options = replace(options, dtype="auto", device="auto")
    return load_lm(model.to(device).eval(), tokenizer, options, progress=progress, store=store)
