"""Text to token ids, as a model is to read it: whole, nothing filled up, and no special tokens behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from archbench.errors import RequestError
from archbench.random_tokens import check_not_random

# Of one and of several tokens, and none; endings all differ.
_PROBES = ("", "a", "7", "The cat sat.", "  two spaces\nand a line", "Is 1 + 1 = 2?", "é", "日本語")
_FROM_VOCABULARY = 24
_IDS_ALONE = {"return_attention_mask": False, "return_token_type_ids": False, "verbose": False}


class Surroundings(NamedTuple):
    """Special tokens that a tokenizer puts around every text.

    Attributes:
        before: Ids in front of the text.
        after: Ids behind it.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]


class Encoder:
    """Encodes texts with a tokenizer, whatever its files say of truncation, padding and special tokens.

    Special tokens that the tokenizer puts before a text stay, except to a text that already begins with the
    prefix token's text (lm-eval's rule). Those that it puts behind are left out: what is scored or generated
    goes on from the text, not from its end.

    Attributes:
        prefix_token_id: The begin-of-text token or else the end-of-text token; None without either.
        surroundings: Special tokens that the tokenizer puts around every text.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Find out what a transformers tokenizer puts around texts.

        Raises:
            RequestError: That differs from text to text, or cannot be read off the text; or its ids are
                random, or it knows no text.
        """
        name = f"The tokenizer {tokenizer.name_or_path or type(tokenizer).__name__}"
        check_not_random(tokenizer, name)
        check_knows_texts(tokenizer, name)
        self._tokenizer = tokenizer
        ids = (tokenizer.bos_token_id, tokenizer.eos_token_id)
        self.prefix_token_id = next((int(one) for one in ids if one is not None), None)
        prefix = "" if self.prefix_token_id is None else str(tokenizer.decode(self.prefix_token_id))
        self._prefix_text = prefix or None
        self._fast = tokenizer.backend_tokenizer if getattr(tokenizer, "is_fast", False) else None
        self.surroundings = find_surroundings(
            lambda text: list(tokenizer(text, **_IDS_ALONE)["input_ids"]),
            lambda text: self.plain([text])[0],
            name=name,
            more=lambda: texts_of_vocabulary(tokenizer),
        )

    def begins_itself(self, text: str) -> bool:
        """Whether a text brings its own prefix token, so that no special tokens are added to it."""
        return self._prefix_text is not None and text.startswith(self._prefix_text)

    def plain(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of texts without any special tokens around them.

        Raises:
            RequestError: One is no text, or holds what is no character.
        """
        if not texts:
            return []
        for text in texts:
            check_characters(text, "A text to be encoded")
        found: list[list[int]] = self._tokenizer(list(texts), add_special_tokens=False, **_IDS_ALONE)[
            "input_ids"
        ]
        return found

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of texts with the special tokens that belong before them."""
        pairs = zip(texts, self.plain(texts), strict=True)
        return [
            [*(() if self.begins_itself(text) else self.surroundings.before), *ids] for text, ids in pairs
        ]

    def lengths(self, texts: Sequence[str], *, plain: bool = False) -> list[int]:
        """How many ids `encode`, or `plain`, gives for texts; faster than either."""
        if self._fast is None:
            found = map(len, self.plain(texts))
        else:
            for text in texts:
                check_characters(text, "A text to be counted")
            # A file may switch these on, and so may any call of the tokenizer.
            self._fast.no_truncation()
            self._fast.no_padding()
            self._fast.encode_special_tokens = self._tokenizer.split_special_tokens
            # Offsets and masks are most of an encoding's cost.
            found = map(len, self._fast.encode_batch_fast(list(texts), add_special_tokens=False))
        before = 0 if plain else len(self.surroundings.before)
        pairs = zip(texts, found, strict=True)
        return [count if self.begins_itself(text) else count + before for text, count in pairs]


def check_characters(text: Any, what: str) -> None:
    """Refuse what no tokenizer takes: half of a surrogate pair, as JSON's escapes may leave it, or no text.

    Args:
        text: What should be a text.
        what: What it is, for messages.

    Raises:
        RequestError: It is none, or holds such a half.
    """
    if not isinstance(text, str):
        raise RequestError(f"{what} is {text!r:.80}; a text was expected.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        at = error.start
        raise RequestError(
            f"{what} holds U+{ord(text[at]):04X}, half of a surrogate pair and no character by itself, at "
            f"place {at:,}: {text[max(0, at - 20) : at + 20]!r}. Texts that were cut or escaped wrongly hold "
            "such halves: correct the data."
        ) from None


def find_surroundings(
    whole: Callable[[str], list[int]],
    plain: Callable[[str], list[int]],
    *,
    name: str,
    more: Callable[[], Iterable[str]] = tuple,
) -> Surroundings:
    """What special tokens stand around every text.

    Args:
        whole: Encodes a text with special tokens.
        plain: Encodes it without.
        name: How a message calls the tokenizer.
        more: Further texts, read where a few do not settle it.

    Raises:
        RequestError: It is not the same for all texts, cannot be read off the text, or every text ends with
            the same token even without special tokens.
    """
    texts = list(_PROBES)
    bare = [plain(text) for text in texts]
    full = [whole(text) for text in texts]
    found = _common(full, bare)
    if len(found) > 1 or _constant_end(bare):
        extra = [text for text in more() if text]
        bare += [plain(text) for text in extra]
        full += [whole(text) for text in extra]
        found = _common(full, bare)
    if end := _constant_end(bare):
        raise RequestError(
            f"{name} ends every text with token {end}, even where no special tokens are requested (its "
            "normalizer or pre-tokenizer adds it), so nothing can be scored behind a text. Take that step "
            "out of tokenizer.json."
        )
    if len(found) != 1:
        shown = next((f"{b} becomes {f}" for f, b in zip(full, bare, strict=True) if b and f != b), "")
        raise RequestError(
            f"{name} adds special tokens to texts in a way that cannot be read off the text itself "
            f"({'it differs from text to text' if not found else 'several readings fit'}; {shown}). "
            "Expected are the same tokens before and behind every text: correct post_processor in "
            "tokenizer.json, or remove it."
        )
    return found.pop()


def _common(full: Sequence[Sequence[int]], bare: Sequence[Sequence[int]]) -> set[Surroundings]:
    """What may stand around every text, given ids with and without it."""
    found: set[Surroundings] | None = None
    for whole, text in zip(full, bare, strict=True):
        here = {
            Surroundings(tuple(whole[:at]), tuple(whole[at + len(text) :]))
            for at in range(len(whole) - len(text) + 1)
            if list(whole[at : at + len(text)]) == list(text)
        }
        found = here if found is None else found & here
    return found or set()


def _constant_end(bare: Sequence[Sequence[int]]) -> int | None:
    """The token that all texts end with; None too where it is the only one (a vocabulary without them)."""
    texts = [ids for ids in bare if ids]
    ends = {ids[-1] for ids in texts}
    return ends.pop() if len(ends) == 1 and any(set(ids) != ends for ids in texts) else None


def check_knows_texts(tokenizer: Any, name: str) -> None:
    """Refuse a tokenizer to which every text is nothing, or nothing but unknown tokens.

    transformers makes one of a folder whose vocabulary is missing, or of another kind than its class reads.

    Args:
        tokenizer: A transformers tokenizer.
        name: How a message calls it.

    Raises:
        RequestError: It is such a one.
    """
    empty = {*tokenizer.all_special_ids}
    for texts in (_PROBES, texts_of_vocabulary(tokenizer)):
        found = tokenizer([*texts, ""], add_special_tokens=False, **_IDS_ALONE)["input_ids"]
        known = {one for ids in found for one in ids} - empty
        if any(tokenizer.decode([one]).strip() for one in known):
            return
    raise RequestError(
        f"{name} ({len(tokenizer)} tokens) gives texts no tokens but unknown ones: its vocabulary is missing "
        "or not in the files that its class reads. Copy tokenizer.json, or the files of its vocabulary, "
        "into the tokenizer's folder, or correct tokenizer_class in tokenizer_config.json."
    )


def texts_of_vocabulary(tokenizer: Any) -> Iterable[str]:
    """Texts of single tokens from all over a tokenizer's vocabulary, which are sure to have different ids."""
    size = len(tokenizer)
    # Added tokens are taken out of a text before it is normalized.
    added = tokenizer.added_tokens_decoder
    for token in range(0, size, max(1, size // _FROM_VOCABULARY)):
        if token not in added:
            yield str(tokenizer.decode([token]))
