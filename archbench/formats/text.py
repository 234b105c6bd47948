"""Text files in UTF-8, read whole: what is no such text is refused, and nothing in it is replaced."""

from __future__ import annotations

import codecs
from pathlib import Path

from archbench.errors import RequestError

_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # begins as UTF-16's does, so it comes first
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def read_text(path: Path) -> str:
    """Read a text, without the byte order mark that some editors write; line ends stay as they are.

    Args:
        path: The file.

    Raises:
        RequestError: It cannot be read, is not UTF-8, or holds NUL bytes.
    """
    try:
        return decoded(path, path.read_bytes())
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror or error}.") from error


def decoded(path: Path, content: bytes) -> str:
    """The text of a file's content; see `read_text`."""
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            raise RequestError(f"{path} is {encoding} text, and UTF-8 is expected. Save it as UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RequestError(
            f"{path} is not UTF-8 text: line {line} has the byte 0x{content[error.start]:02x}, which belongs "
            "to another encoding or to no text. Save it as UTF-8."
        ) from error
    if (at := text.find("\0")) >= 0:
        raise RequestError(
            f"{path} holds NUL bytes, the first in line {text.count(chr(10), 0, at) + 1}: it is damaged, or "
            "UTF-16 without a mark. Save it as UTF-8."
        )
    return text
