"""Is there a model in this folder? Checked before anything is loaded, and without torch."""

from __future__ import annotations

from pathlib import Path

from archbench.errors import RequestError
from archbench.models.checks import folder as model_folder
from archbench.paths import nearest_folder


def check_model_folder(folder: Path, at: str, *, how: str = "") -> None:
    """Make sure that a folder holds a transformers model with safetensors weights.

    Args:
        folder: The folder.
        at: Where the user named it (file and line), for the message.
        how: What to do where it is missing or incomplete; ends the message.

    Raises:
        RequestError: If it does not.
    """
    if not folder.is_dir():
        hint = how or nearest_folder(folder)
        raise RequestError(f"{at}: there is no model folder {folder}. {hint}")
    try:
        model_folder.check_model_folder(folder)
    except RequestError as error:
        raise RequestError(f"{at}: {error}{how and ' ' + how}") from None
