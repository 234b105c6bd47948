"""Before anything is shared, a model has to show that sharing gives what a plain forward pass gives.

A state that a model hands out after some tokens need not be usable for what archbench does with it: several
models of transformers are wrong, without a word, when more than one token follows it. So every model is put
to the same short random prompts in every way that the engine may use, and what differs from the plain
forward pass is not used.

    level    after a held prefix               passed by
    chunk    all further tokens at once        most models
    steps    one token at a time               models that ignore their state when given several tokens
    none     nothing is held                   models without a cache that can be copied row by row
"""

from __future__ import annotations

import itertools
import logging
import math
import weakref
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch

from archbench.engine.cache.cascade import IMPLEMENTATION, attending_to_prefixes
from archbench.engine.cache.states import UnforkableError, fork, size
from archbench.engine.finite import NotFiniteError
from archbench.engine.scoring.batching import is_out_of_memory
from archbench.engine.scoring.forward import Past, Scorer
from archbench.engine.sharing.trie import Ids
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

_LENGTH = 40
_CUTS = (12, 25)


class Exactness(NamedTuple):
    """What a model may be spared, because it was seen to make no difference.

    Attributes:
        level: How tokens may follow a held prefix: "chunk", "steps" or "none".
        batched: Whether rows may share a forward pass; not where layers couple them (experts with a
            capacity).
        errors: Difference from the plain forward pass, in standard deviations of the logits, of each way
            that was tried ("batched", "chunk", "steps", "beside", and "left_padded", which archbench never
            relies on: it tells what batched generation elsewhere is worth); infinite where it failed.
        reason: Why the level is not "chunk" or rows are not batched; empty otherwise.
        fixed_bytes: Memory of the state of one row, whatever its length.
        token_bytes: Memory that each of its tokens adds to it.
        beside: Whether many rows may attend to one held prefix (`cascade`).
    """

    level: Level
    batched: bool
    errors: dict[str, float]
    reason: str = ""
    fixed_bytes: float = 0.0
    token_bytes: float = 0.0
    beside: bool = False

    @property
    def continues(self) -> bool:
        """Whether the model's own state after some tokens is fit to go on from."""
        return self.level != "none"

    def summary(self) -> dict[str, object]:
        """What is written down with results: plain data."""
        errors = {name: error if np.isfinite(error) else None for name, error in self.errors.items()}
        return {"level": self.level, "batched": self.batched, "errors": errors, "reason": self.reason}


