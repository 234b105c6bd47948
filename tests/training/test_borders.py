"""`reset_at_borders`: packed documents are to a model what each of them is alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from archbench.errors import RequestError
from archbench.models.build import build_model
from archbench.training.loop.objective import objective, positions, starts
from archbench.training.recipe import Recipe
from tests.models.test_mixers import MODELS
from tests.training.test_train import RECIPE, train, weights

RESETTING = Recipe(tokens=64, reset_at_borders=True)
NEMOTRON: dict[str, Any] = {
    "model_type": "nemotron", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 2,
}  # fmt: skip
RWKV: dict[str, Any] = {"model_type": "rwkv", "hidden_size": 16, "num_hidden_layers": 2}


def documents(lengths: list[int]) -> list[np.ndarray[Any, np.dtype[np.uint32]]]:
    """Windows of one document each: the end token of the one before, its words, its own end token."""
    rng = np.random.default_rng(0)
    return [np.array([0, *rng.integers(1, 32, n), 0], dtype=np.uint32) for n in lengths]


def loss_and_gradients(
    model: Any, recipe: Recipe, windows: list[np.ndarray[Any, np.dtype[np.uint32]]]
) -> tuple[float, list[torch.Tensor]]:
    """Sum of the losses of all tokens, each window for itself."""
    model.zero_grad()
    total = 0.0
    with objective(model, recipe, 0) as loss_of:
        for window in windows:
            loss = loss_of(window[None]) * (len(window) - 1)
            loss.backward()
            total += loss.item()
    return total, [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("name", [*MODELS, "nemotron"])
def test_losses_and_gradients_of_packed_documents_are_those_of_each_alone(name: str) -> None:
    model = build_model(NEMOTRON if name == "nemotron" else MODELS[name], seed=0, vocab_size=32)
    alone = documents([5, 1, 9, 3, 12])
    # Each document's end token is the first of the next one's window.
    packed = np.concatenate([*(window[:-1] for window in alone), [0]]).astype(np.uint32)
    apart, gradients = loss_and_gradients(model, RESETTING, alone)
    together, packed_gradients = loss_and_gradients(model, RESETTING, [packed])
    assert together == pytest.approx(apart, abs=1e-4)
    for ours, theirs in zip(packed_gradients, gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    without, _ = loss_and_gradients(model, Recipe(tokens=64), [packed])
    assert abs(without - apart) > 1e-3, "without resets the documents see one another"


def test_starts_and_positions() -> None:
    ids = torch.tensor([[5, 6, 0, 7, 0, 0, 8], [0, 1, 2, 3, 4, 5, 6]])
    begins = starts(ids, 0)
    assert begins.int().tolist() == [[1, 0, 1, 0, 1, 1, 0], [1, 0, 0, 0, 0, 0, 0]]
    assert positions(begins).tolist() == [[0, 1, 0, 1, 0, 0, 1], [0, 1, 2, 3, 4, 5, 6]]


def test_a_model_that_cannot_be_reset_is_refused() -> None:
    model = build_model(RWKV, seed=0, vocab_size=32)
    with pytest.raises(RequestError, match="model_type 'rwkv'"), objective(model, RESETTING, 0):
        pass


def test_training_with_borders_gives_other_weights_and_a_record_that_says_so(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"reset_at_borders": True})
    results = [train(tmp_path / "with", recipe=recipe), train(tmp_path / "without")]
    assert results[0].data == results[1].data, "the batches are the same"
    assert results[0].recipe != results[1].recipe
    assert results[0].recipe_fields is not None
    assert results[0].recipe_fields["reset_at_borders"] is True
    pairs = zip(weights(tmp_path / "with").values(), weights(tmp_path / "without").values(), strict=True)
    assert not all(torch.equal(one, other) for one, other in pairs)
