"""The controlled world that archbench's own family is trained and evaluated on."""

from archbench.data.microworld.documents import document, short_document
from archbench.data.microworld.quiz import Question, evaluation_set
from archbench.data.microworld.world import World

__all__ = ["Question", "World", "document", "evaluation_set", "short_document"]
