"""Is there a model in this folder that can be loaded as it is? Found out before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from archbench.checkpoint import CONFIG, GENERATION, INDEX, WEIGHTS, model_files
from archbench.errors import RequestError
from archbench.formats.json_file import read_json
from archbench.models.checks.causality import why_not_causal
from archbench.models.checks.endings import check_ends
from archbench.models.checks.fields import check_fields
from archbench.models.checks.remarks import quantization
from archbench.models.checks.tensors import check_tensors
from archbench.models.known import check_known

_IMPLEMENTATIONS = (
    "attn_implementation",
    "_attn_implementation",
    "experts_implementation",
    "_experts_implementation",
)


def check_model_folder(folder: Path) -> None:
    """Make sure that a folder holds one causal language model of transformers, with safetensors weights.

    Args:
        folder: A folder that exists.

    Raises:
        RequestError: It does not: a file is missing, damaged, can be read in two ways or names others outside
            of the folder; or its configuration asks for what is not applied here.
    """
    path = folder / CONFIG
    if is_original(folder):
        raise RequestError(
            f"{folder} is a checkpoint in mamba_ssm's own layout. Convert it first: archbench convert "
            f"{folder} --out DIR, and name DIR."
        )
    if path.is_file():
        check_tensors(folder)
        model_files(folder)
        check_config(_read(path), str(path))
        for name in (CONFIG, GENERATION):
            if (folder / name).is_file():
                check_fields(folder / name)
        check_ends(folder)
        return
    # An adapter alone has no config.json either, and is what the message should be about.
    if any(folder.glob("*.safetensors")):
        model_files(folder)
    raise RequestError(
        f"{folder} is not a transformers model: it has no config.json. Save the model there with "
        "model.save_pretrained(folder)."
    )


def is_original(folder: Path) -> bool:
    """Whether a folder holds a checkpoint in mamba_ssm's layout."""
    try:
        config = read_json(folder / CONFIG)
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and {"d_model", "n_layer"} <= config.keys() and "model_type" not in config


def check_config(fields: Mapping[str, Any], where: str) -> None:
    """Make sure that a configuration is of a causal language model, and requests nothing that is not applied.

    Args:
        fields: The fields of config.json.
        where: The file, for messages.

    Raises:
        RequestError: It is not, or it does.
    """
    if why := why_not_causal(fields):
        raise RequestError(f"{where}: {why}. A causal language model was expected.")
    code = "Code of its own (auto_map) is never run." if fields.get("auto_map") else ""
    check_known(fields.get("model_type"), where, note=code)
    named = fields.get("transformers_weights")
    if named not in (None, WEIGHTS, INDEX):
        raise RequestError(
            f"{where}: transformers_weights names {named!r}; weights are read from {WEIGHTS} or {INDEX} "
            "only. Save the model again with model.save_pretrained(folder), or rename the file and remove "
            "the setting."
        )
    for key, value in _implementations(fields):
        if "/" in value:
            raise RequestError(
                f"{where}: {key} names '{value}', a kernel that would be downloaded and run. Remove the "
                "setting: transformers' own implementation is used then."
            )


def check_quantized(fields: Mapping[str, Any], quantizer: object, where: str) -> None:
    """Refuse a model whose configuration requests a quantization that was not applied.

    Args:
        fields: The fields of config.json.
        quantizer: What transformers applied; None where nothing.
        where: The model, for messages.

    Raises:
        RequestError: A method is named that transformers does not have: it goes on without.
    """
    method = quantization(fields)
    if method is not None and quantizer is None:
        raise RequestError(
            f"{where}: quantization_config names the method '{method}', which this transformers does not "
            "have and leaves out without an error. Use a checkpoint in a method that it has; or, where the "
            "weights are not quantized, remove quantization_config from config.json."
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        fields = read_json(path)
    except ValueError as error:
        raise RequestError(f"{path} is not a model configuration in JSON ({error}).") from None
    if not isinstance(fields, dict):
        raise RequestError(f"{path} is not a model configuration in JSON (it holds no fields).")
    return fields


def _implementations(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Implementations that a configuration names for its parts, nested ones too."""
    for key, value in fields.items():
        if key in _IMPLEMENTATIONS:
            parts = value.values() if isinstance(value, Mapping) else [value]
            yield from ((key, str(one)) for one in parts)
        elif isinstance(value, Mapping):
            yield from _implementations(value)
