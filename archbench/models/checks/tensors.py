"""Do the headers of a folder's safetensors files describe tensors that are in them?"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from archbench.checkpoint import INDEX, WEIGHTS, is_plain, read_fields
from archbench.errors import RequestError, amount
from archbench.formats.json_file import parse_json, shown

_LARGEST_HEADER = 100_000_000  # the format's own bound
_MOST = 2**63  # what a size or an offset is kept in
_AGAIN = (
    "The file is damaged or cut short: copy or download it again, or save the model again with "
    "model.save_pretrained(folder)."
)


def check_tensors(folder: Path) -> None:
    """Make sure that every file of weights that is read describes tensors that it holds.

    Raises:
        RequestError: One does not; names the file, and the tensor and key of its header.
    """
    named = read_fields(folder / INDEX).get("weight_map")
    shards = named.values() if isinstance(named, Mapping) else ()
    for name in sorted({WEIGHTS, *(one for one in shards if isinstance(one, str) and is_plain(one))}):
        if (folder / name).is_file() and name.endswith(".safetensors"):
            check_tensor_file(folder / name)


def check_tensor_file(file: Path) -> None:
    """Make sure that a safetensors file describes tensors that it holds; none is loaded.

    Raises:
        RequestError: It does not.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or not 0 < length <= min(size - 8, _LARGEST_HEADER):
            raise RequestError(
                f"{file} cannot be read as a safetensors file: it has {amount(size, 'byte')} and no "
                f"header. {_AGAIN}"
            )
        content = stream.read(length)
    try:
        header = parse_json(content)
    except ValueError as error:
        raise RequestError(
            f"{file} cannot be read as a safetensors file: its header is no JSON ({error}). {_AGAIN}"
        ) from None
    if not isinstance(header, Mapping):
        raise RequestError(f"{file} cannot be read as a safetensors file: its header names nothing. {_AGAIN}")
    for name, one in header.items():
        if name != "__metadata__":
            _check_tensor(f"{file}: the header's tensor {name!r}", one, size - 8 - length)
    # What is left (types, gaps, texts) is judged by the library that will read the file.
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np"):
            pass
    except (SafetensorError, OSError) as error:
        raise RequestError(f"{file} cannot be read as a safetensors file ({error}). {_AGAIN}") from None


def _check_tensor(where: str, described: Any, size: int) -> None:
    """Refuse a description that is of no tensor among `size` bytes."""
    if not isinstance(described, Mapping):
        raise RequestError(
            f"{where} is {shown(described)}; dtype, shape and data_offsets were expected. {_AGAIN}"
        )
    shape, offsets = _sizes(described.get("shape")), _sizes(described.get("data_offsets"))
    if shape is None or prod(max(1, one) for one in shape) >= _MOST:
        raise RequestError(
            f"{where} has the shape {shown(described.get('shape'))}; a list of sizes was expected. {_AGAIN}"
        )
    if offsets is None or len(offsets) != 2 or not offsets[0] <= offsets[1] <= size:
        raise RequestError(
            f"{where} has data_offsets {shown(described.get('data_offsets'))}; its begin and end among "
            f"the {size:,} bytes behind the header was expected. {_AGAIN}"
        )


def _sizes(value: Any) -> list[int] | None:
    """A list of sizes; None where it is something else."""
    if isinstance(value, list) and all(
        isinstance(one, int) and not isinstance(one, bool) and 0 <= one < _MOST for one in value
    ):
        return value
    return None
