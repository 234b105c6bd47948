"""Which files of a folder make up a model and its tokenizer: what is read, and so what identifies them.

Whoever digests, downloads or reads a model or a tokenizer takes the list of its files from here, so that a
file cannot be read by one and be unknown to another. A folder that can be read in two ways, or that names
files outside of it, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from archbench.errors import RequestError, amount
from archbench.formats.json_file import read_json
from archbench.formats.safetensors import Header, read_header

CONFIG = "config.json"
GENERATION = "generation_config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"

TOKENIZER_FILES = (
    "tokenizer.json",
    TOKENIZER_CONFIG,
    "tokenizer.*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "additional_chat_templates/*.jinja",
    "vocab.*",
    "vocab-*.json",
    "*_vocab.json",
    "merges.txt",
    "*.model",
    "tokenizer.model.*",
    "*.spm",
    "*.tiktoken",
    "tekken.json",
    "bpe.codes",
    "byte_maps.json",
    "dict.txt",
    "emoji.json",
    "normalizer.json",
    "prophetnet.tokenizer",
    "word_*.json",
)
"""Patterns of the files of a folder that make up its tokenizer."""

MODEL_FILES = (CONFIG, GENERATION, INDEX, "*.safetensors", ADAPTER)
"""Patterns of the files of a hub repository that make up its model, or show that there is more to it."""

# Those of them that hold no vocabulary, without which a tokenizer knows no text.
_WITHOUT_VOCABULARY = (
    *(TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"),
    *("additional_chat_templates/*.jinja", "merges.txt", "emoji.json", "normalizer.json"),
)
_VOCABULARIES = tuple(one for one in TOKENIZER_FILES if one not in _WITHOUT_VOCABULARY)
# Their tokens are bytes or characters.
_NEED_NO_VOCABULARY = ("ByT5Tokenizer", "CanineTokenizer", "DiaTokenizer", "PerceiverTokenizer")
# Copies of the weights for other readers: Mistral's own layout, and transformers' variants (model.fp16.…).
_COPIES = re.compile(r"consolidated[\w.-]*\.safetensors|model\.[\w-]+\.safetensors")
# Settings of a tokenizer that hold its parts; as a text, each is the path of a file that is opened.
_PATHS = ("vocab", "merges", "gguf_file")
_PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt"})


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds a tokenizer and its vocabulary in one of the layouts that transformers reads."""
    named = read_fields(folder / TOKENIZER_CONFIG).get("tokenizer_class")
    if isinstance(named, str) and named.removesuffix("Fast") in _NEED_NO_VOCABULARY:
        return True
    return any(file.is_file() for pattern in _VOCABULARIES for file in folder.glob(pattern))


def tokenizer_files(folder: Path) -> list[Path]:
    """Files of a folder that decide how its tokenizer encodes and decodes, sorted.

    Raises:
        RequestError: tokenizer_config.json names files outside of the folder, or config.json other ones.
    """
    _check_one_config(folder)
    _check_tokenizer_config(folder)
    found = {file for pattern in TOKENIZER_FILES for file in folder.glob(pattern) if file.is_file()}
    return sorted(found)


def model_files(folder: Path) -> list[Path]:
    """Files of a folder that decide what its model answers: configurations and weights, sorted.

    Raises:
        RequestError: As `weight_files`, or config.json names others to be read in its place.
    """
    _check_one_config(folder)
    settings = (folder / name for name in (CONFIG, GENERATION))
    return sorted({*(file for file in settings if file.is_file()), *weight_files(folder)})


def weight_files(folder: Path) -> list[Path]:
    """Files that the weights of a folder are read from: one, or an index and the shards that it names.

    Raises:
        RequestError: There are none, or two sets of them, or an adapter as well; or the index names what is
            no safetensors file of the folder.
    """
    _check_no_adapter(folder)
    single, index = folder / WEIGHTS, folder / INDEX
    if index.is_file():
        shards = _shards(index)
        if single.is_file() and shards != {WEIGHTS}:
            raise RequestError(
                f"{folder} holds two sets of weights: {WEIGHTS}, and {', '.join(_few(shards))} named by "
                f"{INDEX}. Nothing says which are meant: keep one set in the folder (for the single file, "
                "move the index and its shards away)."
            )
        found = [index, *(folder / name for name in sorted(shards))]
    elif single.is_file():
        found = [single]
    else:
        raise RequestError(f"The model folder {folder} has no weights{_instead_of_weights(folder)}")
    named = {file.name for file in found}
    strays = sorted(file.name for file in _others(folder, named) if not _COPIES.fullmatch(file.name))
    if strays:
        where = f"{INDEX} does not name" if index.is_file() else f"are not read next to {WEIGHTS}"
        which = f"{where} them" if index.is_file() else where
        raise RequestError(
            f"{folder} holds weights that would not be read: {', '.join(_few(strays))}; {which}. They may be "
            "left over from another save, or the index may be missing. Move them to another folder, or save "
            "the model again into an empty one with model.save_pretrained(folder)."
        )
    return found


