"""What a model and a tokenizer are, as a digest: equal digests answer alike."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from archbench.errors import RunError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Config fields that say where a model came from or what a forward pass returns beside its logits, not
# what it computes. Dtypes are hashed with the weights; names with a leading underscore are dropped too.
_CONFIG_NOISE = frozenset(
    {
        "architectures",
        "chunk_size_feed_forward",
        "dtype",
        "id2label",
        "label2id",
        "output_attentions",
        "output_hidden_states",
        "problem_type",
        "return_dict",
        "torch_dtype",
        "transformers_version",
        "use_cache",
    }
)

_CLEAN_UP = (
    "clean_up_tokenization_spaces",
    "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
)


def model_fingerprint(model: PreTrainedModel) -> str:
    """Digest of what a model computes: its config and every weight.

    Each tensor of the state dict enters with its name, shape, dtype and bytes; the config without the
    fields that do not reach the logits. The digest is the same on every device and after saving and
    loading, and another one when any weight or dtype changes. Tensors are hashed where they lie (a GPU's are
    copied to host memory one at a time), several at once.

    Args:
        model: A transformers model whose weights are in memory.

    Returns:
        The sha256 as 64 hex digits.

    Raises:
        RunError: Some weights are not in memory (offloaded to disk).
    """
    state = model.state_dict()
    digest = hashlib.sha256(_canonical(config_fields(model.config.to_dict())))
    # hashlib releases the interpreter lock on large buffers, so threads hash in parallel.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for part in pool.map(_tensor_digest, sorted(state), (state[name] for name in sorted(state))):
            digest.update(part)
    return digest.hexdigest()


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Digest of what a tokenizer does: vocabulary, merges, normalisation, special tokens, chat template.

    Cleaning up spaces in decoded texts enters where it is set. Padding and truncation settings, which calls
    change as they please, do not enter.

    Args:
        tokenizer: A transformers tokenizer.

    Returns:
        The sha256 as 64 hex digits.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        rules: Any = json.loads(backend.to_str())
        rules = {key: value for key, value in rules.items() if key not in {"padding", "truncation"}}
    else:
        rules = {"class": type(tokenizer).__name__, "vocab": tokenizer.get_vocab()}
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    template = getattr(tokenizer, "chat_template", None)
    told = {"rules": rules, "special": special, "chat": template}
    # Of the texts that are generated; most tokenizers have neither set.
    if decoding := {name: True for name in _CLEAN_UP if getattr(tokenizer, name, None)}:
        told["decoding"] = decoding
    return hashlib.sha256(_canonical(told)).hexdigest()


def config_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """What of a configuration decides what a model computes: without notes on how it was made or saved."""
    """The fields that matter, in nested configs too."""
    return {
        str(key): config_fields(value) if isinstance(value, dict) else value
        for key, value in fields.items()
        if key not in _CONFIG_NOISE and not str(key).startswith("_")
    }


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, default=str).encode()


def _tensor_digest(name: str, tensor: torch.Tensor) -> bytes:
    import torch

    if tensor.device.type == "meta":
        raise RunError(
            f"The model's weight '{name}' is not in memory, so the model cannot be fingerprinted. Load it "
            "without offloading to disk."
        )
    digest = hashlib.sha256(_canonical([name, list(tensor.shape), str(tensor.dtype)]))
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    if flat.numel():
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.digest()
