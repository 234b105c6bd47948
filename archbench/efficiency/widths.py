"""Find the dimensions at which an architecture has a given size, and say how near it came.

A dimension is never chosen freely: heads must divide widths, kernels want multiples of 64. So what is solved
for is one whole number, the *unit*, and every dimension is a multiple of it:

    vary = {"hidden_size": 64, "num_attention_heads": 1, "intermediate_size": 256}     unit = one head of 64

Every unit gives dimensions that fit together; a second stage with a finer step takes up what is left:

    solve_widths(template, 100e6, [vary, {"intermediate_size": 8}])
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from archbench.efficiency.sizes import Sizes, architecture_sizes
from archbench.errors import RequestError

Quantity = Literal["parameters", "non_embedding", "active", "flops"]

_LARGEST = 2**16


@dataclass(frozen=True)
class Solution:
    """Dimensions found.

    Attributes:
        architecture: The template with its dimensions filled in.
        target: The size wanted.
        found: What it came to.
        sizes: All sizes of it.
    """

    architecture: dict[str, Any]
    target: float
    found: float
    sizes: Sizes

    @property
    def mismatch(self) -> float:
        """By how much it is too large, as a share of the target; negative where too small."""
        return self.found / self.target - 1


def solve_widths(
    template: Mapping[str, Any],
    target: float,
    stages: Sequence[Mapping[str, int]],
    *,
    quantity: Quantity = "parameters",
    context: int = 0,
    vocab_size: int | None = None,
) -> Solution:
    """Find the dimensions at which an architecture comes nearest to a size.

    Args:
        template: An architecture block; what it says of the dimensions varied is replaced.
        target: The size wanted.
        stages: For each stage, dimensions and how much of each belongs to one unit. Later stages start from
            what the earlier ones found.
        quantity: What `target` counts: all parameters, those besides the embeddings, those that one token
            uses, or floating-point operations of one decoding step at `context`.
        context: Tokens, for `flops`.
        vocab_size: As for `build_config`.

    Returns:
        The nearest solution, with its mismatch.

    Raises:
        RequestError: A dimension is no field of the architecture, the model cannot be built or counted, or
            even the smallest unit is too large by more than the target itself.
    """
    steps = [step for stage in stages for step in stage.values()]
    if not 0 < target < math.inf or not steps or min(steps) < 1:
        raise RequestError(
            f"Widths cannot be solved for target {target:g} with stages {[dict(one) for one in stages]}: the "
            "target must be positive, and every dimension needs a step of at least 1."
        )
    architecture = dict(template)
    for stage in stages:
        architecture = _solve(architecture, target, stage, quantity, context, vocab_size)
    sizes = architecture_sizes(architecture, vocab_size=vocab_size)
    solution = Solution(architecture, target, _measure(sizes, quantity, context), sizes)
    if solution.mismatch > 1:
        raise RequestError(
            f"The smallest {template.get('model_type')} that these steps allow has {solution.found:,.0f} "
            f"{quantity}, more than twice the target of {target:,.0f}. Lower the steps, the layers or the "
            "vocabulary."
        )
    return solution


def _solve(
    architecture: dict[str, Any],
    target: float,
    stage: Mapping[str, int],
    quantity: Quantity,
    context: int,
    vocab_size: int | None,
) -> dict[str, Any]:
    def at(unit: int) -> dict[str, Any]:
        return architecture | {name: step * unit for name, step in stage.items()}

    @cache
    def size(unit: int) -> float:
        return _measure(architecture_sizes(at(unit), vocab_size=vocab_size), quantity, context)

    high = 1
    while size(high) < target:
        high *= 2
        if high > _LARGEST:
            raise RequestError(
                f"Even {_LARGEST} units of {dict(stage)} do not make {target:,.0f} {quantity}: "
                "these dimensions hardly change it. Vary others as well."
            )
    low = max(1, high // 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if size(middle) >= target else (middle, high)
    found = at(min((low, high), key=lambda unit: abs(size(unit) - target)))
    heads, shared = found.get("num_attention_heads"), found.get("num_key_value_heads")
    if heads and shared and heads % shared:
        raise RequestError(
            f"The steps {dict(stage)} lead to {heads} heads of attention on {shared} key-value heads, "
            "which does not come out even: give a step of num_attention_heads that is a multiple of that of "
            "num_key_value_heads."
        )
    return found


def _measure(sizes: Sizes, quantity: Quantity, context: int) -> float:
    value = {
        "parameters": sizes.parameters,
        "non_embedding": sizes.non_embedding,
        "active": sizes.active,
        "flops": sizes.inference_flops(context),
    }.get(quantity)
    if value is None:
        what = ", ".join(sizes.unknown) or "how many experts a token goes to"
        raise RequestError(
            f"Widths cannot be solved for {quantity}: it is not one of parameters, non_embedding, active and "
            f"flops, or it is not known for this architecture ({what})."
        )
    return float(value)