class Sharing(NamedTuple):
    """How an LM shares prefixes.

    Attributes:
        level: As in `Exactness`; "none" where nothing is shared.
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
        return Sharing("none", "prefixes are not shared: engine.cache_bytes is 0")
    needed = math.ceil(found.fixed_bytes + found.token_bytes)
    if cache_bytes < needed:
        return Sharing(
            "none",
            f"prefixes are not shared: engine.cache_bytes is {cache_bytes:,}, and the state of a single "
            f"token takes {needed:,} bytes",
        )
    return Sharing(found.level, found.reason)


_known: weakref.WeakKeyDictionary[PreTrainedModel, dict[tuple[object, ...], Exactness]] = (
    weakref.WeakKeyDictionary()
)


def exactness(scorer: Scorer, *, limit: int | None, name: str) -> Exactness:
    """How exactly a model can be shared; measured once per model, dtype, device and attention implementation.

    Args:
        scorer: The model's scorer. Corrections of its caches (`caches.exact_states`) have to be in force.
        limit: Longest input in tokens.
        name: The model's name, for messages.

    Raises:
        NotFiniteError: The plain forward pass gives logits that are not finite.
        RunError: Memory ran out on a prompt of a few tokens.
    """
    model = scorer.model
    key = (model.dtype, model.device, model.config._attn_implementation, limit is None or limit >= _LENGTH)
    known = _known.setdefault(model, {})
    if key not in known:
        passes = scorer.passes
        known[key] = _measure(scorer, limit)
        # Made once for a model, whoever asks first: no part of what requests take.
        scorer.passes = passes
        if known[key].reason:
            log.warning("%s: %s", name, known[key].reason)
    return known[key]


def _measure(scorer: Scorer, limit: int | None) -> Exactness:
    if coupled := _capacity(scorer.model):
        reason = (
            f"every input runs on its own and no prefix is shared, because its experts have a capacity "
            f"({coupled}), so that its answers may depend on what else is in the batch"
        )
        return Exactness("none", False, {}, reason)
    if limit is not None and limit < _LENGTH:
        return Exactness("none", True, {}, f"prefixes are not shared: inputs are limited to {limit} tokens")
    if scorer.depends_on_width:
        reason = "prefixes are not shared, because its rotary angles go with the length of the whole input"
        return Exactness("none", True, {}, reason)
    prompts = _prompts(scorer.vocab)
    try:
        plain = [_all_logits(scorer, [prompt]) for prompt in prompts]
        batched = _batched_error(scorer, prompts, plain)
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise RunError(
                f"Memory ran out on a single input that takes up {_LENGTH} tokens. Use a device with more "
                "memory, or a smaller dtype."
            ) from error
        raise
    tolerance = TOLERANCE.get(scorer.model.dtype, TOLERANCE[torch.bfloat16])
    errors = {"batched": batched, "left_padded": _left_padded_error(scorer, prompts, plain)}
    if not batched <= tolerance:
        return Exactness(
            "none",
            False,
            errors,
            "every input runs on its own and no prefix is shared, because the model's answers depend on what "
            f"else is in the batch ({_off_by(batched)})",
        )
    reasons = {}
    footprint = (0.0, 0.0)
    for level in ("chunk", "steps"):
        try:
            errors[level], footprint = _shared_error(scorer, prompts, plain, stepwise=level == "steps")
            reasons[level] = f"its logits are off ({_off_by(errors[level])})"
        except UnforkableError as error:
            reasons["chunk"] = str(error)
            break
        # A model that was not made for it may fail in any way; then it is not shared, and says so.
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
                errors["beside"] = _beside_error(scorer, prompts, plain)
            beside = errors.get("beside", float("inf")) <= tolerance
            return Exactness(level, True, errors, reason, *footprint, beside)
    return Exactness("none", True, errors, f"prefixes are not shared, because {reasons['chunk']}")


def _capacity(model: PreTrainedModel) -> str:
    """The setting that gives a model's experts a capacity; empty where there is none.

    A capacity that the short prompts do not fill could not be seen in them.
    """
    config = model.config.get_text_config().to_dict()
    return next((f"{key} {value}" for key, value in config.items() if "capacity" in key and value), "")


def _prompts(vocab: int) -> list[Ids]:
    """Three prompts: the second leaves the first at the first cut, the third at the second cut."""
    draw = np.random.default_rng(0)
    base = draw.integers(0, vocab, _LENGTH)
    early = np.concatenate([base[: _CUTS[0]], draw.integers(0, vocab, _LENGTH - 6 - _CUTS[0])])
    late = np.concatenate([base[: _CUTS[1]], draw.integers(0, vocab, _LENGTH - 2 - _CUTS[1])])
    return [base, early, late]


def _places(rows: list[Ids]) -> list[tuple[int, int]]:
    return [(i, position) for i, row in enumerate(rows) for position in range(len(row))]


def _all_logits(scorer: Scorer, rows: list[Ids]) -> torch.Tensor:
    return scorer.logits(rows, _places(rows))[0].float()


def _shared_error(
    scorer: Scorer, prompts: list[Ids], plain: list[torch.Tensor], *, stepwise: bool
) -> tuple[float, tuple[float, float]]:
    """Difference of a shared from the plain evaluation, and the bytes of a row (fixed, per token).

    A prefix is computed on its own and held, then the next part of two prompts after it, then the padded
    rest of three, then a single token.
    """
    base, early, late = prompts
    first, second = _CUTS

    def run(rows: list[Ids], past: Past | None, keep: bool) -> tuple[torch.Tensor, Past | None]:
        logits, cache = scorer.logits(rows, _places(rows), past=past, keep=keep, stepwise=stepwise)
        if not keep or cache is None:
            return logits.float(), None
        depth = len(rows[0]) + (past.depth if past else 0)
        return logits.float(), Past(cache, depth, range(len(rows)))

    prefix, held = run([base[:first]], None, True)
    assert held is not None
    small = size(held.cache)
    middle, deeper = run([base[first:second], early[first:second]], held._replace(rows=[0, 0]), True)
    assert deeper is not None
    large = size(deeper.cache) / 2
    rest, _ = run([base[second:], early[second:], late[second:]], deeper._replace(rows=[0, 1, 0]), False)
    single, _ = run([base[second : second + 1]], deeper._replace(rows=[0]), False)
    whole, whole_early, whole_late = plain
    expected = [
        whole[:first],
        whole[first:second],
        whole_early[first:second],
        whole[second:],
        whole_early[second:],
        whole_late[second:],
        whole[second : second + 1],
    ]
    per_token = max(0.0, (large - small) / (second - first))
    fixed = max(0.0, small - per_token * first)
    return _error(torch.cat([prefix, middle, rest, single]), torch.cat(expected)), (fixed, per_token)


def _batched_error(scorer: Scorer, prompts: list[Ids], plain: list[torch.Tensor]) -> float:
    """Difference of rows that share a forward pass."""
    try:
        return _error(_all_logits(scorer, prompts), torch.cat(plain))
    except NotFiniteError:
        # Each on its own is finite, so the batch is at fault.
        return math.inf


@torch.inference_mode()
def _beside_error(scorer: Scorer, prompts: list[Ids], plain: list[torch.Tensor]) -> float:
    """Difference of rows that attend to one held prefix, fed at once and then by single tokens."""
    first, second = _CUTS
    rows = [torch.from_numpy(prompts[i]) for i in (0, 1, 2)]
    found, expected = [], []
    held = scorer.logits([prompts[0][:first]], [], keep=True)[1]
    assert held is not None
    cache = fork(held, torch.tensor([0, 0, 0]), keep=True, room=_LENGTH, beside=True)
    try:
        with attending_to_prefixes():
            for start, stop in itertools.pairwise([first, second, second + 1, second + 2]):
                ids = torch.stack([row[start:stop] for row in rows])
                places = torch.tensor(_places([row[start:stop].numpy() for row in rows]))
                found.append(scorer.forward(ids, places, cache, start).float())
                expected += [one[start:stop] for one in plain]
    except Exception:
        # A model that was not made for it may fail in any way; then each row has a copy.
        return float("inf")
    return _error(torch.cat(found), torch.cat(expected))


@torch.inference_mode()
def _left_padded_error(scorer: Scorer, prompts: list[Ids], plain: list[torch.Tensor]) -> float:
    """Difference of rows that are padded on the left, with a mask and positions as `generate` makes them."""
    model = scorer.model
    width = max(map(len, prompts))
    ids = torch.zeros((len(prompts), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, prompt in enumerate(prompts):
        ids[i, width - len(prompt) :] = torch.from_numpy(prompt)
        mask[i, width - len(prompt) :] = 1
    more = {}
    if scorer.takes_positions:
        more["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0).to(model.device)
    try:
        logits = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device), **more).logits
    except Exception:
        # A model need not take a mask at all, nor padding where its states are made.
        return float("inf")
    return _error(logits.float()[mask.bool().to(logits.device)], torch.cat(plain))


def _off_by(error: float) -> str:
    if math.isfinite(error):
        return f"by {error:.1g} standard deviations of its logits"
    return "other logits are finite than in a plain forward pass"


def _error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Root mean square difference in standard deviations of what is expected; infinite where it is none.

    Masked entries of the vocabulary (minus infinity) have to be masked in both.
    """
    counted = torch.isfinite(expected)
    if not torch.equal(counted, torch.isfinite(found)):
        return math.inf
    found, expected = found[counted], expected[counted]
    difference = float((found - expected).square().mean().sqrt())
    # A model that gives the same logits everywhere is right as long as the others are the same too.
    return difference / float(expected.std()) if difference else 0.0
