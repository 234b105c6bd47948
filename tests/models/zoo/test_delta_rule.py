"""The delta rule: the recurrence as written, whatever the chunks; gradients, borders, states handed on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archbench.errors import RequestError
from archbench.identity.loaded import model_fingerprint
from archbench.models.build import build_config, build_model
from archbench.models.load import load_model
from archbench.models.zoo.delta_rule import delta_scan

ARCHITECTURE = {
    "model_type": "delta_rule", "vocab_size": 32, "hidden_size": 24, "num_hidden_layers": 2, "num_heads": 2,
    "head_dim": 8, "intermediate_size": 32,
}  # fmt: skip
VARIANTS: list[dict[str, Any]] = [
    {},
    {"gated": False},
    {"negative_eigenvalues": True, "intermediate_size": 0},
    {"conv_kernel": 1, "tie_word_embeddings": True},
]


def inputs(length: int, seed: int) -> list[torch.Tensor]:
    """Queries, keys, values, shares and log decays in fp64."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    query, key, value = normal(2, length, 3, 4), normal(2, length, 3, 4), normal(2, length, 3, 5)
    key = key / key.norm(dim=-1, keepdim=True)
    return [query, key, value, 2 * normal(2, length, 3).sigmoid(), -normal(2, length, 3).exp()]


def as_written(tensors: list[torch.Tensor], state: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
    """S_t = α (I - β k kᵀ) S + β k vᵀ and o = Sᵀ q, one step after the other."""
    found = []
    for t in range(tensors[0].shape[1]):
        query, key, value, beta, log_decay = (one[:, t] for one in tensors)
        state = torch.where(starts[:, t, None, None, None], 0.0, state)
        state = log_decay.exp()[..., None, None] * state
        read = torch.einsum("bhde,bhd->bhe", state, key)
        state = state + torch.einsum("bh,bhd,bhe->bhde", beta, key, value - read)
        found.append(torch.einsum("bhde,bhd->bhe", state, query))
    return torch.cat([torch.stack(found, 1).flatten(), state.flatten()])


def scanned(*args: Any, **kwargs: Any) -> torch.Tensor:
    output, state = delta_scan(*args, **kwargs)
    return torch.cat([output.flatten(), state.flatten()])


@settings(max_examples=25, deadline=None)
@given(
    length=st.integers(1, 13),
    chunk=st.integers(1, 8),
    seed=st.integers(0, 99),
    begins=st.sets(st.integers(0, 12)),
)
def test_chunks_compute_the_recurrence_as_written(
    length: int, chunk: int, seed: int, begins: set[int]
) -> None:
    tensors = inputs(length, seed)
    state = torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    starts = torch.zeros(2, length, dtype=torch.bool)
    starts[0, [one for one in begins if one < length]] = True
    expected = as_written(tensors, state, starts)
    found = scanned(*tensors, state, starts, chunk=chunk)
    # Decays are rounded to fp32.
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_gradients_are_those_of_the_recurrence() -> None:
    state, starts = torch.zeros(2, 3, 4, 5, dtype=torch.float64), torch.zeros(2, 9, dtype=torch.bool)
    starts[1, 4] = True
    gradients = []
    for compute in (lambda t: as_written(t, state, starts), lambda t: scanned(*t, state, starts, chunk=4)):
        tensors = [one.requires_grad_() for one in inputs(9, 3)]
        compute(tensors).sin().sum().backward()
        gradients.append(torch.cat([one.grad.flatten() for one in tensors if one.grad is not None]))
    assert len(gradients[0]) == sum(one.numel() for one in inputs(9, 3))
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_tokens_one_by_one_and_in_pieces_give_what_all_at_once_give(variant: dict[str, Any]) -> None:
    model = build_model(ARCHITECTURE | variant, seed=0).eval()
    ids = torch.randint(0, 32, (3, 75), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = model(input_ids=ids, use_cache=False).logits
        for pieces in ([1] * 75, [40, 35], [33, 1, 1, 40]):
            cache, found = model.new_cache(), []
            for piece in ids.split(pieces, dim=1):
                found.append(model(input_ids=piece, cache=cache, use_cache=True).logits)
            assert cache.get_seq_length() == 75
            torch.testing.assert_close(torch.cat(found, 1), whole, rtol=1e-5, atol=1e-5)


def test_a_document_begins_where_its_position_is_zero() -> None:
    model = build_model(ARCHITECTURE, seed=0).eval()
    ids = torch.randint(0, 32, (1, 20), generator=torch.Generator().manual_seed(0))
    positions = torch.cat([torch.arange(8), torch.arange(12)])[None]
    with torch.no_grad():
        found = model(input_ids=ids, position_ids=positions).logits[:, 8:]
        torch.testing.assert_close(found, model(input_ids=ids[:, 8:]).logits, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(found, model(input_ids=ids).logits[:, 8:], atol=1e-3)


def test_padding_on_the_left_leaves_no_trace() -> None:
    model = build_model(ARCHITECTURE, seed=0).eval()
    ids = torch.randint(1, 32, (1, 9), generator=torch.Generator().manual_seed(0))
    padded = torch.cat([torch.zeros(1, 5, dtype=torch.long), ids], 1)
    with torch.no_grad():
        found = model(input_ids=padded, attention_mask=(padded > 0).long()).logits[:, 5:]
        torch.testing.assert_close(found, model(input_ids=ids).logits, rtol=1e-5, atol=1e-5)


def test_it_learns_to_recall(tmp_path: Path) -> None:
    # Pairs of a key and a value, then the keys in another order: only a state written by key can answer.
    model = build_model(ARCHITECTURE | {"conv_kernel": 2, "gated": False, "initializer_range": 0.05}, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    draw = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(80):
        keys = torch.rand(32, 8, generator=draw).argsort(1)[:, :4]
        values = 8 + torch.randint(0, 16, (32, 4), generator=draw)
        order = torch.rand(32, 4, generator=draw).argsort(1)
        ids = torch.cat([torch.stack([keys, values], 2).flatten(1), keys.gather(1, order)], 1)
        logits = model(input_ids=ids).logits[:, 8:].flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(logits, values.gather(1, order).flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert sum(losses[-10:]) / 10 < math.log(16) / 2, losses[::10]
    model.save_pretrained(tmp_path)
    assert model_fingerprint(load_model(tmp_path)) == model_fingerprint(model)


def test_checkpointed_activations_give_the_same_gradients() -> None:
    found = []
    for checkpointing in (False, True):
        model = build_model(ARCHITECTURE, seed=0)
        if checkpointing:
            # Newer versions of transformers give the old name up.
            newer = getattr(model, "activation_checkpointing_enable", None)
            (newer or model.gradient_checkpointing_enable)({"use_reentrant": False})
        ids = torch.arange(32)[None]
        model(input_ids=ids, labels=ids).loss.backward()
        found.append([one.grad for one in model.parameters()])
    torch.testing.assert_close(found[0], found[1])


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(RequestError, match="'delta_rule' refuses these fields: num_heads is 0"):
        build_config(ARCHITECTURE | {"num_heads": 0})
    with pytest.raises(RequestError, match=r"has no field 'head_size'\. Did you mean 'head_dim'"):
        build_config(ARCHITECTURE | {"head_size": 8})
