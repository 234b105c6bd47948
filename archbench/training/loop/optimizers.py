"""The optimizers that a recipe asks for.

| `optimizer` | the layers' matrices | embeddings, output head, convolutions, vectors |
|---|---|---|
| adamw | AdamW (Loshchilov and Hutter 2019) | AdamW |
| muon | Muon: momentum, made orthogonal (Jordan et al. 2024; `torch.optim.Muon`) | AdamW |

Vectors (norms, biases, decays) are not decayed.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel

from archbench.training.recipe import Recipe


class Optimizers:
    """All optimizers of a model as one; every parameter belongs to exactly one of them."""

    def __init__(self, model: PreTrainedModel, recipe: Recipe) -> None:
        """Give each of the model's parameters to its optimizer."""
        self._recipe = recipe
        head = model.get_output_embeddings()
        linear = [one.weight for one in model.modules() if isinstance(one, nn.Linear) and one is not head]
        inner = {id(weight): weight for weight in linear} if recipe.optimizer == "muon" else {}
        others = [one for one in model.parameters() if id(one) not in inner]
        groups = [
            {"params": [one for one in others if one.dim() >= 2], "weight_decay": recipe.weight_decay},
            {"params": [one for one in others if one.dim() < 2], "weight_decay": 0.0},
        ]
        # By the name that their moments are saved under, with the peak of their learning rate.
        self._each: dict[str, tuple[torch.optim.Optimizer, float]] = {
            "adamw": (torch.optim.AdamW(groups, betas=recipe.betas), recipe.learning_rate)
        }
        if inner:
            muon = torch.optim.Muon(list(inner.values()), weight_decay=recipe.weight_decay)
            self._each["muon"] = (muon, recipe.muon_learning_rate)

    def step(self, number: int) -> None:
        """Take the recipe's step of this number with the current gradients, and clear them."""
        share = self._recipe.learning_rate_at(number) / self._recipe.learning_rate
        for optimizer, peak in self._each.values():
            for group in optimizer.param_groups:
                group["lr"] = peak * share
            optimizer.step()
            optimizer.zero_grad()

    def moments(self, model: PreTrainedModel) -> dict[str, torch.Tensor]:
        """What the optimizers keep of each parameter, by `<optimizer>.<what>.<parameter>`."""
        return {
            f"{kind}.{key}.{name}": value.contiguous()
            for name, parameter in model.named_parameters()
            for kind, (optimizer, _) in self._each.items()
            for key, value in optimizer.state.get(parameter, {}).items()
        }

    def restore(self, model: PreTrainedModel, moments: dict[str, torch.Tensor]) -> None:
        """Put back what `moments` gave."""
        parameters = dict(model.named_parameters())
        for key, value in moments.items():
            kind, what, name = key.split(".", 2)
            parameter = parameters[name]
            there = value if what == "step" else value.to(parameter.device)
            self._each[kind][0].state[parameter][what] = there
