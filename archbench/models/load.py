"""Load a causal language model and its tokenizer, refusing anything that would be filled in at random.

Weights are read from safetensors only and no code from a checkpoint is ever run. `transformers` gives
weights that a checkpoint lacks random values and goes on; here that is an error.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from archbench.checkpoint import has_tokenizer
from archbench.errors import RequestError, did_you_mean
from archbench.hub import snapshot
from archbench.models.checks.causality import why_not_causal
from archbench.models.checks.complete import check_complete, check_tied
from archbench.models.checks.endings import check_ends_loaded
from archbench.models.checks.fields import check_tokenizer_fields
from archbench.models.checks.folder import check_model_folder, check_quantized
from archbench.models.checks.remarks import model_remarks, tokenizer_remarks
from archbench.paths import expanded
from archbench.random_tokens import without_sampling

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_DTYPES = ("auto", "float32", "bfloat16", "float16")


def load_model(
    source: str | Path | PreTrainedModel,
    *,
    revision: str | None = None,
    dtype: str | torch.dtype = "auto",
    device: str | torch.device = "auto",
) -> PreTrainedModel:
    """Load a causal language model for evaluation.

    Args:
        source: A transformers model object, a local folder holding `config.json` and safetensors
            weights, or a hub id. A model object is returned as it is (in eval mode).
        revision: Branch, tag or commit of a hub id.
        dtype: "auto" (what the checkpoint was saved in), "float32", "bfloat16", "float16" or a torch dtype.
        device: "auto" is the first CUDA device where there is one and else the CPU. Apple's "mps" is
            taken only when named: several recurrent models lack kernels there and its numerics are untested.

    Returns:
        The model in eval mode on its device.

    Raises:
        RequestError: The source does not exist, is of an unknown architecture, or its weights are not exactly
            those that the architecture needs; its folder can be read in two ways or requests what is not
            applied; or a dtype, device or revision is requested that is not available.
    """
    import torch
    from transformers import AutoModelForCausalLM, PreTrainedModel

    wanted_dtype = _resolve_dtype(dtype)
    wanted_device = None if device == "auto" else _resolve_device(device)
    if isinstance(source, PreTrainedModel):
        _refuse_conversion(source, wanted_dtype, wanted_device, revision)
        _check_causal("The model given", source.config.to_dict())
        return source.eval()
    _check_kind("model", source)
    location, folder = _locate("model", source, revision)
    check_model_folder(folder)
    for remark in model_remarks(folder):
        log.warning("%s: %s", location, remark)
    with _quiet_transformers():
        try:
            model, info = AutoModelForCausalLM.from_pretrained(
                str(folder),
                dtype=wanted_dtype or "auto",
                trust_remote_code=False,
                use_safetensors=True,
                # Mismatches are reported by `info`, by name, instead of by an exception without names.
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
        except Exception as error:
            raise _load_failure("model", location, error) from error
    check_complete(location, folder, model, info)
    check_tied(location, model)
    check_ends_loaded(folder, getattr(model.generation_config, "eos_token_id", None))
    check_quantized(model.config.to_dict(), getattr(model, "hf_quantizer", None), location)
    _check_causal(location, model.config.to_dict())
    # The name that was given, not that of a folder in the hub's cache.
    model.name_or_path = model.config.name_or_path = location
    if wanted_device is None:
        wanted_device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return cast("PreTrainedModel", model.to(wanted_device).eval())


def load_tokenizer(
    source: str | Path | PreTrainedTokenizerBase, *, revision: str | None = None
) -> PreTrainedTokenizerBase:
    """Load a tokenizer.

    Args:
        source: A tokenizer object (returned as it is), a local folder or a hub id.
        revision: Branch, tag or commit of a hub id.

    Returns:
        The tokenizer.

    Raises:
        RequestError: There is no tokenizer at the source, or it cannot be read.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerBase

    if isinstance(source, PreTrainedTokenizerBase):
        return source
    _check_kind("tokenizer", source)
    location, folder = _locate("tokenizer", source, revision)
    if not has_tokenizer(folder):
        raise RequestError(
            f"The folder {folder} holds no tokenizer with a vocabulary: tokenizer.json, or the files of its "
            "class (vocab.json and merges.txt, vocab.txt, tokenizer.model), were expected. Save one there "
            "with tokenizer.save_pretrained(folder), or name the tokenizer's own folder or hub id."
        )
    check_tokenizer_fields(folder)
    for remark in tokenizer_remarks(folder):
        log.warning("%s: %s", location, remark)
    with _quiet_transformers():
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
            # Some settings are only looked at with the first text.
            tokenizer.decode(tokenizer("a text", verbose=False)["input_ids"])
        except Exception as error:
            raise _load_failure("tokenizer", location, error) from error
    tokenizer.name_or_path = location
    return cast("PreTrainedTokenizerBase", without_sampling(tokenizer))


