"""Whether a model predicts each token from those before it alone, by its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Model types of transformers' causal mapping that read in both directions and have no masked language model.
_BOTH_WAYS = frozenset({"bert-generation", "xlnet"})


def why_not_causal(config: Mapping[str, Any]) -> str | None:
    """Why a model's log-likelihoods would not be those of a causal language model.

    transformers loads encoders and encoder-decoders as causal language models too, without a word: the first
    see the very tokens that they are to predict, of the second only half is there.

    Args:
        config: The fields of config.json.

    Returns:
        A clause; None for a causal model.
    """
    model_type = str(config.get("model_type"))
    if config.get("is_encoder_decoder"):
        return f"model_type '{model_type}' is an encoder-decoder, whose decoder alone is no language model"
    # Imported here: it takes seconds, which a suite without such checks need not wait for.
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    both_ways = model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES or model_type in _BOTH_WAYS
    if both_ways and not (config.get("is_decoder") or config.get("causal")):
        return (
            f"model_type '{model_type}' reads in both directions (is_decoder is not set), so that it would "
            "see what it is to predict"
        )
    return None
