"""What a model, a tokenizer and data are, as digests: one formula, used by everyone who compares them.

An identity is the digest of named contents: a list of names with the SHA-256 of what each names, in canonical
JSON (`digests`). What the names are depends on what is available:

- files of a folder, byte by byte, before anything is loaded (`folders`): members of a plan, data of a task;
- tensors of safetensors files, whatever their headers say and however they are cut into files (`tensors`):
  weights as training left them, compared by the audit;
- models and tokenizers in memory (`loaded`): stored answers, and how tokenizers encode.

Which files of a folder are a model or a tokenizer is said in one place, `archbench.checkpoint`.
"""

from archbench.identity.digests import content_digest, contents, digest, file_digest
from archbench.identity.folders import model_contents, tokenizer_contents
from archbench.identity.loaded import (
    TokenizerIdentity,
    config_fields,
    loaded_tokenizer_identity,
    model_fingerprint,
    tokenizer_fingerprint,
    tokenizer_rules,
)
from archbench.identity.tensors import weights_digest

__all__ = [
    "TokenizerIdentity",
    "config_fields",
    "content_digest",
    "contents",
    "digest",
    "file_digest",
    "loaded_tokenizer_identity",
    "model_contents",
    "model_fingerprint",
    "tokenizer_contents",
    "tokenizer_fingerprint",
    "tokenizer_rules",
    "weights_digest",
]