def _check_kind(what: str, source: object) -> None:
    if not isinstance(source, (str, Path)):
        raise RequestError(
            f"A {type(source).__name__} was given as {what}; a transformers {what} object, a folder or a hub "
            "id was expected."
        )


def _locate(what: str, source: str | Path, revision: str | None) -> tuple[str, Path]:
    """The name of a local folder or hub id, and a local folder that holds its files."""
    folder = expanded(source)
    if folder.is_dir():
        if revision is not None:
            raise RequestError(
                f"A revision ('{revision}') was given for the local folder {folder}; revisions belong to hub "
                "ids. Leave it out, or name the hub id."
            )
        return str(folder), folder
    if isinstance(source, str) and _HUB_ID.fullmatch(source) and not source.startswith("."):
        try:
            return source, snapshot(source, revision=revision, weights=what == "model")
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise RequestError(
                f"The {what} '{source}', which is no local folder and was taken for a hub id, could not be "
                f"fetched from the hub ({type(error).__name__}): {reason}"
            ) from error
    if folder.exists():
        raise RequestError(f"{folder} is a file; the folder that holds config.json was expected.")
    siblings = [p.name for p in folder.parent.iterdir() if p.is_dir()] if folder.parent.is_dir() else []
    hint = did_you_mean(folder.name, siblings, label="Folders next to it")
    raise RequestError(f"The folder {folder} does not exist. {hint}")


def _check_causal(name: str, config: dict[str, Any]) -> None:
    """Refuse a model that does not predict each token from those before it."""
    if why := why_not_causal(config):
        raise RequestError(f"{name}: {why}. A causal language model was expected.")


def _load_failure(what: str, location: str, error: Exception) -> RequestError:
    reason = " ".join(str(error).split())[:300]
    return RequestError(f"The {what} in {location} could not be loaded ({type(error).__name__}): {reason}")


def _resolve_dtype(dtype: str | torch.dtype) -> torch.dtype | None:
    """The torch dtype that is meant, None for "auto"."""
    import torch

    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype not in _DTYPES:
        raise RequestError(
            f"dtype '{dtype}' is not known. {did_you_mean(dtype, _DTYPES, label='Known dtypes')}"
        )
    return None if dtype == "auto" else cast("torch.dtype", getattr(torch, dtype))


def _resolve_device(device: str | torch.device) -> torch.device:
    import torch

    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise RequestError(
            f"device '{device}' is not known; write 'auto', 'cpu', 'cuda' or 'cuda:1'."
        ) from error
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise RequestError(
            f"device '{device}' was requested, but torch sees {torch.cuda.device_count()} CUDA devices. "
            "Write 'auto' to take what is there."
        )
    if resolved.type == "mps" and not torch.backends.mps.is_available():
        raise RequestError("device 'mps' was requested, but this machine has none. Write 'auto'.")
    return resolved


def _refuse_conversion(
    model: PreTrainedModel, dtype: torch.dtype | None, device: torch.device | None, revision: str | None
) -> None:
    """A model object belongs to the caller: nothing about it is changed behind their back."""
    if revision is not None:
        raise RequestError(f"A revision ('{revision}') was given with a model object; it belongs to hub ids.")
    if dtype is not None and model.dtype != dtype:
        raise RequestError(
            f"The model given is in {model.dtype}, not {dtype}. Convert it first: model.to({dtype})."
        )
    if device is not None and (
        model.device.type != device.type or device.index not in (None, model.device.index)
    ):
        raise RequestError(
            f"The model given is on {model.device}, not {device}. Move it: model.to('{device}')."
        )


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep transformers' load report and bars off the terminal; what matters in them is raised here."""
    from transformers.utils import logging as hf_logging

    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()
