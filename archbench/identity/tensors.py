"""What weights are: names, dtypes, shapes and bytes of tensors, wherever they lie."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from archbench.checkpoint import INDEX, weight_files
from archbench.errors import RequestError
from archbench.formats.safetensors import Place, tensor_places
from archbench.identity.digests import digest

_CHUNK = 4 * 2**20
_T = TypeVar("_T")
_R = TypeVar("_R")

# What torch calls the dtypes of safetensors.
_DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
}


class TensorContent(NamedTuple):
    """One tensor, as it enters a digest.

    Attributes:
        name: Its name.
        dtype: As torch calls it, without `torch.`.
        shape: Its shape.
        content: SHA-256 of its bytes, in hex.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    content: str


def tensors_digest(tensors: Iterable[TensorContent]) -> str:
    """Digest of tensors, whatever their order."""
    return digest(sorted(tensors))


def weights_digest(folder: Path) -> str:
    """Digest of the tensors that the weights of a folder hold.

    How they are cut into files, and what the files' headers say besides, does not enter. The files are read
    in pieces of some megabytes, several at once, and once per process as long as they stay as they are.

    Args:
        folder: A model's folder.

    Returns:
        64 hex digits.

    Raises:
        RequestError: The folder holds no weights or more than one set of them, or a file is damaged.
    """
    found: list[TensorContent] = []
    for file in weight_files(folder):
        if file.name != INDEX:
            stat = file.stat()
            found += _in_file(file, stat.st_size, stat.st_mtime_ns)
    return tensors_digest(found)


def in_parallel(work: Callable[[_T], _R], values: Iterable[_T]) -> list[_R]:
    """Results in the order of the values. hashlib releases the interpreter lock, so threads hash at once."""
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(work, values))


@lru_cache(maxsize=1024)
def _in_file(file: Path, size: int, mtime: int) -> tuple[TensorContent, ...]:
    """Size and time are there so that a file changed within the process is read again."""

    def content(named: tuple[str, Place]) -> TensorContent:
        name, place = named
        return TensorContent(
            name, _DTYPES.get(place.dtype, place.dtype), place.shape, _sha256(file, place.start, place.end)
        )

    return tuple(in_parallel(content, tensor_places(file).items()))


def _sha256(file: Path, start: int, end: int) -> str:
    """SHA-256 of a stretch of a file, read in pieces."""
    found = hashlib.sha256()
    piece = memoryview(bytearray(min(_CHUNK, end - start)))
    with file.open("rb", buffering=0) as stream:
        stream.seek(start)
        while start < end:
            read = stream.readinto(piece[: end - start])
            if not read:
                raise RequestError(f"{file} is damaged: it ends before its tensors do.")
            found.update(piece[:read])
            start += read
    return found.hexdigest()
