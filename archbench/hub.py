"""A local copy of the files of a hub repository that make up a model or a tokenizer, and of nothing else."""

from __future__ import annotations

from pathlib import Path

from archbench.checkpoint import CONFIG, MODEL_FILES, TOKENIZER_FILES


def snapshot(
    repository: str, *, revision: str | None = None, weights: bool = True, download: bool = True
) -> Path:
    """Folder of a hub repository at one commit, fetched where it is not in the local cache.

    Args:
        repository: The hub id.
        revision: Branch, tag or commit; None is the newest.
        weights: Whether the model's files are wanted, or the tokenizer's alone.
        download: Whether to fetch what is not in the cache.

    Raises:
        LocalEntryNotFoundError: It is not in the cache and cannot be, or is not to be, fetched.
        Exception: Whatever else huggingface_hub raises.
    """
    from huggingface_hub import snapshot_download

    # config.json names the class of some tokenizers.
    wanted = [*TOKENIZER_FILES, *(MODEL_FILES if weights else (CONFIG,))]
    return Path(
        snapshot_download(
            repository,
            revision=revision,
            allow_patterns=wanted,
            # Copies of the weights for other readers, and subfolders.
            ignore_patterns=["consolidated*", "model.*.safetensors", "*/*"],
            local_files_only=not download,
        )
    )
