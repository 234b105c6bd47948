"""Training of controlled families: one token stream, one recipe, many members."""

from archbench.training.family import train_family
from archbench.training.recipe import Recipe
from archbench.training.result import TrainResult

__all__ = ["Recipe", "TrainResult", "train_family"]
