"""Before anything is shared, a model has to show that sharing gives what a plain forward pass gives.

A state that a model hands out after some tokens need not be usable for what archbench does with it: several
models of transformers are wrong, without a word, when more than one token follows it. So every model is put
to the same short random prompts in every way that the engine may use (`trials`), and what differs from the
plain forward pass is not used.

    level    after a held prefix               passed by
    chunk    all further tokens at once        most models
    steps    one token at a time               models that ignore their state when given several tokens
    none     nothing is held                   models without a cache that can be copied row by row
"""

from __future__ import annotations

import logging
import math
import weakref
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch

from archbench.engine.cache.cascade import IMPLEMENTATION
from archbench.engine.cache.states import UnforkableError
from archbench.engine.scoring.batching import is_out_of_memory
from archbench.engine.scoring.forward import Scorer
from archbench.engine.sharing.trials import LENGTH, Footprint, Trials
from archbench.errors import RunError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

Level = Literal["chunk", "steps", "none"]

# Largest root mean square difference of logits, in standard deviations of the logits, that rounding explains.
# In float32 the architectures of the tests stay below 3e-6 where a path is right and are at 1e-3 and above
# where it is wrong. The coarser types only catch what is badly wrong: the same code is then right in float32
# too.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}


class Exactness(NamedTuple):
    """What a model may be spared, because it was seen to make no difference.

    Attributes:
        level: How tokens may follow a held prefix: "chunk", "steps" or "none".
        batched: Whether rows may share a forward pass; not where layers couple them (experts with a
            capacity).
        errors: Difference from the plain forward pass, in standard deviations of the logits, of each way
            that was tried ("batched", "chunk", "steps", "beside", and "left_padded", which archbench never
            relies on: it shows what batched generation elsewhere is worth); infinite where it failed.
        reason: Why the level is not "chunk" or rows are not batched; empty otherwise.
        fixed_bytes: Memory of the state of one row, whatever its length.
        token_bytes: Memory that each of its tokens adds to it.
        in_place: Whether many rows may attend to one held prefix (`cascade`); its error is "beside".
    """

    level: Level
    batched: bool
    errors: dict[str, float]
    reason: str = ""
    fixed_bytes: float = 0.0
    token_bytes: float = 0.0
    in_place: bool = False

    @property
    def continues(self) -> bool:
        """Whether the model's own state after some tokens is fit to go on from."""
        return self.level != "none"

    def summary(self) -> dict[str, object]:
        """What is written down with results: plain data."""
        errors = {name: error if np.isfinite(error) else None for name, error in self.errors.items()}
        return {"level": self.level, "batched": self.batched, "errors": errors, "reason": self.reason}


PLAIN = Exactness("none", batched=True, errors={})
"""For requests that share nothing with others, so that there is nothing to check."""


class Sharing(NamedTuple):
    """How an LM shares prefixes.

    Attributes:
        level: As in `Exactness`; "none" where no state of a prefix is held.
        reason: Why the level is not "chunk", or why every input runs on its own; empty otherwise.
    """

    level: Level
    reason: str = ""


def sharing_of(found: Exactness, cache_bytes: int) -> Sharing:
    """How prefixes are shared by a model that was found fit for something, within some memory.

    Args:
        found: What the model was found fit for.
        cache_bytes: Memory that held states may take.
    """
    if found.level == "none":
        return Sharing("none", found.reason)
    if cache_bytes == 0:
        return Sharing("none", "prefixes are not held: engine.cache_bytes is 0")
    needed = math.ceil(found.fixed_bytes + found.token_bytes)
    if cache_bytes < needed:
        return Sharing(
            "none",
            f"prefixes are not held: engine.cache_bytes is {cache_bytes:,}, and the state of a single "
            f"token takes {needed:,} bytes",
        )
    return Sharing(found.level, found.reason)


