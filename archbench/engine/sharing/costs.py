"""What forward passes and held states cost with a model: the figures that `forks` decides by."""

from __future__ import annotations

from archbench.engine.scoring.batching import Budget
from archbench.engine.scoring.forward import Scorer
from archbench.engine.sharing.exactness import Exactness
from archbench.engine.sharing.forks import Costs

# Time of an almost empty forward pass, in the time that a token takes in a full one: on a CPU the overhead
# of Python, on an accelerator also the width below which it idles. Fixed, not measured, so that every run
# makes the same batches.
_FORWARD_TOKENS = {"cpu": 32.0}
_FORWARD_TOKENS_ELSEWHERE = 512.0


def forward_tokens(scorer: Scorer) -> float:
    """Fixed cost of one more forward pass, in tokens."""
    return _FORWARD_TOKENS.get(scorer.model.device.type, _FORWARD_TOKENS_ELSEWHERE)


def sharing_costs(found: Exactness, scorer: Scorer, budget: Budget) -> Costs | None:
    """What decides which prefixes are held; None where none may be.

    Args:
        found: What the model was found fit for.
        scorer: What runs the forward passes.
        budget: Tokens that one of them may hold, and memory for held prefixes.
    """
    if found.level == "none" or budget.cache_bytes == 0:
        return None
    return Costs(
        forward=forward_tokens(scorer),
        stepwise=found.level == "steps",
        row_tokens=budget.tokens,
        fixed_bytes=found.fixed_bytes,
        token_bytes=found.token_bytes,
        cache_bytes=budget.cache_bytes,
    )