def unread_copies(folder: Path) -> list[str]:
    """Names of a folder's copies of the weights for other readers, which are not read, sorted."""
    return sorted(file.name for file in _others(folder, ()) if _COPIES.fullmatch(file.name))


def read_fields(file: Path) -> dict[str, Any]:
    """The fields of a JSON file; none where it is not there or holds something else."""
    try:
        value = read_json(file)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def read_headers(folder: Path) -> Header:
    """What the headers of all files say that the weights of a folder are read from.

    Raises:
        RequestError: As `weight_files` and `read_header`.
    """
    whole = Header({}, {})
    for file in weight_files(folder):
        if file.name != INDEX:
            header = read_header(file)
            whole = Header(
                whole.shapes | header.shapes,
                whole.metadata | header.metadata,
                whole.dtypes | header.dtypes,
            )
    return whole


def is_plain(name: str) -> bool:
    """Whether a name is that of a file in the folder itself, on any system."""
    return name not in ("", ".", "..") and name == PurePosixPath(name).name == PureWindowsPath(name).name


def _check_one_config(folder: Path) -> None:
    """Refuse a configuration that has another one read in its place, by the version of transformers."""
    named = read_fields(folder / CONFIG).get("configuration_files")
    if named and named != [CONFIG]:
        raise RequestError(
            f"{folder / CONFIG}: configuration_files names {named!r}, of which transformers reads one in "
            f"its place, depending on its version. Only {CONFIG} is read here: rename the file that is meant "
            f"to {CONFIG}, and remove the setting."
        )


def _check_no_adapter(folder: Path) -> None:
    """Refuse a folder with an adapter, which transformers applies or not by what else is installed."""
    names = (file.name for file in folder.glob("adapter_*"))
    found = sorted(name for name in names if name == ADAPTER or name.startswith("adapter_model."))
    if found:
        raise RequestError(
            f"{folder} holds a PEFT adapter ({', '.join(found)}), which would change the model and is not "
            "applied here. Merge it into the weights first (peft: "
            "model.merge_and_unload().save_pretrained(DIR)) and name DIR; to evaluate the weights without "
            "it, move the adapter's files to another folder."
        )


def _shards(index: Path) -> set[str]:
    """Names of the files that an index names, once they are found to hold what it says."""
    try:
        fields = read_json(index)
    except (OSError, ValueError) as error:
        raise RequestError(f"{index} is not valid JSON: {error}.") from None
    named = fields.get("weight_map") if isinstance(fields, dict) else None
    if not isinstance(named, dict) or not named or not all(isinstance(one, str) for one in named.values()):
        raise RequestError(
            f"{index}: weight_map was expected to give the file of each tensor by name, as "
            "model.save_pretrained(folder, max_shard_size=…) writes it."
        )
    if not isinstance(fields.get("metadata"), dict):
        raise RequestError(
            f"{index}: metadata was expected next to weight_map, as model.save_pretrained(folder) writes it; "
            'transformers reads no index without. Write "metadata": {} into it, or save the model again.'
        )
    for tensor, name in named.items():
        if not is_plain(name) or not name.endswith(".safetensors"):
            raise RequestError(
                f"{index}: weight_map names the file '{name}' for {tensor}. Only *.safetensors files of the "
                "folder itself are read: another kind may be a pickle, which can run code, and another "
                "folder is no part of the model. Save the model again with model.save_pretrained(folder)."
            )
    names = set(named.values())
    if lost := sorted(name for name in names if not (index.parent / name).is_file()):
        raise RequestError(
            f"{index} names files that do not exist: {', '.join(_few(lost))}. Copy or download the rest, or "
            "save the model again with model.save_pretrained(folder)."
        )
    places: dict[str, str] = {}
    for name in sorted(names):
        for tensor in read_header(index.parent / name).shapes:
            if (other := places.setdefault(tensor, name)) != name:
                raise RequestError(
                    f"{index.parent}: the tensor {tensor} is in {other} and in {name}, and only one of them "
                    "would be read. The shards come from different saves: save the model again into an empty "
                    "folder."
                )
    if wrong := [tensor for tensor, name in named.items() if places.get(tensor) != name]:
        raise RequestError(
            f"{index} names {amount(len(wrong), 'tensor that is', 'tensors that are')} not in the files "
            "it gives: "
            f"{', '.join(_few(wrong))}. The index and the shards come from different saves: save the model "
            "again into an empty folder."
        )
    return names


