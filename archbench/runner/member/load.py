"""From a planned member to a model that answers: archbench's engine, or one of lm-eval's own classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archbench.engine import RequestStore, load_backend, load_lm
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
    if declared.backend is not None:
        return load_backend(
            declared.backend,
            declared.arguments,
            name=member.resolved.name,
            source=member.weights,
            tokenizer=member.tokenizer,
            settings=_asked_for(engine),
            too_long=engine.too_long,
            progress=progress,
        )
    settings: dict[str, Any] = engine.model_dump(exclude={"threads"})
    settings |= {"seed": seed, "progress": progress, "store": store}
    if member.weights is not None:
        return load_lm(str(member.weights), str(member.tokenizer), **settings)
    import torch

    tokenizer = load_tokenizer(str(member.tokenizer))
    model = build_model(declared.architecture or {}, seed=declared.seed, vocab_size=len(tokenizer))
    device = engine.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if engine.dtype != "auto":
        model = model.to(getattr(torch, engine.dtype))
    return load_lm(model.to(device).eval(), tokenizer, **settings | {"dtype": "auto", "device": "auto"})


def _asked_for(engine: EngineSettings) -> dict[str, Any]:
    """Engine settings that a backend has to be told, since they may change answers: those not left open."""
    told = {"dtype": engine.dtype, "device": engine.device, "max_length": engine.max_length}
    return {name: value for name, value in told.items() if value not in ("auto", None)}
