"""A model's state after some tokens (keys, values, convolution and recurrent states), and its rows."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from archbench.engine.cache.cascade import tagged
from archbench.engine.cache.corrections import CountingCache, cache_argument, needs_counting
from archbench.models.protocol import MakesCache, SelectsRows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# transformers' classes whose tensors all have the batch as their first dimension, and that nothing but
# `update` reads. Other layers say themselves how rows of them are taken.
_FORKABLE = {
    "DummyLayer",
    "DynamicLayer",
    "DynamicSlidingWindowLayer",
    "LinearAttentionAndFullAttentionLayer",
    "LinearAttentionAndSlidingWindowAttentionLayer",
    "LinearAttentionLayer",
}


class UnforkableError(Exception):
    """A model keeps its state in a way that archbench cannot copy row by row."""


def new_cache(model: PreTrainedModel) -> DynamicCache:
    """An empty cache for a model.

    Raises:
        UnforkableError: The model takes no cache, or its layers need one of a kind that archbench cannot
            fork.
    """
    if cache_argument(model) is None:
        raise UnforkableError(f"{type(model).__name__} takes no cache")
    if isinstance(model, MakesCache):
        cache = model.new_cache()
    else:
        cache = (CountingCache if needs_counting(model) else DynamicCache)(config=model.config)
    others = [type(layer).__name__ for layer in cache.layers if not isinstance(layer, SelectsRows)]
    foreign = set(others) - _FORKABLE
    if foreign:
        raise UnforkableError(f"its cache holds {', '.join(sorted(foreign))}")
    return cache


def fork(
    cache: DynamicCache, rows: torch.Tensor, *, keep: bool, room: int = 0, in_place: bool = False
) -> DynamicCache:
    """A cache with some rows of another, which is left as it is.

    Args:
        cache: What to copy from.
        rows: Index of the row that each new row goes on from.
        keep: Whether the new cache is to be used after the next forward pass. If not, keys and values are
            copied layer by layer while the pass goes through and never held for all layers at once.
        room: Tokens that are going to follow in a cache that is kept. Their keys and values are written
            into space set aside for them, where transformers would copy all earlier ones at every token.
        in_place: Whether the keys and values of a row that all new rows go on from may stay where they are,
            for attention to find next to each row's own (`cascade`).
    """
    in_place = in_place and len(set(rows.tolist())) == 1
    new = copy.copy(cache)
    new.layers = [_fork_layer(layer, rows, keep, room, in_place) for layer in cache.layers]
    return new


def release(cache: DynamicCache) -> None:
    """Take apart a forked cache that is not used any more.

    Its layers refer to themselves and to what they were forked from, so that Python would keep all of it
    until its next search for cycles: gigabytes, after many batches.
    """
    for layer in cache.layers:
        vars(layer).pop("update", None)
        vars(layer).pop("get_seq_length", None)


def own_storage(cache: DynamicCache) -> None:
    """Copy tensors that are views of larger ones: a sliding window's of all tokens that went through it."""
    for layer in cache.layers:
        _own(vars(layer))


def _own(values: dict[Any, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, dict):
            _own(value)
        elif isinstance(value, torch.Tensor) and value.untyped_storage().nbytes() > value.nbytes:
            values[name] = value.clone(memory_format=torch.contiguous_format)


def size(cache: DynamicCache) -> int:
    """Bytes that a cache's tensors take."""
    tensors = [tensor for layer in cache.layers for tensor in _tensors(vars(layer))]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _tensors(values: dict[Any, Any]) -> list[torch.Tensor]:
    found = [value for value in values.values() if isinstance(value, torch.Tensor)]
    for value in values.values():
        if isinstance(value, dict):
            found += _tensors(value)
    return found


def _fork_layer(layer: Any, rows: torch.Tensor, keep: bool, room: int, in_place: bool) -> Any:
    if isinstance(layer, SelectsRows):
        return layer.select_rows(rows)
    new = copy.copy(layer)
    vars(new).pop("update", None)
    for name, value in vars(layer).items():
        # Recurrent and convolution states are changed in place, so they are copied at once: they are small.
        if isinstance(value, dict):
            setattr(new, name, {key: _select(one, rows, True) for key, one in value.items()})
    if getattr(layer, "is_initialized", False) and isinstance(getattr(layer, "keys", None), torch.Tensor):
        whole = type(layer).update is DynamicLayer.update
        if hasattr(layer, "prefix"):
            _in_place(new, layer.prefix)
        elif whole and in_place:
            row = int(rows[0])
            new.own = {}
            _in_place(new, (layer.keys[row : row + 1], layer.values[row : row + 1]))
        elif keep:
            new.keys, new.values = _select(layer.keys, rows), _select(layer.values, rows)
            # A sliding window keeps no more than its width.
            if room and whole:
                new.update = _growing(new, room)
        else:
            new.update = _transient(new, layer, rows)
    return new


def _transient(new: Any, held: Any, rows: torch.Tensor) -> Any:
    """An `update` that gives the attention all keys and values but stores none."""

    def update(keys: torch.Tensor, values: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        new.keys, new.values = _select(held.keys, rows), _select(held.values, rows)
        try:
            return type(new).update(new, keys, values, *args, **kwargs)
        finally:
            new.keys, new.values = held.keys, held.values

    return update


def _in_place(new: Any, prefix: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Let a layer grow from a prefix `[1, heads, tokens, size]` that it leaves where it is.

    What grows is in its `own`, a dict so that a further fork takes rows of it.
    """
    new.prefix = prefix
    held = prefix[0].shape[-2]

    def update(keys: torch.Tensor, values: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if new.own:
            keys = torch.cat([new.own["keys"], keys], dim=-2)
            values = torch.cat([new.own["values"], values], dim=-2)
        new.own = {"keys": keys, "values": values}
        return tagged(keys, prefix), values

    new.update = update
    new.get_seq_length = lambda: held + (new.own["keys"].shape[-2] if new.own else 0)


def _growing(new: Any, room: int) -> Any:
    """An `update` that writes into space behind the keys and values `[rows, heads, tokens, size]`."""
    space = []
    for past in (new.keys, new.values):
        held = past.shape[-2]
        whole = past.new_empty((*past.shape[:2], held + room, past.shape[-1]))
        whole[..., :held, :] = past
        space.append(whole)
    new.keys, new.values = (whole[..., :held, :] for whole in space)

    def update(keys: torch.Tensor, values: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        start = new.keys.shape[-2]
        end = start + keys.shape[-2]
        for whole, more in zip(space, (keys, values), strict=True):
            whole[..., start:end, :] = more
        new.keys, new.values = (whole[..., :end, :] for whole in space)
        return new.keys, new.values

    return update


def _select(value: Any, rows: torch.Tensor, own: bool = False) -> Any:
    """Rows of a tensor, a view where it has one row and nobody writes to it; anything else as it is."""
    if not isinstance(value, torch.Tensor) or value.dim() == 0 or value.numel() == 0:
        return value
    if len(value) == 1 and not own:
        return value.expand(len(rows), *value.shape[1:])
    return value.index_select(0, rows.to(value.device))
