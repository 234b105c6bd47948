"""Checkpoints in the layout of the `mamba_ssm` package, as transformers models.

Mamba's authors publish a `config.json` of their own (`d_model`, `n_layer`, `ssm_cfg`, …) next to a
`pytorch_model.bin`. transformers has the same models under other names. The weights are read with torch's
`weights_only` loader, which makes tensors and nothing else; `convert_original` saves them as safetensors, so
that whatever comes later never opens a pickle.
"""

from __future__ import annotations

import math
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archbench.checkpoint import CONFIG
from archbench.errors import RequestError, RunError, did_you_mean
from archbench.formats.json_file import read_json
from archbench.models.build import build_config
from archbench.models.checks.folder import is_original
from archbench.models.load import load_tokenizer

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_WEIGHTS = "pytorch_model.bin"
_RENAMED = {"backbone.embedding.weight": "backbone.embeddings.weight"}
_KNOWN = {
    "d_model", "d_intermediate", "n_layer", "vocab_size", "ssm_cfg", "attn_layer_idx", "attn_cfg", "rms_norm",
    "residual_in_fp32", "fused_add_norm", "pad_vocab_size_multiple", "tie_embeddings",
}  # fmt: skip
# Settings of the mixers that transformers has, with mamba_ssm's defaults; `layer` names the mixer.
_MAMBA = {"d_state": 16, "d_conv": 4, "expand": 2, "dt_rank": "auto", "bias": False, "conv_bias": True}
_MAMBA2 = {
    "d_state": 128, "d_conv": 4, "expand": 2, "headdim": 64, "ngroups": 1, "bias": False, "conv_bias": True,
    "chunk_size": 256,
}  # fmt: skip
# Settings that only say how weights are first drawn, or which kernel is used.
_NO_MATTER = {
    "layer", "dt_min", "dt_max", "dt_init", "dt_scale", "dt_init_floor", "A_init_range", "use_fast_path",
}  # fmt: skip


