"""From a checkpoint, or a model in memory, to an LM."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from archbench.engine.lm import CACHE_BYTES, ArchbenchLM
from archbench.engine.store import RequestStore
from archbench.engine.usage import Report
from archbench.errors import RequestError
from archbench.models.load import load_model, load_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_lm(
    model: PreTrainedModel | str | Path,
    tokenizer: PreTrainedTokenizerBase | str | Path | None = None,
    *,
    revision: str | None = None,
    batch_tokens: int = 8192,
    cache_bytes: int = CACHE_BYTES,
    dtype: str | torch.dtype = "auto",
    device: str | torch.device = "auto",
    max_length: int | None = None,
    rolling_stride: int | None = None,
    too_long: str = "error",
    border: str = "exact",
    seed: int = 0,
    progress: bool | Report = False,
    store: RequestStore | None = None,
) -> ArchbenchLM:
    """A transformers model as an `LM` for lm-eval: `lm_eval.simple_evaluate(model=load_lm(...), ...)`.

    Args:
        model: A transformers model object, a local folder or a hub id.
        tokenizer: A tokenizer object, folder or hub id; None is from where the model came from.
        revision: Branch, tag or commit of the model's hub id, and of its own tokenizer; a tokenizer
            named apart is taken at its newest.
        batch_tokens: Tokens, padding included, that one forward pass may hold. It has no influence on
            results but for the last digits of floating-point sums, and halves itself when memory runs out.
        cache_bytes: Memory that the states of shared prefixes may take, over and above the model and one
            forward pass. Less is slower, never different; 0 shares nothing.
        dtype: "auto" (as saved), "float32", "bfloat16", "float16" or a torch dtype.
        device: "auto" (CUDA where there is one, else the CPU) or a torch device.
        max_length: Longest input in tokens; None is what the model's config says, and no limit for a model
            without attention. Rolling log-likelihoods cut documents into windows of this length, so to
            compare perplexities of an attention and a recurrent model give both the same.
        rolling_stride: Tokens that each window of a rolling log-likelihood after the first predicts; the
            fewer, the more context each has and the more windows there are. None is `max_length`: no overlap.
        too_long: "error", or "exclude": what is longer than `max_length` is not put to the model and gets no
            answer (`ArchbenchLM.excluded` tells which requests). Nothing is ever cut.
        border: "exact", or "lm_eval" for lm-eval's own numbers where a token spans the border of context
            and continuation, and where the tokenizer puts special tokens before texts of rolling
            log-likelihoods (docs/engine.md). Everywhere else both are the same.
        seed: Of sampled generations; greedy ones and scores do not depend on it.
        progress: True shows a bar; a callable is called with (requests done, requests in all).
        store: Where answers are kept and found again; the caller closes it.

    Returns:
        The LM.

    Raises:
        RequestError: The model or its tokenizer cannot be loaded as asked.
    """
    loaded = load_model(model, revision=revision, dtype=dtype, device=device)
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
        revision=revision,
        batch_tokens=batch_tokens,
        cache_bytes=cache_bytes,
        max_length=max_length,
        rolling_stride=rolling_stride,
        too_long=too_long,
        border=border,
        seed=seed,
        progress=progress,
        store=store,
    )
