"""What a model and a tokenizer in memory are: equal digests answer alike."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from archbench.errors import RunError
from archbench.identity.digests import content_digest, digest
from archbench.identity.tensors import TensorContent, in_parallel, tensors_digest

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Config fields that say where a model came from or what a forward pass returns next to its logits, not
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


class TokenizerIdentity(NamedTuple):
    """How a tokenizer encodes, as digests (sha256, hex).

    Attributes:
        rules: Of its vocabulary, merges, normalisation and added tokens: what a training record names.
        encoding: Of the rules and the special tokens: what members are compared by.
    """

    rules: str
    encoding: str


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
    tensors = in_parallel(_content, model.state_dict().items())
    parts = {"config": config_fields(model.config.to_dict()), "weights": tensors_digest(tensors)}
    return digest(parts, default=str)


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
    parts = {
        "rules": rules,
        "special": _special(tokenizer),
        "chat": getattr(tokenizer, "chat_template", None),
        # Of the texts that are generated; most tokenizers have neither set.
        "decoding": [name for name in _CLEAN_UP if getattr(tokenizer, name, None)],
    }
    return digest(parts, default=str)


def tokenizer_rules(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Digest of a tokenizer's rules, as `training.json` names it; None where its class does not show them."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return None if backend is None else content_digest(backend.to_str())


def loaded_tokenizer_identity(tokenizer: PreTrainedTokenizerBase) -> TokenizerIdentity | None:
    """How a tokenizer encodes; None where its class does not show its rules."""
    rules = tokenizer_rules(tokenizer)
    if rules is None:
        return None
    return TokenizerIdentity(rules, digest({"rules": rules, "special": _special(tokenizer)}))


def config_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """What of a configuration decides what a model computes: without notes on how it was made or saved.

    Args:
        fields: All of it; nested configurations are gone through too.
    """
    return {
        str(key): config_fields(value) if isinstance(value, dict) else value
        for key, value in fields.items()
        if key not in _CONFIG_NOISE and not str(key).startswith("_")
    }


def _special(tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    return {name: str(token) for name, token in tokenizer.special_tokens_map.items()}


def _content(named: tuple[str, torch.Tensor]) -> TensorContent:
    import torch

    name, tensor = named
    if tensor.device.type == "meta":
        raise RunError(
            f"The model's weight '{name}' is not in memory, so the model cannot be fingerprinted. Load it "
            "without offloading to disk."
        )
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    content = hashlib.sha256(flat.view(torch.uint8).numpy().data if flat.numel() else b"").hexdigest()
    return TensorContent(name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), content)
