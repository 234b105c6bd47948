"""minGRU: the recurrence as written, in pieces and across borders."""

from __future__ import annotations

import pytest
import torch

from archbench.errors import RequestError
from archbench.models.build import build_config, build_model

ARCHITECTURE = {
    "model_type": "min_gru", "vocab_size": 32, "hidden_size": 24, "num_hidden_layers": 2, "expand": 2,
    "intermediate_size": 32, "initializer_range": 0.3,
}  # fmt: skip


def test_a_layer_computes_the_recurrence_as_written() -> None:
    mixer = build_model(ARCHITECTURE, seed=0).eval().model.layers[0].mixer
    hidden = torch.randn(2, 75, 24, generator=torch.Generator().manual_seed(0))
    starts = torch.zeros(2, 75, dtype=torch.bool)
    starts[0, [0, 30, 31, 64]] = True
    state, expected = torch.ones(2, 48), []
    with torch.no_grad():
        found, states = mixer(hidden, {"unit": state}, starts)
        for t in range(75):
            gate, candidate = mixer.in_proj(hidden[:, t]).chunk(2, dim=-1)
            candidate = torch.where(candidate >= 0, candidate + 0.5, candidate.sigmoid())
            state = torch.where(starts[:, t, None], 0.0, state)
            state = (1 - gate.sigmoid()) * state + gate.sigmoid() * candidate
            expected.append(mixer.o_proj(state))
    torch.testing.assert_close(found, torch.stack(expected, 1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(states["unit"], state, rtol=1e-5, atol=1e-5)


def test_pieces_give_what_all_at_once_give() -> None:
    model = build_model(ARCHITECTURE, seed=0).eval()
    ids = torch.randint(0, 32, (3, 75), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = model(input_ids=ids, use_cache=False).logits
        for pieces in ([1] * 75, [33, 1, 1, 40]):
            cache, found = model.new_cache(), []
            for piece in ids.split(pieces, dim=1):
                found.append(model(input_ids=piece, cache=cache, use_cache=True).logits)
            torch.testing.assert_close(torch.cat(found, 1), whole, rtol=1e-5, atol=1e-5)


def test_a_width_that_cannot_be_is_refused() -> None:
    with pytest.raises(RequestError, match="'min_gru' refuses these fields: expand is 0"):
        build_config(ARCHITECTURE | {"expand": 0})
