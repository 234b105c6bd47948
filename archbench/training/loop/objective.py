"""What is minimised: the mean cross-entropy of the next token, with or without borders between documents."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from transformers import PreTrainedModel

from archbench.data.stream import Tokens
from archbench.errors import RequestError
from archbench.models.kernels.mixers import fast_mixers
from archbench.training.recipe import Recipe

Loss = Callable[[Tokens], torch.Tensor]
"""Mean next-token cross-entropy, nats, over windows of shape [batch, length]."""

_IGNORED = -100


@contextmanager
def objective(
    model: PreTrainedModel, recipe: Recipe, end: int, *, forward: Callable[..., Any] | None = None
) -> Iterator[Loss]:
    """The loss of a model under a recipe, for as long as the context is open; backward passes belong inside.

    Args:
        model: On its device.
        recipe: Says precision and borders.
        end: Id of the token between documents.
        forward: Called in place of the model, where something is wrapped around it.

    Yields:
        The loss as a function of windows.

    Raises:
        RequestError: `reset_at_borders` is set and the model sees over borders nevertheless.
    """
    resets = recipe.reset_at_borders
    run = model if forward is None else forward
    low = recipe.precision == "bfloat16"
    with fast_mixers(model, resets=resets) as borders:

        def logits_of(ids: torch.Tensor, through: Callable[..., Any]) -> torch.Tensor:
            inputs: dict[str, torch.Tensor] = {}
            if resets:
                borders.starts = starts(ids, end)
                if "position_ids" in inspect.signature(model.forward).parameters:
                    # Positions that begin anew are also what transformers cuts attention by.
                    inputs["position_ids"] = positions(borders.starts)
            with torch.autocast(model.device.type, torch.bfloat16, enabled=low):
                logits: torch.Tensor = through(input_ids=ids, use_cache=False, **inputs).logits
            return logits

        def loss(windows: Tokens) -> torch.Tensor:
            ids = torch.from_numpy(windows.astype("int64")).to(model.device)
            logits = logits_of(ids, run)
            targets = F.pad(ids[:, 1:], (0, 1), value=_IGNORED)
            return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=_IGNORED)

        if resets:
            _check_resets(model, end, lambda ids: logits_of(ids, model))
        yield loss


def starts(ids: torch.Tensor, end: int) -> torch.Tensor:
    """Where a document's context begins: at each end token and at the window's first, [batch, length]."""
    found = ids == end
    found[:, 0] = True
    return found


def positions(begins: torch.Tensor) -> torch.Tensor:
    """Steps since the last start, shape [batch, length]."""
    steps = torch.arange(begins.shape[1], device=begins.device).expand_as(begins)
    return steps - torch.where(begins, steps, 0).cummax(1).values


def _check_resets(
    model: PreTrainedModel, end: int, logits_of: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    """Refuse a model whose answers after a border depend on what came before it."""
    others = [token for token in range(8) if token != end]
    ids = torch.tensor(
        [[*others[:4], end, *others[:4]], [*others[3:7], end, *others[:4]]], device=model.device
    )
    training = model.training
    model.eval()
    with torch.no_grad():
        one, other = logits_of(ids)[:, 4:].float()
    model.train(training)
    # What is no number says nothing of borders; the first step then says that training diverged.
    if not bool(torch.isfinite(torch.stack([one, other])).all()):
        return
    if not torch.allclose(one, other, atol=1e-4, rtol=1e-4):
        raise RequestError(
            f"recipe: reset_at_borders is set, but models of model_type '{model.config.model_type}' "
            "look over the borders of documents: archbench cannot reset their layers. Leave it out, or train "
            "this member in a family without it."
        )
