"""Attention of many rows to one prefix that is held once, instead of a copy of it per row.

The rows' queries are put to the prefix in one matrix product, and to each row's own keys in another; one
softmax over both makes it the attention over the whole (the decomposition of Juravsky et al. 2024, arXiv
2402.05099, which normalises the two parts apart and weighs them).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from transformers import AttentionInterface

IMPLEMENTATION = "sdpa"
"""The attention implementation that can attend to a prefix held once."""

_TAG = "archbench_prefix"

# So many scores are computed at once: rows are taken in turn, and a single row with more of them has the
# prefix copied for the time of the layer.
_SCORES = 2**24


def tagged(keys: torch.Tensor, prefix: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Keys of rows, `[rows, heads, tokens, size]`, with the keys and values of the prefix they go on from."""
    setattr(keys, _TAG, prefix)
    return keys


@contextlib.contextmanager
def attending_to_prefixes() -> Iterator[None]:
    """Let attention see the prefixes of tagged keys inside the block."""
    mapping = AttentionInterface._global_mapping
    with mock.patch.dict(mapping, {IMPLEMENTATION: _with_prefix(mapping[IMPLEMENTATION])}):
        yield


def _with_prefix(attention: Any) -> Any:
    def attend(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        scaling: float | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, None]:
        prefix = getattr(key, _TAG, None)
        if prefix is None:
            return attention(module, query, key, value, attention_mask, scaling=scaling, **kwargs)  # type: ignore[no-any-return]
        rows, heads, count, _ = query.shape
        scores = heads * count * (prefix[0].shape[-2] + key.shape[-2])
        past = prefix[0].shape[-2]
        if attention_mask is None:
            # One token sees everything; several would each see less.
            plain = count == 1
        else:
            plain = attention_mask.dtype == torch.bool and bool(attention_mask[..., :past].all())
        if not plain or kwargs.get("position_bias") is not None or scores > _SCORES:
            whole = [
                torch.cat([one.expand(rows, -1, -1, -1), more], dim=-2)
                for one, more in zip(prefix, (key, value), strict=True)
            ]
            return attention(module, query, *whole, attention_mask, scaling=scaling, **kwargs)  # type: ignore[no-any-return]
        step = _SCORES // scores
        parts = []
        for first in range(0, rows, step):
            some = slice(first, first + step)
            mask = attention_mask
            if mask is not None and len(mask) > 1:
                mask = mask[some]
            parts.append(_both(query[some], key[some], value[some], prefix, mask, scaling))
        return parts[0] if len(parts) == 1 else torch.cat(parts), None

    return attend


def _both(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    prefix: tuple[torch.Tensor, torch.Tensor],
    mask: torch.Tensor | None,
    scaling: float | None,
) -> torch.Tensor:
    """Attention of rows to a prefix and to their own tokens, `[rows, tokens, heads, size]`."""
    rows, heads, count, size = query.shape
    groups, past, own = key.shape[1], prefix[0].shape[-2], key.shape[-2]
    query = query * (size**-0.5 if scaling is None else scaling)
    # [rows, groups, queries of a group, size] and, for the prefix, [groups, queries of all rows, size].
    each = query.reshape(rows, groups, heads // groups * count, size)
    together = each.transpose(0, 1).reshape(groups, -1, size)
    before = (together @ prefix[0][0].transpose(-1, -2)).float()
    after = (each @ key.transpose(-1, -2)).float()
    if mask is not None:
        seen = after.reshape(rows, heads, count, own).masked_fill(~mask[..., past:], -torch.inf)
        after = seen.reshape(rows, groups, -1, own)
    # One softmax over both, each left where it lies: copying them together would cost more than computing.
    shape = (groups, -1, 1)
    highest = torch.maximum(
        before.amax(dim=-1, keepdim=True), after.amax(dim=-1, keepdim=True).transpose(0, 1).reshape(shape)
    )
    before = before.sub_(highest).exp_()
    after = (after - highest.reshape(groups, rows, -1, 1).transpose(0, 1)).exp_()
    total = before.sum(dim=-1, keepdim=True) + after.sum(dim=-1, keepdim=True).transpose(0, 1).reshape(shape)
    out = (before.to(value.dtype) @ prefix[1][0]).float()
    out += (after.to(value.dtype) @ value).float().transpose(0, 1).reshape(out.shape)
    out = (out / total).to(value.dtype).reshape(groups, rows, -1, value.shape[-1]).transpose(0, 1)
    return out.reshape(rows, heads, count, -1).transpose(1, 2).contiguous()
