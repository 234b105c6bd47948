"""Numbers that are not finite are an error with a name on every path, never a score or an empty text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from archbench.errors import RunError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class NotFiniteError(RunError):
    """A model's logits are no numbers: its weights are damaged, or its dtype overflows."""


def check_logits(logits: torch.Tensor, model: PreTrainedModel) -> None:
    """Refuse logits of which a position holds NaN or has no finite maximum.

    Single logits of minus infinity are fine: some models mask entries of their vocabulary so.

    Args:
        logits: `[positions, vocab]`, of positions that count: what is computed on padding does not.
        model: Whose they are.

    Raises:
        NotFiniteError: They are not finite.
    """
    if not bool(torch.isfinite(logits.amax(dim=-1)).all()):
        dtype = str(model.dtype).removeprefix("torch.")
        raise NotFiniteError(
            f"{model.name_or_path or f'this {model.config.model_type} model'}: logits are not finite in "
            f"{dtype}. "
            + (
                "The dtype overflows, or the weights are damaged: load it in bfloat16 or float32 "
                "(engine.dtype=float32; from Python: dtype)."
                if dtype == "float16"
                else "The weights are damaged, or training diverged: check the checkpoint."
            )
        )
