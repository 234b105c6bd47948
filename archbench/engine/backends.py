"""Find one of lm-eval's own model classes, make an object of it with what a member needs, and check it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lm_eval.api.model import LM
from lm_eval.api.registry import model_registry
from transformers import PreTrainedTokenizerBase

from archbench.engine.backend import BackendLM, parameter_names
from archbench.engine.options import EngineOptions
from archbench.engine.usage import Report
from archbench.errors import RequestError, did_you_mean
from archbench.random_tokens import check_not_random
from archbench.tokens import check_knows_texts, find_surroundings, texts_of_vocabulary


def check_backend(backend: str) -> None:
    """Make sure that lm-eval has a class of this name; it is not imported.

    Raises:
        RequestError: It has none.
    """
    import lm_eval.models  # noqa: F401 - fills the registry

    if backend not in model_registry:
        raise RequestError(
            f"lm-eval has no model class '{backend}'. {did_you_mean(backend, model_registry.keys())}"
        )


def load_backend(
    backend: str,
    arguments: Mapping[str, Any],
    options: EngineOptions | None = None,
    *,
    name: str,
    source: str | Path | None = None,
    tokenizer: str | Path | None = None,
    progress: bool | Report = False,
) -> BackendLM:
    """A model on one of lm-eval's own classes, such as `vllm` or `local-completions`.

    Args:
        backend: The class's name in lm-eval (`lm_eval --model`).
        arguments: What to make it with (`lm_eval --model_args`).
        options: Of these, `dtype`, `device` and `max_length` are handed over under the same names where they
            are not left open, and `too_long` is applied to requests.
        name: How messages call the model.
        source: Folder or id of the model, handed over as `pretrained` or `model`.
        tokenizer: Folder or id of the tokenizer.
        progress: As for `load_lm`.

    Returns:
        The LM.

    Raises:
        RequestError: There is no such class, it is not installed, or it does not take what it is given.
    """
    check_backend(backend)
    options = options or EngineOptions()
    advice = f"Arguments come from the member's `arguments`; lm-eval's `--model {backend}` documents them."
    try:
        made = model_registry.get(backend)
        given = _arguments(made, backend, arguments, source, tokenizer, options)
        lm = made.create_from_arg_obj(given)
    except RequestError:
        raise
    except (ImportError, AttributeError) as error:
        reported = " ".join(str(error).split())
        raise RequestError(
            f"lm-eval's model class '{backend}' of {name} cannot be used here: {reported}. "
            "Install what it needs, or leave `backend` out to use archbench's engine."
        ) from error
    except (TypeError, ValueError, OSError, AssertionError) as error:
        reported = " ".join(str(error).split())[:500] or "no reason given"
        raise RequestError(
            f"lm-eval's model class '{backend}' could not be made for {name} "
            f"({type(error).__name__}: {reported}). {advice}"
        ) from error
    found = BackendLM(lm, backend=backend, name=name, too_long=options.too_long, progress=progress)
    if found.counts_tokens:
        _check_endings(lm, backend=backend, name=name)
    return found


def _arguments(
    made: type,
    backend: str,
    arguments: Mapping[str, Any],
    source: str | Path | None,
    tokenizer: str | Path | None,
    options: EngineOptions,
) -> dict[str, Any]:
    """A class's arguments: the member's, its folders, and the engine's settings; none is lost on the way."""
    takes = parameter_names(vars(base)["__init__"] for base in made.__mro__[:-1] if "__init__" in vars(base))
    model = next((one for one in ("pretrained", "model") if one in takes), None)
    given = dict(arguments)
    # What is left open is the class's own affair.
    settings = {"dtype": options.dtype, "device": options.device, "max_length": options.max_length}
    needed: dict[str | None, Any] = {name: one for name, one in settings.items() if one != "auto"}
    if source is not None:
        needed |= {model: str(source), "tokenizer": str(tokenizer) if tokenizer else None}
    for key, value in needed.items():
        if value is None or key in given:
            continue
        if key is None or key not in takes:
            what = "a path or hub id" if key is None else f"'{key}'"
            raise RequestError(
                f"lm-eval's model class '{backend}' takes no {what}. It takes: {', '.join(sorted(takes))}."
            )
        given[key] = value
    return given


def _check_endings(lm: LM, *, backend: str, name: str) -> None:
    """Make sure that a class puts no special tokens behind texts, if its tokenizer is of transformers.

    Args:
        lm: The class's object, which has a tokenizer.
        backend: Its name in lm-eval.
        name: How messages call the model.

    Raises:
        RequestError: It does, or what it puts around texts is not regular; or its ids are random, or it
            knows no text.
    """
    tokenizer = lm.tokenizer
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        return
    check_not_random(tokenizer, f"The tokenizer of {name}")
    check_knows_texts(tokenizer, f"The tokenizer of {name}")
    found = find_surroundings(
        lm.tok_encode,
        lambda text: list(lm.tok_encode(text, add_special_tokens=False)),
        name=f"The tokenizer of {name}",
        more=lambda: texts_of_vocabulary(tokenizer),
    )
    if found.after:
        shown = ", ".join(map(str, tokenizer.convert_ids_to_tokens(list(found.after))))
        raise RequestError(
            f"The tokenizer of {name} puts special tokens ({shown}) behind every text, and lm-eval's model "
            f"class '{backend}' scores options and generates after them, so that all options get the same "
            "log-likelihood. Leave `backend` out (archbench's engine leaves those tokens out), or correct "
            "post_processor in tokenizer.json."
        )
