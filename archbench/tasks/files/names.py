"""Files of names, one a line: for phonebooks and needles instead of archbench's own names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from archbench.errors import RequestError
from archbench.formats.text import read_text
from archbench.tasks.files.alike import folded


def read_names(file: Path) -> tuple[str, ...]:
    """Read a file of names.

    Args:
        file: Text in UTF-8 with a name a line; empty lines are passed over.

    Returns:
        The names, in the file's order.

    Raises:
        RequestError: It cannot be read, is empty, names somebody twice (white space and case
            aside), or a name has a colon in it.
    """
    try:
        lines = read_text(file).splitlines()
    except RequestError as error:
        raise RequestError(f"Names are read from a text file in UTF-8, a name a line: {error}") from error
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise RequestError(f"{file}: there is no name in it; names stand one a line.")
    for name in names:
        if ":" in name:
            raise RequestError(
                f"{file}: the name '{name}' has a colon in it, which would end the name in a phonebook."
            )
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise RequestError(f"{file}: the name '{twice}' is there more than once; each may come once.")
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(folded(name), name)) != name:
            raise RequestError(
                f"{file}: the names '{other}' and '{name}' differ in white space or case alone, and whose "
                "number is meant could not be known; keep one of them."
            )
    return names
