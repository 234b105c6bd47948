"""Where going on from transformers' caches differs from a plain forward pass, and what is done about it.

The cases were found by comparing with forward passes without a cache; the tests that do so
(`tests/engine/test_generation.py`, `test_sharing.py`) cover every architecture that archbench is tested with.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from torch import nn
from transformers import DynamicCache

from archbench.engine.cache.scans import scanning_from_states, scanning_short_inputs
from archbench.errors import RunError
from archbench.models.protocol import MakesCache

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_STEP = "mamba2_selective_state_update"


@contextlib.contextmanager
def exact_states(model: PreTrainedModel) -> Iterator[None]:
    """Make going on from a cached state inside the block equal to forward passes without one.

    Blocks of one model must not lie in each other: a correction would be applied twice.

    Raises:
        RunError: The model clamps its time steps in a way that this transformers hides.
    """
    with (
        _clamped_steps(model),
        scanning_from_states(model),
        scanning_short_inputs(model),
        _fresh_angles(model),
    ):
        yield


@contextlib.contextmanager
def _fresh_angles(model: PreTrainedModel) -> Iterator[None]:
    """Let rotary angles that go with the length of an input forget the longest input they ever saw.

    transformers keeps `dynamic` angles in the module once a long input has stretched them, and a shorter
    one afterwards is given them too.
    """
    name = "max_seq_len_cached"
    rotary = [module for module in model.modules() if any(key.endswith(name) for key in vars(module))]

    def forget(*_: object) -> None:
        for module in rotary:
            # With angles by type of layer, each type gets its own attribute in the first forward pass.
            for key in [key for key in vars(module) if key.endswith(name)]:
                setattr(module, key, 0)

    handle = model.register_forward_pre_hook(forget) if rotary else None
    try:
        yield
    finally:
        if handle is not None:
            handle.remove()


class CountingCache(DynamicCache):  # type: ignore[misc]
    """A cache that knows its length although none of its layers is attention.

    transformers needs the length of a cache and raises when no layer knows it (`nemotron_h` with a
    pattern without `*`). Here the tokens that went through the model count.

    Attributes:
        seen: Tokens whose effect is in the cache.
    """

    seen = 0

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens seen."""
        return self.seen

    def get_mask_sizes(self, query_length: int, layer_idx: int = 0) -> tuple[int, int]:
        """Length and offset of a mask over the tokens seen and `query_length` new ones."""
        return self.seen + query_length, 0


# Names by which models take their cache, newest first: `cache` since transformers 5.24; before it
# `past_key_values`, or `cache_params` in models that never ask a cache for its length.
_ARGUMENTS = ("cache", "past_key_values", "cache_params")


def cache_argument(model: PreTrainedModel) -> str | None:
    """Name of the argument of `model.forward` that takes a cache; None where there is none."""
    names = inspect.signature(type(model).forward).parameters
    return next((name for name in _ARGUMENTS if name in names), None)


def needs_counting(model: PreTrainedModel) -> bool:
    """Whether a model needs of its cache a length that transformers' own cache cannot give."""
    if isinstance(model, MakesCache):
        return False
    return cache_argument(model) in ("cache", "past_key_values") and not knows_length(model)


@contextlib.contextmanager
def counting_cache(model: PreTrainedModel) -> Iterator[dict[str, Any]]:
    """Give `model.generate` a cache that counts its tokens, where transformers' own does not know its length.

    Args:
        model: The model that generates.

    Yields:
        Arguments to pass to `model.generate`.
    """
    name = cache_argument(model)
    if name is None or not needs_counting(model):
        yield {}
        return
    cache = CountingCache(config=model.config)

    def count(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: object) -> None:
        cache.seen += kwargs["input_ids"].shape[1]

    handle = model.register_forward_hook(count, with_kwargs=True)
    try:
        yield {name: cache}
    finally:
        handle.remove()


def knows_length(model: PreTrainedModel) -> bool:
    """Whether transformers' own cache for a model knows how many tokens are in it."""
    try:
        DynamicCache(config=model.config).get_seq_length()
    except ValueError:
        return False
    return True


@contextlib.contextmanager
def _clamped_steps(model: PreTrainedModel) -> Iterator[None]:
    """Clamp the time step of Mamba-2 layers when decoding too.

    transformers clamps it to the layer's `time_step_limit` in the chunked form, which training, scores
    and prompts go through, but not in the recurrent form that decodes token by token. `nemotron_h`
    and `zamba2` have a lower limit of `time_step_min`, 0.001 by default: as soon as a step falls below it,
    their decoding drifts off, by about 1e-3 standard deviations of the logits where this was measured.
    """
    layers = [layer for layer in model.modules() if hasattr(layer, "time_step_limit")]
    limits = {tuple(map(float, layer.time_step_limit)) for layer in layers} - {(0.0, math.inf)}
    if not limits:
        yield
        return
    modules = {sys.modules[type(layer).__module__] for layer in layers}
    if len(limits) > 1 or not all(hasattr(module, _STEP) for module in modules):
        raise RunError(
            f"{type(model).__name__} limits its time steps to {sorted(limits)} except when decoding, and "
            f"archbench cannot mend that here: one limit and a function {_STEP} were expected. Use a "
            "transformers release that archbench is tested with."
        )
    low, high = limits.pop()
    with contextlib.ExitStack() as stack:
        for module in modules:
            stack.enter_context(
                mock.patch.object(module, _STEP, _clamping(getattr(module, _STEP), low, high))
            )
        yield


def _clamping(step: Any, low: float, high: float) -> Any:
    """The recurrent step with its time step made ready (bias, softplus) and clamped before it."""

    def clamped(
        state: torch.Tensor,
        hidden_states: torch.Tensor,
        dt: torch.Tensor,
        *rest: Any,
        dt_bias: torch.Tensor | None = None,
        dt_softplus: bool = False,
        **kwargs: Any,
    ) -> Any:
        if dt_bias is not None:
            dt = dt + dt_bias.to(dt.dtype)
        if dt_softplus:
            dt = nn.functional.softplus(dt)
        return step(state, hidden_states, dt.clamp(low, high), *rest, **kwargs)

    return clamped
