"""Which values the settings of a model's folder may have: odd ones are named before anything is loaded.

Loading a model or tokenizer with them would fail somewhere inside of transformers, or at the first text, or
not at all: a text such as "false" counts as true, and a generation_config.json that is no JSON as none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from archbench.checkpoint import CONFIG, GENERATION, TOKENIZER_CONFIG, tokenizer_files
from archbench.errors import RequestError
from archbench.formats.json_file import read_json, shown

_RULES_FILE = "tokenizer.json"
_TOKEN_MAP = "special_tokens_map.json"
_ADDED = "added_tokens.json"
_LARGEST_ID = 2**31

Rule = tuple[str, Callable[[Any], bool]]
"""What a setting is expected to be, in words and as a test; null always stands for leaving it out."""


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _id(value: Any) -> bool:
    return _whole(value) and abs(value) < _LARGEST_ID


def _length(value: Any) -> bool:
    # Tokenizers without a limit are saved with 1e30, as a fraction by some versions.
    return (_whole(value) or isinstance(value, float)) and value > 0 and math.isfinite(value)


def _token(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, Mapping) and isinstance(value.get("content"), str))


def _tokens(value: Any) -> bool:
    inner = value.values() if isinstance(value, Mapping) else value
    return isinstance(value, (list, Mapping)) and all(map(_token, inner))


def _added(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        key.isascii() and key.isdigit() and _token(one) for key, one in value.items()
    )


def _template(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(one, str) for one in value.values())
    named = value if isinstance(value, list) else []
    return isinstance(value, str) or (
        isinstance(value, list)
        and all(
            isinstance(one, Mapping) and all(isinstance(one.get(key), str) for key in ("name", "template"))
            for one in named
        )
    )


_IS_IDS: Rule = ("a token id or a list of them", lambda v: all(map(_id, v if isinstance(v, list) else [v])))
_IS_ID: Rule = ("a token id", _id)
_IS_TOKEN: Rule = ('a text, or an object with its text as "content"', _token)
_IS_TOKENS: Rule = ("a list of tokens, or an object that names them", _tokens)
_IS_FLAG: Rule = ("true or false", lambda value: isinstance(value, bool))
_IS_SIDE: Rule = ("'left' or 'right'", lambda value: value in ("left", "right"))

_IDS = {"eos_token_id": _IS_IDS, "bos_token_id": _IS_IDS, "pad_token_id": _IS_ID}
_SPECIAL = {
    **{f"{name}_token": _IS_TOKEN for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask")},
    **dict.fromkeys(("additional_special_tokens", "extra_special_tokens"), _IS_TOKENS),
}
_FLAGS = (
    *("add_bos_token", "add_eos_token", "add_prefix_space", "clean_up_tokenization_spaces"),
    *("do_lower_case", "split_special_tokens"),
)
_RULES: dict[str, dict[str, Rule]] = {
    CONFIG: _IDS,
    GENERATION: _IDS,
    TOKENIZER_CONFIG: {
        **_SPECIAL,
        **dict.fromkeys(_FLAGS, _IS_FLAG),
        **dict.fromkeys(("padding_side", "truncation_side"), _IS_SIDE),
        "model_max_length": ("a number of tokens above 0", _length),
        "tokenizer_class": ("the name of a class", lambda value: isinstance(value, str)),
        "added_tokens_decoder": ("an object of tokens by their ids", _added),
        "chat_template": ("a text, or a list of objects with name and template", _template),
    },
    _TOKEN_MAP: _SPECIAL,
}


def check_fields(path: Path) -> None:
    """Make sure that a JSON file of settings can be read, and that those have values that can be meant.

    Args:
        path: A file that exists, under its name in a model's folder.

    Raises:
        RequestError: It cannot, or one has not; names the file and the key.
    """
    fields = _object(path)
    rules: Mapping[str, Rule] = _RULES.get(path.name, {})
    if path.name == _ADDED:
        rules = dict.fromkeys(fields, _IS_ID)
    for key, (expected, is_one) in rules.items():
        value = fields.get(key)
        if value is not None and not is_one(value):
            raise RequestError(
                f"{path}: {key} is {shown(value)}; expected {expected}. Correct it, or save the "
                f"{_what(path)} again with save_pretrained(folder)."
            )


def check_tokenizer_fields(folder: Path) -> None:
    """Make sure that the JSON files of a tokenizer's folder can be read, and hold values that can be meant.

    Args:
        folder: A folder that holds a tokenizer.

    Raises:
        RequestError: As `check_fields` and `archbench.checkpoint.tokenizer_files`.
    """
    for path in tokenizer_files(folder):
        if path.name == _RULES_FILE:
            stat = path.stat()
            _check_rules(path, stat.st_size, stat.st_mtime_ns)
        elif path.name in _RULES or path.name == _ADDED:
            check_fields(path)


@lru_cache(maxsize=64)
def _check_rules(path: Path, size: int, mtime: int) -> None:
    """Let the library that reads tokenizer.json say whether it can; megabytes, so once per content."""
    from tokenizers import Tokenizer

    _object(path)
    try:
        Tokenizer.from_file(str(path))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of its Rust code is no Exception
        raise RequestError(
            f"{path} cannot be read as a tokenizer ({' '.join(str(error).split())[:300]}). Copy or download "
            "it again, or save the tokenizer again with save_pretrained(folder)."
        ) from None


def _object(path: Path) -> Mapping[str, Any]:
    try:
        fields = read_json(path)
    except (OSError, ValueError) as error:
        raise RequestError(
            f"{path} cannot be read: {' '.join(str(error).split())}. Copy or download it again, or save the "
            f"{_what(path)} again with save_pretrained(folder)."
        ) from None
    if not isinstance(fields, Mapping):
        raise RequestError(
            f"{path} holds {shown(fields)}; an object of settings by name was expected. Save the "
            f"{_what(path)} again with save_pretrained(folder)."
        )
    return fields


def _what(path: Path) -> str:
    return "model" if path.name in (CONFIG, GENERATION) else "tokenizer"
