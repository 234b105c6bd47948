"""Which tokens end a model's generations, by its files: read whole, or refused, never passed over.

transformers takes a generation_config.json that it cannot read for one that is not there.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archbench.checkpoint import CONFIG, GENERATION, read_fields
from archbench.errors import RequestError
from archbench.formats.json_file import read_json

_KEY = "eos_token_id"
# What ids are kept in.
_LARGEST = 2**31
_SHOWN = 60


def check_ends(folder: Path) -> None:
    """Make sure that the tokens that end generations can be read from a model's folder.

    Args:
        folder: The folder; generation_config.json may be missing.

    Raises:
        RequestError: generation_config.json is damaged, or names what are no token ids;
            config.json does, where it is missing.
    """
    path = folder / GENERATION
    if path.exists():
        token_ids(_fields(path).get(_KEY), f"{path}: {_KEY}")
        return
    fields = read_fields(folder / CONFIG)
    token_ids(fields.get(_KEY), f"{folder / CONFIG}: {_KEY}")
    if isinstance(inner := fields.get("text_config"), Mapping):
        token_ids(inner.get(_KEY), f"{folder / CONFIG}: text_config.{_KEY}")


def check_ends_loaded(folder: Path, used: Any) -> None:
    """Make sure that a model was loaded with the tokens that its generation_config.json names.

    Args:
        folder: Where it was loaded from.
        used: The `eos_token_id` that its generation settings have.

    Raises:
        RequestError: It was not.
    """
    path = folder / GENERATION
    if not path.exists():
        return
    where = f"{path}: {_KEY}"
    named = token_ids(_fields(path).get(_KEY), where)
    if named and set(named) != set(token_ids(used, where)):
        raise RequestError(
            f"{where} is {_shown(named)}, but transformers made {_shown(used)} of it. Save the model again "
            "with model.save_pretrained(folder)."
        )


def token_ids(value: Any, where: str) -> list[int]:
    """The token ids of a setting: one, a list of them, or none.

    Args:
        value: What the setting is.
        where: The file and the setting, for messages.

    Raises:
        RequestError: It is something else.
    """
    ids = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one < _LARGEST for one in ids):
        raise RequestError(
            f"{where} is {_shown(value)}; expected a token id (a whole number, 0 or more) or a list of them. "
            "Correct it, or save the model again with model.save_pretrained(folder)."
        )
    return ids


def _fields(path: Path) -> Mapping[str, Any]:
    """The fields of a generation_config.json."""
    again = "Correct it, or copy or download it again; without the file, config.json says how texts end."
    try:
        fields = read_json(path)
        marked = path.read_bytes().startswith(codecs.BOM_UTF8)
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} cannot be read: {' '.join(str(error).split())}. {again}") from None
    if marked:
        raise RequestError(
            f"{path} begins with a byte-order mark, with which transformers passes it over. Save it as UTF-8 "
            "without one."
        )
    if not isinstance(fields, Mapping):
        raise RequestError(f"{path} holds {_shown(fields)}; settings by name were expected. {again}")
    return fields


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
