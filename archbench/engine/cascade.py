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

# Scores of one layer in float32 stay below this; beyond it the prefix is copied for the time of the layer.
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
        rows, heads, count, size = query.shape
        past, own = prefix[0].shape[-2], key.shape[-2]
        # Without a mask, one token sees everything; several would each see less.
        plain = count == 1 if attention_mask is None else attention_mask.dtype == torch.bool
        if (
            not plain
            or kwargs.get("position_bias") is not None
            or rows * heads * count * (past + own) > _SCORES
        ):
            whole = [
                torch.cat([one.expand(rows, -1, -1, -1), more], dim=-2)
                for one, more in zip(prefix, (key, value), strict=True)
            ]
            return attention(module, query, *whole, attention_mask, scaling=scaling, **kwargs)  # type: ignore[no-any-return]
        groups = key.shape[1]
        query = query * (size**-0.5 if scaling is None else scaling)
        # [rows, groups, queries of a group, size] and, for the prefix, [groups, queries of all rows, size].
        each = query.reshape(rows, groups, heads // groups * count, size)
        together = each.transpose(0, 1).reshape(groups, -1, size)
        before = (together @ prefix[0][0].transpose(-1, -2)).reshape(groups, rows, -1, past).transpose(0, 1)
        scores = torch.cat([before, each @ key.transpose(-1, -2)], dim=-1).float()
        if attention_mask is not None:
            scores = scores.reshape(rows, heads, count, past + own)
            scores = scores.masked_fill(~attention_mask, -torch.inf).reshape(rows, groups, -1, past + own)
        weights = scores.softmax(dim=-1).to(value.dtype)
        on_prefix = weights[..., :past].transpose(0, 1).reshape(groups, -1, past) @ prefix[1][0]
        out = (
            on_prefix.reshape(groups, rows, -1, value.shape[-1]).transpose(0, 1) + weights[..., past:] @ value
        )
        return out.reshape(rows, heads, count, -1).transpose(1, 2).contiguous(), None

    return attend
