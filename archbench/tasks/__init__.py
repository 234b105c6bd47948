"""What can be put to a model: suite entries, and the code that their lm-eval task YAMLs call.

An *entry* is one key under `tasks:` in a suite. It checks its own data and unfolds into *variants*, each
of which is a list of lm-eval tasks with everything needed to load them. Importing this package is cheap:
lm-eval, datasets and pyarrow are imported when an entry first needs them.
"""

from __future__ import annotations

from archbench.tasks.entry import TaskEntry, Variant
from archbench.tasks.lm_eval.entry import StockEntry
from archbench.tasks.mmlu.entry import MmluEntry
from archbench.tasks.perplexity.entry import PerplexityEntry
from archbench.tasks.phonebook.entry import PhonebookEntry
from archbench.tasks.ruler.entry import RulerEntry

__all__ = [
    "MmluEntry",
    "PerplexityEntry",
    "PhonebookEntry",
    "RulerEntry",
    "StockEntry",
    "TaskEntry",
    "Variant",
]
