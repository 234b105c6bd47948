"""Find one of lm-eval's own model classes and make an object of it, with what a member asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lm_eval.api.registry import model_registry

from archbench.engine.backend import BackendLM, parameter_names
from archbench.engine.endings import check_endings
from archbench.engine.usage import Report
from archbench.errors import RequestError, did_you_mean


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
    *,
    name: str,
    source: str | Path | None = None,
    tokenizer: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    too_long: str = "error",
    progress: bool | Report = False,
) -> BackendLM:
    """A model on one of lm-eval's own classes, such as `vllm` or `local-completions`.

    Args:
        backend: The class's name in lm-eval (`lm_eval --model`).
        arguments: What to make it with (`lm_eval --model_args`).
        name: How messages call the model.
        source: Folder or id of the model, handed over as `pretrained` or `model`.
        tokenizer: Folder or id of the tokenizer.
        settings: `dtype`, `device`, `max_length` where they are asked for; handed over under the same names.
        too_long: As for `load_lm`.
        progress: As for `load_lm`.

    Returns:
        The LM.

    Raises:
        RequestError: There is no such class, it is not installed, or it does not take what it is given.
    """
    check_backend(backend)
    advice = f"Arguments come from the member's `arguments`; lm-eval's `--model {backend}` documents them."
    try:
        made = model_registry.get(backend)
        given = _arguments(made, backend, arguments, source, tokenizer, settings or {})
        lm = made.create_from_arg_obj(given)
    except RequestError:
        raise
    except (ImportError, AttributeError) as error:
        told = " ".join(str(error).split())
        raise RequestError(
            f"lm-eval's model class '{backend}' of {name} cannot be used here: {told}. "
            "Install what it needs, or leave `backend` out to use archbench's engine."
        ) from error
    except (TypeError, ValueError, OSError, AssertionError) as error:
        told = " ".join(str(error).split())[:500] or "no reason given"
        raise RequestError(
            f"lm-eval's model class '{backend}' could not be made for {name} "
            f"({type(error).__name__}: {told}). {advice}"
        ) from error
    found = BackendLM(lm, backend=backend, name=name, too_long=too_long, progress=progress)
    if found.counts_tokens:
        check_endings(lm, backend=backend, name=name)
    return found


def _arguments(
    made: type,
    backend: str,
    arguments: Mapping[str, Any],
    source: str | Path | None,
    tokenizer: str | Path | None,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """A class's arguments: the member's, its folders, and the engine's settings; none is lost on the way."""
    takes = parameter_names(vars(base)["__init__"] for base in made.__mro__[:-1] if "__init__" in vars(base))
    model = next((one for one in ("pretrained", "model") if one in takes), None)
    given = dict(arguments)
    asked: dict[str | None, Any] = {}
    asked.update(settings)
    if source is not None:
        asked |= {model: str(source), "tokenizer": str(tokenizer) if tokenizer else None}
    for key, value in asked.items():
        if value is None or key in given:
            continue
        if key is None or key not in takes:
            what = "a path or hub id" if key is None else f"'{key}'"
            raise RequestError(
                f"lm-eval's model class '{backend}' takes no {what}. It takes: {', '.join(sorted(takes))}."
            )
        given[key] = value
    return given
