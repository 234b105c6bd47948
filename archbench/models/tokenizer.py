"""How the tokenizer of a folder encodes, once it is loaded with all that its files say."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from archbench.errors import RequestError
from archbench.identity import TokenizerIdentity, digest, loaded_tokenizer_identity, tokenizer_contents
from archbench.models.load import load_tokenizer


def tokenizer_identity(folder: Path) -> TokenizerIdentity:
    """Digests of how the tokenizer in a folder encodes; loaded once per process for the same files.

    Where it cannot be loaded (code of its own, a package missing), or its class does not show its rules, both
    are of its files, byte by byte.

    Raises:
        RequestError: The folder names files outside of it.
    """
    return _identity(folder, digest(tokenizer_contents(folder)))


@lru_cache(maxsize=256)
def _identity(folder: Path, files: str) -> TokenizerIdentity:
    by_files = TokenizerIdentity(files, files)
    try:
        return loaded_tokenizer_identity(load_tokenizer(folder)) or by_files
    except RequestError:
        return by_files
