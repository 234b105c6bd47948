"""Does a model that is built here, with random weights, fit into this machine's memory?

Found out from its shapes alone, before anything of its size is asked for.
"""

from __future__ import annotations

import os
from itertools import chain
from typing import TYPE_CHECKING

from archbench.errors import RequestError
from archbench.models.meta import meta_model

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def machine_memory() -> int | None:
    """Bytes of main memory that this machine has; None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def check_fits(config: PretrainedConfig) -> None:
    """Refuse a configuration whose weights alone take more than this machine's memory.

    Args:
        config: Of the model that is to be built; every model is built in main memory first.

    Raises:
        RequestError: They do, or transformers cannot build a model from the configuration.
    """
    model = meta_model(config)
    needed = sum(one.numel() * one.element_size() for one in chain(model.parameters(), model.buffers()))
    has = machine_memory()
    if has is not None and needed > has:
        numbers = sum(one.numel() for one in model.parameters())
        raise RequestError(
            f"architecture: this '{config.model_type}' has {numbers:,} parameters, whose weights take "
            f"{needed:,} bytes, and this machine has {has:,} bytes of memory. Look for a number with digits "
            "too many (hidden_size, vocab_size, num_hidden_layers), or take a smaller model."
        )
