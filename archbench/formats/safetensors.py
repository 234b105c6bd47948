"""What safetensors files say in their headers: names, shapes and places of tensors, without loading any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from archbench.errors import RequestError
from archbench.formats.json_file import parse_json

_LARGEST_HEADER = 100_000_000
# Stored by old checkpoints; models compute them from their configuration.
_BUFFERS = (".inv_freq", ".masked_bias", ".causal_mask", ".position_ids", ".cos_cached", ".sin_cached")


@dataclass(frozen=True)
class Header:
    """What safetensors files say without being loaded.

    Attributes:
        shapes: Shape of every tensor, by name.
        metadata: Free text, merged.
        dtypes: The format's name of every tensor's type, by name.
    """

    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, str]
    dtypes: dict[str, str] = field(default_factory=dict)

    @property
    def numbers(self) -> int:
        """Numbers in all tensors."""
        return sum(prod(shape) for shape in self.shapes.values())


class Place(NamedTuple):
    """Where a tensor lies in a file.

    Attributes:
        dtype: As the header writes it, such as F32 or BF16.
        shape: Its shape.
        start: First byte, from the beginning of the file.
        end: The byte behind its last.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def tensor_places(file: Path) -> dict[str, Place]:
    """Where the tensors of a safetensors file lie, by name.

    Raises:
        RequestError: It is no safetensors file, or ends before its tensors do.
    """
    try:
        with file.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            header: Any = parse_json(stream.read(size)) if 0 < size < _LARGEST_HEADER else None
        header.pop("__metadata__", None)
        places = {}
        for name, one in header.items():
            start, end = (8 + size + int(offset) for offset in one["data_offsets"])
            if not 8 + size <= start <= end <= file.stat().st_size:
                raise ValueError(name)
            places[name] = Place(str(one["dtype"]), tuple(map(int, one["shape"])), start, end)
    except (OSError, ValueError, AttributeError, KeyError, TypeError, OverflowError):
        raise _damaged(file) from None
    return places


def read_header(file: Path) -> Header:
    """What the header of a safetensors file says.

    Raises:
        RequestError: It is no safetensors file.
    """
    try:
        with file.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            header: Any = parse_json(stream.read(size)) if 0 < size < _LARGEST_HEADER else None
        metadata = header.pop("__metadata__", {})
        shapes = {name: tuple(map(int, one["shape"])) for name, one in header.items()}
        dtypes = {name: str(one.get("dtype")) for name, one in header.items()}
        return Header(shapes, {str(key): str(value) for key, value in metadata.items()}, dtypes)
    except (OSError, ValueError, AttributeError, KeyError, TypeError, OverflowError):
        raise _damaged(file) from None


def _damaged(file: Path) -> RequestError:
    return RequestError(f"{file} cannot be read as a safetensors file: it is damaged or something else.")


def is_buffer(name: str, shape: Sequence[int]) -> bool:
    """Whether a tensor of a checkpoint is one that models compute: rotary frequencies, causal masks.

    Args:
        name: Its name.
        shape: Its shape; empty where it is not known.
    """
    if name.endswith((".attention.bias", ".attn.bias")):
        # A mask is [1, 1, length, length]; with one dimension it would be a layer's bias.
        return len(shape) == 4
    return name.endswith(_BUFFERS)