_known: weakref.WeakKeyDictionary[PreTrainedModel, dict[tuple[object, ...], Exactness]] = (
    weakref.WeakKeyDictionary()
)


def exactness(scorer: Scorer) -> Exactness:
    """How exactly a model can be shared; measured once per model, dtype, device and attention implementation.

    Args:
        scorer: The model's scorer. The corrections of `cache.corrections.exact_states` have to be in force.

    Raises:
        NotFiniteError: The plain forward pass gives logits that are not finite.
        RunError: Memory ran out on a prompt of a few tokens.
    """
    model, limit = scorer.model, scorer.limit
    key = (model.dtype, model.device, model.config._attn_implementation, limit is None or limit >= LENGTH)
    known = _known.setdefault(model, {})
    if key not in known:
        passes = scorer.passes
        known[key] = _measure(scorer)
        # Made once for a model, whichever request is first: no part of what requests take.
        scorer.passes = passes
        if known[key].reason:
            log.warning("%s: %s", scorer.name, known[key].reason)
    return known[key]


def _measure(scorer: Scorer) -> Exactness:
    limit = scorer.limit
    if coupled := _capacity(scorer.model):
        reason = (
            f"every input runs on its own and no prefix is held, because its experts have a capacity "
            f"({coupled}), so that its answers may depend on what else is in the batch"
        )
        return Exactness("none", False, {}, reason)
    if limit is not None and limit < LENGTH:
        return Exactness("none", True, {}, f"prefixes are not held: inputs are limited to {limit} tokens")
    if scorer.depends_on_width:
        reason = "prefixes are not held, because its rotary angles go with the length of the whole input"
        return Exactness("none", True, {}, reason)
    try:
        trials = Trials(scorer)
        batched = trials.batched()
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise RunError(
                f"Memory ran out on a single input that takes up {LENGTH} tokens. Use a device with more "
                "memory, or a smaller dtype."
            ) from error
        raise
    tolerance = TOLERANCE.get(scorer.model.dtype, TOLERANCE[torch.bfloat16])
    errors = {"batched": batched, "left_padded": trials.left_padded()}
    if not batched <= tolerance:
        return Exactness(
            "none",
            False,
            errors,
            "every input runs on its own and no prefix is held, because the model's answers depend on what "
            f"else is in the batch ({_off_by(batched)})",
        )
    reasons = {}
    footprint = Footprint(0.0, 0.0)
    for level in ("chunk", "steps"):
        try:
            errors[level], footprint = trials.continued(stepwise=level == "steps")
            reasons[level] = f"its logits are off ({_off_by(errors[level])})"
        except UnforkableError as error:
            reasons["chunk"] = str(error)
            break
        # A model that was not made for it may fail in any way; then it is not shared, and the reason is kept.
        except Exception as error:
            errors[level] = float("inf")
            reasons[level] = f"it fails ({type(error).__name__}: {' '.join(str(error).split())[:120]})"
        if errors[level] <= tolerance:
            reason = ""
            if level == "steps":
                reason = (
                    "prefixes are followed token by token, because with several tokens at once "
                    f"{reasons['chunk']}"
                )
            if scorer.model.config._attn_implementation == IMPLEMENTATION:
                errors["beside"] = trials.in_place()
            in_place = errors.get("beside", float("inf")) <= tolerance
            return Exactness(level, True, errors, reason, *footprint, in_place)
    return Exactness("none", True, errors, f"prefixes are not held, because {reasons['chunk']}")


def _capacity(model: PreTrainedModel) -> str:
    """The setting that gives a model's experts a capacity; empty where there is none.

    A capacity that the short prompts do not fill could not be seen in them.
    """
    config = model.config.get_text_config().to_dict()
    return next((f"{key} {value}" for key, value in config.items() if "capacity" in key and value), "")


def _off_by(error: float) -> str:
    if math.isfinite(error):
        return f"by {error:.1g} standard deviations of its logits"
    return "other logits are finite than in a plain forward pass"
