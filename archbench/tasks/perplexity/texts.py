"""Long texts cut into pieces of a wanted number of tokens, at the spaces between words."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from archbench.errors import RequestError, amount
from archbench.formats.text import read_text
from archbench.identity import content_digest, digest, file_digest
from archbench.paths import expanded
from archbench.tasks.files.alike import folded
from archbench.tasks.lengths import TokenCounter, token_counter

VERSION = 1
"""Raised whenever the same settings would cut a text elsewhere."""

# A word and the space before it: a tokenizer that splits at spaces joins nothing across such a cut.
_WORD = re.compile(r"\s*\S+")


class Text:
    """A text and how many tokens stand before each of its words.

    Attributes:
        name: The file, relative to the folder.
        ends: Where each word ends, in characters.
        before: Tokens before each word, and those of the whole text at the end; each word is counted alone.
        digest: Hex SHA-256 of the text, in which white space and case make no difference.
    """

    def __init__(self, name: str, text: str, count: TokenCounter) -> None:
        """Count the words of a text."""
        self.name, self._text = name, text
        self.digest = content_digest(folded(text))
        words = [match.group() for match in _WORD.finditer(text)]
        self.ends = [match.end() for match in _WORD.finditer(text)]
        self.before = [0, *accumulate(count.pieces(words))] if words else [0]

    @property
    def tokens(self) -> int:
        """Tokens of the whole text."""
        return self.before[-1]

    def word_at(self, token: int) -> int:
        """The first word with at least so many tokens before it."""
        return min(bisect_left(self.before, token), len(self.ends))

    def words(self, start: int, end: int) -> str:
        """Text from one word, the space before it included, up to another."""
        first = self.ends[start - 1] if start else 0
        return self._text[first : self.ends[end - 1]] if end > start else ""


def files_of(data: str) -> list[tuple[str, Path]]:
    """Names and paths of the texts that a file or folder holds.

    Raises:
        RequestError: There is no such file or folder, or no `.txt` in it.
    """
    path = expanded(data)
    if path.is_file():
        return [(path.name, path)]
    if not path.is_dir():
        raise RequestError(
            f"Perplexity data '{data}': there is no such file or folder. Name a text in UTF-8 or a folder of "
            ".txt files with tasks.<entry>.data, for example --set perplexity.data=book.txt."
        )
    found = sorted(file for file in path.rglob("*.txt") if file.is_file())
    if not found:
        raise RequestError(f"Perplexity data '{data}': the folder holds no .txt files.")
    return [(file.relative_to(path).as_posix(), file) for file in found]


def texts_digest(data: str) -> str:
    """Digest of the names and content of the texts."""
    return digest([[name, file_digest(path)] for name, path in files_of(data)])


def load_texts(data: str, tokenizer: str) -> list[Text]:
    """The texts of a file or folder, their words counted with a tokenizer (folder or hub id).

    Raises:
        RequestError: As for `files_of`; or a file is not UTF-8, has nothing in it or the same as another, or
            there is no tokenizer.
    """
    found: list[Text] = []
    known: dict[str, str] = {}
    for name, path in files_of(data):
        stat = path.stat()
        text = _text(name, path, tokenizer, stat.st_size, stat.st_mtime_ns)
        if (twin := known.setdefault(text.digest, name)) != name:
            raise RequestError(
                f"Perplexity data '{data}': {twin} and {name} hold the same text (white space and case "
                "aside), whose windows would count twice as if they were independent. Keep one of them."
            )
        found.append(text)
    return found


@lru_cache(maxsize=64)
def _text(name: str, path: Path, tokenizer: str, size: int, mtime: int) -> Text:
    """One text; size and time are there so that a changed file is read again."""
    text = read_text(path)
    if not text.strip():
        raise RequestError(f"{path} has no text in it. Delete it or fill it.")
    return Text(name, text, token_counter(tokenizer))


def by_context(
    texts: list[Text], contexts: list[int], context: int, target: int, windows: int, count: TokenCounter
) -> Iterator[dict[str, Any]]:
    """The same targets after contexts of one length.

    Args:
        texts: The texts.
        contexts: All context lengths that are compared, in tokens: a target has the longest before it.
        context: The length of this variant. A context begins with a whole word, so it may be a bit
            shorter.
        target: Tokens of a target; it ends with a whole word, so it may be some tokens longer.
        windows: Number of targets, spread evenly over the texts.
        count: Counts tokens.

    Yields:
        Items: `id`, `context`, `target`, `position` (tokens before the target), `tokens`, `bytes`,
        `passage` (shared by items that are not independent of each other).

    Raises:
        RequestError: The texts are too short, or the tokenizer cuts a target differently after a context.
    """
    longest = max(contexts)
    for text, slot in _spread(texts, longest, target, windows):
        word = text.word_at(longest + slot * target)
        end = text.word_at(text.before[word] + target)
        start = text.word_at(text.before[word] - context)
        start = min(start, word - 1) if context else word
        name = f"{text.name}:{slot}"
        yield _item(text, name, name, start, word, end, count)


def by_position(
    texts: list[Text], length: int, bucket: int, windows: int, count: TokenCounter
) -> Iterator[dict[str, Any]]:
    """Windows of one length, each cut into buckets that are scored after all of the window before them.

    Args:
        texts: The texts.
        length: Tokens of a window.
        bucket: Tokens of a bucket, to the next whole word.
        windows: Number of windows, spread evenly over the texts.
        count: Counts tokens.

    Yields:
        Items as `by_context` does; `position` is where in its window a bucket begins.

    Raises:
        RequestError: The texts are too short.
    """
    for text, slot in _spread(texts, 0, length, windows):
        first = text.word_at(slot * length)
        begin = text.before[first]
        for at in range(0, length, bucket):
            word, end = text.word_at(begin + at), text.word_at(begin + min(at + bucket, length))
            if end > word:
                name = f"{text.name}:{slot}"
                yield _item(text, f"{name}+{at}", name, first, word, end, count)


def _item(
    text: Text, name: str, passage: str, start: int, word: int, end: int, count: TokenCounter
) -> dict[str, Any]:
    context, target = text.words(start, word), text.words(word, end)
    tokens = count.tokens_after(context, target)
    if tokens is None:
        raise RequestError(
            f"Perplexity, {name}: with this tokenizer the text {target[:30]!r}... has other tokens after its "
            f"context, which ends in {context[-20:]!r}, than alone, so the same tokens cannot be scored "
            "after other contexts. Texts are cut at spaces, which this tokenizer does not keep apart."
        )
    return {
        "id": name,
        "context": context,
        "target": target,
        "position": text.before[word] - text.before[start],
        "tokens": tokens,
        "bytes": len(target.encode()),
        "passage": passage,
    }


def _spread(texts: list[Text], before: int, length: int, wanted: int) -> Iterator[tuple[Text, int]]:
    """Slots of a length, spread evenly over all that the texts have room for after so many tokens."""
    # One slot's worth is kept free at the end, since pieces run on to the end of a word.
    room = [max(0, (text.tokens - before) // length - 1) for text in texts]
    slots = [(text, slot) for text, number in zip(texts, room, strict=True) for slot in range(number)]
    if len(slots) < wanted:
        total = sum(text.tokens for text in texts)
        raise RequestError(
            f"Perplexity: the texts have room for {amount(len(slots), 'piece')} of {amount(length, 'token')}"
            f"{f' with {before} before each' if before else ''}, but {wanted} "
            f"{'is' if wanted == 1 else 'are'} requested (`windows`); "
            f"they have {amount(total, 'token')} in {amount(len(texts), 'file')}. Give more text, or request "
            "fewer or shorter ones."
        )
    for at in range(wanted):
        yield slots[(2 * at + 1) * len(slots) // (2 * wanted)]