def original_architecture(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The architecture block that a mamba_ssm configuration stands for.

    Args:
        config: Content of mamba_ssm's `config.json`.
        where: File, for messages.

    Raises:
        RequestError: It describes a model that transformers does not have, or holds an unknown setting.
    """
    for key in config:
        if key not in _KNOWN:
            raise RequestError(
                f"{where}: '{key}' is not a setting of mamba_ssm that archbench knows. "
                + did_you_mean(str(key), _KNOWN, label="Those it knows")
            )
    if config.get("attn_layer_idx") or config.get("d_intermediate"):
        raise RequestError(
            f"{where}: this model has attention or MLP layers (attn_layer_idx, d_intermediate) as mamba_ssm "
            "builds them, which no transformers class has. Only pure Mamba and Mamba-2 models can be read."
        )
    if not config.get("rms_norm", True):
        raise RequestError(f"{where}: rms_norm is off (LayerNorm), which transformers' Mamba does not have.")
    mixer = config.get("ssm_cfg") or {}
    if not isinstance(mixer, Mapping):
        raise RequestError(f"{where}: ssm_cfg is {mixer!r}; expected settings by name, such as {{}}.")
    kind = mixer.get("layer", "Mamba1")
    if kind not in ("Mamba1", "Mamba2"):
        raise RequestError(f"{where}: ssm_cfg.layer is '{kind}'; expected Mamba1 or Mamba2.")
    defaults = _MAMBA2 if kind == "Mamba2" else _MAMBA
    for key in mixer:
        if key not in defaults and key not in _NO_MATTER:
            raise RequestError(
                f"{where}: ssm_cfg.{key} is a setting that transformers' {kind} does not have. "
                + did_you_mean(key, defaults, label="Those it has")
            )
    settings = defaults | {key: value for key, value in mixer.items() if key in defaults}
    numbers = {"pad_vocab_size_multiple": 8, **config}
    for key in ("d_model", "n_layer", "vocab_size", "pad_vocab_size_multiple"):
        if not isinstance(numbers.get(key), int) or numbers[key] < 1:
            raise RequestError(f"{where}: {key} is {numbers.get(key)!r}; expected a whole number from 1 on.")
    width, layers, vocabulary, multiple = (
        numbers[key] for key in ("d_model", "n_layer", "vocab_size", "pad_vocab_size_multiple")
    )
    common = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "vocab_size": math.ceil(vocabulary / multiple) * multiple,
        "state_size": settings["d_state"],
        "conv_kernel": settings["d_conv"],
        "expand": settings["expand"],
        "use_bias": settings["bias"],
        "use_conv_bias": settings["conv_bias"],
        "residual_in_fp32": config.get("residual_in_fp32", True),
        "tie_word_embeddings": config.get("tie_embeddings", True),
        # mamba_ssm's norms; transformers has the same default.
        "layer_norm_epsilon": 1e-5,
    }
    if kind == "Mamba1":
        rank = settings["dt_rank"]
        rank = math.ceil(width / 16) if rank == "auto" else rank
        return {"model_type": "mamba", **common, "time_step_rank": rank}
    return {
        "model_type": "mamba2",
        **common,
        "head_dim": settings["headdim"],
        "num_heads": settings["expand"] * width // settings["headdim"],
        "n_groups": settings["ngroups"],
        "chunk_size": settings["chunk_size"],
    }


def load_original(folder: Path) -> PreTrainedModel:
    """Load a mamba_ssm checkpoint into its transformers class.

    Args:
        folder: Holds `config.json` and `pytorch_model.bin`.

    Returns:
        The model on the CPU, in the checkpoint's dtype, in eval mode.

    Raises:
        RequestError: It is no such checkpoint, transformers does not have such a model, the file holds more
            than tensors, or weights are missing, left over or of the wrong shape.
    """
    import torch

    from archbench.models.meta import meta_model

    path = folder / CONFIG
    if not is_original(folder):
        raise RequestError(f"{path} is no configuration of mamba_ssm: it needs d_model and n_layer.")
    config = read_json(path)
    architecture = original_architecture(config, str(path))
    weights = folder / _WEIGHTS
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise RequestError(f"{folder} holds no {_WEIGHTS}.") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        why = " ".join(str(error).split())[:160]
        raise RequestError(f"{weights} cannot be read as tensors alone, and is not opened: {why}") from None
    if not isinstance(state, dict) or not all(isinstance(one, torch.Tensor) for one in state.values()):
        raise RequestError(f"{weights} holds something else than named tensors.")
    if odd := next((name for name, one in state.items() if not _plain(one)), None):
        raise RequestError(f"{weights}: {odd} is not a dense tensor of floating-point numbers.")
    tensors = {_RENAMED.get(str(name), str(name)): tensor for name, tensor in state.items()}
    model = meta_model(build_config(architecture))
    if model.config.tie_word_embeddings:
        tied = tensors.pop("lm_head.weight", None)
        if tied is not None and not torch.equal(tied, tensors.get("backbone.embeddings.weight", tied)):
            raise RequestError(
                f"{weights}: the configuration ties the embeddings, but the file's two are not equal."
            )
    expected = {name: tuple(one.shape) for name, one in model.named_parameters()}
    _check_fit(weights, expected, {name: tuple(one.shape) for name, one in tensors.items()})
    dtype = next(iter(tensors.values())).dtype
    model = model.to_empty(device="cpu").to(dtype)
    model.load_state_dict(tensors, strict=False, assign=True)
    model.tie_weights()
    return model.eval()


def convert_original(folder: Path, out: Path, *, tokenizer: str | Path | None = None) -> PreTrainedModel:
    """Save a mamba_ssm checkpoint as a transformers model with safetensors weights.

    Args:
        folder: Holds `config.json` and `pytorch_model.bin`.
        out: Folder to write, new or empty; it appears when all is in it.
        tokenizer: Folder or hub id of the tokenizer to save next to the weights, since the layout has none;
            the model then begins, ends and pads with its tokens.

    Returns:
        The model, on the CPU.

    Raises:
        RequestError: As `load_original` and `load_tokenizer`; or the tokenizer has more entries than the
            model, or `out` is not empty.
        RunError: `out` cannot be written.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise RequestError(f"{out} is there already and is not empty. Name a new folder with --out.")
    model = load_original(folder)
    part = out.parent / f".{out.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        if tokenizer is not None:
            words = load_tokenizer(tokenizer)
            if len(words) > model.config.vocab_size:
                raise RequestError(
                    f"The tokenizer {tokenizer} has {len(words):,} entries, and the model in {folder} only "
                    f"{model.config.vocab_size:,}: it is another model's."
                )
            for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
                setattr(model.config, key, getattr(words, key))
                setattr(model.generation_config, key, getattr(words, key))
            words.save_pretrained(part)
        model.save_pretrained(part, safe_serialization=True)
        part.replace(out)
    except OSError as error:
        raise RunError(f"The converted model cannot be written to {out}: {error}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return model


def _plain(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and not tensor.is_sparse and not tensor.is_meta


def _check_fit(
    path: Path, expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]
) -> None:
    """Refuse weights that are not exactly those of the architecture."""
    for name, shape in expected.items():
        if name not in found:
            raise RequestError(f"{path}: the weight {name} is missing; its config.json needs it.")
        if found[name] != shape:
            raise RequestError(
                f"{path}: the weight {name} is {list(found[name])}, where config.json needs {list(shape)}."
            )
    extra = sorted(found.keys() - expected.keys())
    if extra:
        raise RequestError(f"{path}: the weight {extra[0]} is no part of what config.json describes.")
