"""How the tokenizer of a folder encodes, once it is loaded with all that its files say."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from archbench.checkpoint import tokenizer_files
from archbench.errors import RequestError
from archbench.identity import (
    TokenizerIdentity,
    contents,
    digest,
    loaded_tokenizer_identity,
    tokenizer_contents,
)
from archbench.models.load import load_tokenizer


def tokenizer_identity(folder: Path) -> TokenizerIdentity:
    """Digests of how the tokenizer in a folder encodes; loaded once per process for the same files.

    Where it cannot be loaded (code of its own, a package missing), or its class does not show its rules, both
    are of its own files, byte by byte: not of the model's configuration next to it, so that copies next to
    different models stay the same tokenizer.

    Raises:
        RequestError: The folder names files outside of it.
    """
    return _identity(folder, digest(tokenizer_contents(folder)))


@lru_cache(maxsize=256)
def _identity(folder: Path, files: str) -> TokenizerIdentity:
    """The files' digest is there so that a tokenizer changed within the process is loaded again."""
    try:
        loaded = loaded_tokenizer_identity(load_tokenizer(folder))
    except RequestError:
        loaded = None
    if loaded is not None:
        return loaded
    own = digest(contents(folder, tokenizer_files(folder)))
    return TokenizerIdentity(own, own)
