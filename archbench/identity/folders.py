"""What the files of a folder say a model and a tokenizer are; nothing is loaded."""

from __future__ import annotations

from pathlib import Path

from archbench.checkpoint import CONFIG, model_files, tokenizer_files
from archbench.identity.digests import contents


def model_contents(folder: Path) -> list[list[str]]:
    """Name and digest of each file that decides what a model answers: configurations and weights.

    generation_config.json is one of them: the engine takes the tokens that end a text from it.

    Raises:
        RequestError: The folder can be read in two ways, or holds no weights.
    """
    return contents(folder, model_files(folder))


def tokenizer_contents(folder: Path, weights: Path | None = None) -> list[list[str]]:
    """Name and digest of each file that decides how a tokenizer encodes and decodes.

    Args:
        folder: The tokenizer's folder.
        weights: Folder of the model whose `model_contents` are known besides, if any. Where it is the same,
            config.json is not listed again.

    Raises:
        RequestError: The folder names files outside of it.
    """
    files = tokenizer_files(folder)
    # The class of a tokenizer may come from a model's configuration next to it.
    config = folder / CONFIG
    if config.is_file() and (weights is None or folder.resolve() != weights.resolve()):
        files = sorted([*files, config])
    return contents(folder, files)
