"""Generation settings of lm-eval's requests: read in one place, before a run and in it alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archbench.answers import SKIP
from archbench.errors import RequestError, did_you_mean
from archbench.tokens import check_characters

SAMPLING = (
    "do_sample",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repetition_penalty",
    "no_repeat_ngram_size",
)
_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""What lm-eval's tasks call the limit of new tokens, in lm-eval's order."""


def read_settings(
    where: str, settings: Mapping[str, Any], default_new_tokens: int
) -> tuple[int, list[str], dict[str, Any]]:
    """Read a request's generation settings.

    Args:
        where: Whose they are, for messages.
        settings: As lm-eval's tasks have them. `until` absent, null or empty is no stop string.
        default_new_tokens: The limit of new tokens where they have none.

    Returns:
        The limit of new tokens, the stop strings and the sampling settings.

    Raises:
        RequestError: A setting is unknown, has no value that it could have, or contradicts another.
    """
    from lm_eval.models.utils import normalize_gen_kwargs

    until = settings.get("until")
    stop = [] if until is None else [until] if isinstance(until, str) else until
    if not isinstance(stop, list) or not all(isinstance(one, str) and one for one in stop):
        raise RequestError(
            f"{where}: the generation setting 'until' is {until!r}; a text or a list of texts is expected, "
            "none of them empty, at which the answer ends (null or [] for none)."
        )
    for one in stop:
        check_characters(one, f"{where}: the generation setting 'until'")
    for name, value in settings.items():
        if name == "until" or (name in _LENGTHS and value is None):
            continue
        if name not in (*SAMPLING, *_LENGTHS, SKIP) and (name, value) != ("num_beams", 1):
            hint = did_you_mean(name, (*SAMPLING, "until", "max_gen_toks", SKIP), label="Supported settings")
            raise RequestError(f"{where}: the generation setting '{name}' is not supported. {hint}")
        _check_value(where, name, value)
    options = dict(normalize_gen_kwargs({**settings, "until": list(stop)}, default_new_tokens))
    max_new = int(options.pop("max_gen_toks"))
    options = {name: value for name, value in options.items() if name in SAMPLING}
    if not options["do_sample"]:
        return max_new, list(stop), {"do_sample": False} | _penalties(options)
    if float(options.get("temperature", 1.0)) <= 0.0:
        raise RequestError(f"{where}: do_sample with temperature 0 contradicts itself; set do_sample: false.")
    return max_new, list(stop), options


def _check_value(where: str, name: str, value: Any) -> None:
    if name in ("do_sample", SKIP):
        right, wanted = isinstance(value, bool), "true or false"
    elif name in _LENGTHS:
        right, wanted = type(value) is int and value >= 1, "a whole number of at least 1"
    elif name in ("top_k", "no_repeat_ngram_size", "num_beams"):
        right, wanted = type(value) is int and value >= 0, "a whole number"
    else:
        right, wanted = type(value) in (int, float) and 0 <= value < float("inf"), "a number of at least 0"
    if not right:
        raise RequestError(f"{where}: the generation setting '{name}' is {value!r}; {wanted} is expected.")


def _penalties(options: dict[str, Any]) -> dict[str, Any]:
    """Settings that count in greedy generation too."""
    return {name: options[name] for name in ("repetition_penalty", "no_repeat_ngram_size") if name in options}
