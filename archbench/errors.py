"""The errors that users see, and the nearest-name hint they carry.

ArchbenchError          anything archbench refuses or fails at; one paragraph, no traceback
├── RequestError        the request is wrong (suite, name, data, option): exit code 2
└── RunError            the request was fine, doing it failed: exit code 1
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ArchbenchError(Exception):
    """Base of every error that archbench raises on purpose.

    The message is one paragraph that says which file and key are meant, what was expected and what to
    do next. The command line prints it as it is and exits with `exit_code`.
    """

    exit_code = 1


class RequestError(ArchbenchError):
    """The request itself is wrong; nothing has been run."""

    exit_code = 2


class RunError(ArchbenchError):
    """A well-formed request failed while it was carried out."""

    exit_code = 1


def amount(number: int, noun: str, plural: str | None = None) -> str:
    """A number of things in words: `1 item`, `2,000 items`, `1 item is`, `2 items are`.

    Args:
        number: How many.
        noun: What one is called; its verb may follow, and the plural is given then.
        plural: What several are called; the noun and an s where left out.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def unwritable(text: str) -> str | None:
    """Why a text cannot be written to any file; None where it can be.

    Surrogates come from bytes of a command line or a file name that are not UTF-8, and from escapes of one
    half of a character.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = ord(text[error.start])
        return (
            f"character {error.start + 1:,} of it is U+{half:04X}, a surrogate, which is no character of its "
            "own and cannot be written in UTF-8"
        )
    return None


def writable(text: str) -> str:
    """A text as messages can repeat it: surrogates as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def did_you_mean(name: str, known: Iterable[str], *, label: str = "Known") -> str:
    """Say which of the known names is nearest, or list them.

    Args:
        name: What the user wrote.
        known: The valid names.
        label: What the list of all names is introduced with.

    Returns:
        One or two sentences beginning with a capital letter, for the end of an error message.
    """
    names = sorted(known)
    if not names:
        return f"{label}: none."
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    listed = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return (f"Did you mean '{near[0]}'? " if near else "") + f"{label}: {listed}."