def _check_tokenizer_config(folder: Path) -> None:
    """Refuse a tokenizer whose configuration names files outside of the folder."""
    path = folder / TOKENIZER_CONFIG
    fields = read_fields(path)
    versions = fields.get("fast_tokenizer_files") or []
    for name in versions if isinstance(versions, list) else [versions]:
        if not isinstance(name, str) or not is_plain(name):
            raise RequestError(
                f"{path}: fast_tokenizer_files names {name!r}; expected a list of files of the folder itself."
            )
        if not _is_tokenizer_file(name):
            raise RequestError(
                f"{path}: fast_tokenizer_files names {name!r}, which transformers may read in place of "
                "tokenizer.json and which is no part of the tokenizer's identity. Call it tokenizer.json or "
                "tokenizer.VERSION.json, in the folder and in the setting."
            )
        if not (folder / name).is_file():
            raise RequestError(
                f"{path}: fast_tokenizer_files names {name!r}, which does not exist; transformers may go on "
                "without a vocabulary. Copy it into the folder, or take it out of the setting."
            )
    for key in _PATHS:
        if isinstance(named := fields.get(key), str):
            raise RequestError(
                f"{path}: {key} names '{named}', a file that is no part of the tokenizer's folder and would "
                f"be read in place of what is there. Remove '{key}'."
            )
    for key, value in _texts(fields):
        # Paths on their author's machine are common and without effect; a file that exists may be opened.
        if not is_plain(value) and _is_file(value):
            raise RequestError(
                f"{path}: {key} names '{value}', a file outside of the folder, which is no part of the "
                f"tokenizer. Copy it into the folder and remove '{key}'."
            )


def _is_tokenizer_file(name: str) -> bool:
    """Whether a file of this name is one of those that make up a folder's tokenizer."""
    return any(fnmatchcase(name, pattern) for pattern in TOKENIZER_FILES)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # too long for a name
        return False


def _texts(fields: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every text of a configuration, by the name of the outermost setting that holds it."""
    for key, value in fields.items():
        inner = [value]
        while inner:
            one = inner.pop()
            if isinstance(one, str):
                yield key, one
            elif isinstance(one, (dict, list)):
                inner += one.values() if isinstance(one, dict) else one


def _others(folder: Path, named: Iterable[str]) -> list[Path]:
    """Further safetensors files of a folder; hidden ones are the system's."""
    return [
        file
        for file in folder.glob("*.safetensors")
        if file.name not in named and not file.name.startswith(".")
    ]


def _instead_of_weights(folder: Path) -> str:
    """What a folder without weights holds, and what to do: the end of a message."""
    others = sorted(file.name for file in _others(folder, ()))
    if others:
        return (
            f" under the names that transformers reads ({WEIGHTS}, or {INDEX} and its shards), but "
            f"{', '.join(_few(others))}. Save the model again with model.save_pretrained(folder)."
        )
    pickles = sorted(file.name for file in folder.iterdir() if file.suffix in _PICKLES)
    if pickles:
        return (
            f"; {', '.join(_few(pickles))} would have to be unpickled, which can run code: load it where you "
            "trust it and save it again with model.save_pretrained(folder)."
        )
    inside = sorted(file.parent.name for file in folder.glob(f"*/{CONFIG}"))
    if inside:
        return f". Models lie in its folders {', '.join(_few(inside))}: name one of them."
    return f" (expected {WEIGHTS}, as model.save_pretrained(folder) writes it)."


def _few(names: Iterable[str]) -> list[str]:
    """The first of some names."""
    listed = sorted(names)
    return listed if len(listed) <= 4 else [*listed[:4], f"{len(listed) - 4} more"]
