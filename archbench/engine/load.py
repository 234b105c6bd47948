"""From a checkpoint, or a model in memory, to an LM."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from archbench.engine.lm import ArchbenchLM
from archbench.engine.options import EngineOptions, OptionFields
from archbench.engine.store import RequestStore
from archbench.engine.usage import Report
from archbench.errors import RequestError, did_you_mean
from archbench.models.load import load_model, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_lm(
    model: PreTrainedModel | str | Path,
    tokenizer: PreTrainedTokenizerBase | str | Path | None = None,
    options: EngineOptions | None = None,
    *,
    revision: str | None = None,
    progress: bool | Report = False,
    store: RequestStore | None = None,
    **settings: Unpack[OptionFields],
) -> ArchbenchLM:
    """A transformers model as an `LM` for lm-eval: `lm_eval.simple_evaluate(model=load_lm(...), ...)`.

    Settings are given by name, `load_lm(folder, dtype="bfloat16", max_length=4096)`, or as one object,
    `load_lm(folder, options=EngineOptions(dtype="bfloat16"))`.

    Args:
        model: A transformers model object, a local folder or a hub id.
        tokenizer: A tokenizer object, folder or hub id; None is from where the model came from.
        options: Settings as one object; what `settings` name replaces its fields.
        revision: Branch, tag or commit of the model's hub id, and of its own tokenizer; a tokenizer
            named apart is taken at its newest.
        progress: True shows a bar; a callable is called with (requests done, requests in all).
        store: Where answers are kept and found again; the caller closes it.
        **settings: Fields of `archbench.engine.EngineOptions`, where their meaning stands: `dtype`, `device`,
            `batch_tokens`, `cache_bytes`, `max_length`, `rolling_stride`, `too_long`, `border`, `seed`.

    Returns:
        The LM.

    Raises:
        RequestError: There is no such setting, a setting has a wrong value, or the model or its tokenizer
            cannot be loaded with them.
    """
    names = [field.name for field in fields(EngineOptions)]
    for name in settings:
        if name not in names:
            raise RequestError(f"load_lm has no setting '{name}'. {did_you_mean(name, names)}")
    options = replace(options or EngineOptions(), **settings)
    loaded = load_model(model, revision=revision, dtype=options.dtype, device=options.device)
    source = (
        tokenizer
        if tokenizer is not None
        else model
        if isinstance(model, (str, Path))
        else loaded.name_or_path
    )
    if source == "":
        raise RequestError("The model object given does not say where it came from; give its tokenizer too.")
    return ArchbenchLM(
        loaded,
        load_tokenizer(source, revision=revision if tokenizer is None else None),
        options,
        revision=revision,
        progress=progress,
        store=store,
    )
