"""Is there a model in this folder? Told before anything is loaded, and without torch."""

from __future__ import annotations

from pathlib import Path

from archbench.errors import RequestError, did_you_mean
from archbench.jsonfile import read_json
from archbench.models.causality import why_not_causal
from archbench.models.original import is_original
from archbench.paths import nearest_folder

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tokenizer_config.json")


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
    config = folder / "config.json"
    if not config.is_file():
        raise RequestError(
            f"{at}: {folder} is not a transformers model: it has no config.json.{how and ' ' + how}"
        )
    if is_original(folder):
        raise RequestError(
            f"{at}: {folder} is a checkpoint in mamba_ssm's own layout. Convert it first: archbench convert "
            f"{folder} --out DIR, and name DIR here."
        )
    if not any(folder.glob("*.safetensors")):
        others = [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")]
        instead = (
            f"; {others[0].name} is a pickle, which archbench does not open: save the model again with "
            "save_pretrained(..., safe_serialization=True)"
            if others
            else " (expected model.safetensors, as save_pretrained writes it)"
        )
        raise RequestError(f"{at}: the model folder {folder} has no weights{instead}.{how and ' ' + how}")
    try:
        fields = read_json(config)
        model_type, why = fields.get("model_type"), why_not_causal(fields)
    except (ValueError, AttributeError) as error:
        raise RequestError(f"{at}: {config} is not a model configuration in JSON ({error}).") from None
    if why is not None:
        raise RequestError(
            f"{at}: {config}: {why}. archbench compares causal language models; leave this one out."
        )
    # Imported here: this is the one place of the registry that needs transformers (about a second).
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        hint = did_you_mean(str(model_type), MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, label="Among those it has")
        raise RequestError(
            f"{at}: {config}: transformers has no causal language model of model_type '{model_type}'. {hint}"
        )


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds a tokenizer in one of the layouts that transformers reads."""
    return any((folder / name).is_file() for name in _TOKENIZER_FILES)
