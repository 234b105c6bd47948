"""Text to token ids and back, with lm-eval's rules about special tokens."""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from archbench.errors import RequestError, RunError
from archbench.tokens import Encoder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


# A tokenizer's own record of a text is many times as large as the ids.
_TOGETHER = 256


def compact(ids: Iterable[int]) -> array[int]:
    """Token ids in four bytes each; a list of numbers takes nine times as much."""
    return array("I", ids)


def spanning(spanned: int, pairs: int, exact: bool) -> str:
    """The warning where tokens span the border of context and continuation.

    Args:
        spanned: In how many requests one does.
        pairs: Of how many.
        exact: Whether the border is "exact"; else it is "lm_eval".
    """
    how = (
        "that token is scored whole, less the log-likelihood of the context's own tokens in its place "
        "(docs/engine.md). Differences between options after one context are exact; such a score by itself, "
        "and so acc_norm and acc_token, rests on that convention"
        if exact
        else "what is scored there are not the tokens of the text, as in lm-eval; engine.border: exact "
        "scores the text's own"
    )
    return (
        f"in {spanned:,} of {pairs:,} scored continuations a token spans the border to the context: {how}. "
        "Begin continuations with a space (target_delimiter in the task) to avoid it."
    )


class IdsOfPair(NamedTuple):
    """A context and its continuation.

    Attributes:
        context: Ids of what is given: never empty.
        continuation: Ids of what is scored.
        shared: Ids of what stands of the context in `continuation`, as the context alone has them: their
            log-likelihood after `context` is subtracted. Empty where the score begins at the border.
        own: How many of the whole text's tokens hold some of the continuation: at least one.
        spans: Whether a token of the whole text spans the border of the two.
    """

    context: array[int]
    continuation: array[int]
    shared: array[int]
    own: int
    spans: bool

    @property
    def lengths(self) -> tuple[int, int]:
        """How many tokens stand in the context alone, and how many hold some of the continuation."""
        return len(self.context) + len(self.continuation) - self.own, self.own

    @property
    def longest(self) -> int:
        """Tokens of the longest input that the score takes; what is predicted last is never fed."""
        return len(self.context) + max(len(self.continuation), len(self.shared)) - 1


class Codec:
    """A tokenizer under the rules of lm-eval's `HFLM`, so that both see the same tokens.

    Special tokens are added before a text as the tokenizer does by default, except to text that already
    begins with the prefix token's text; what it would add behind a text is left out. An empty context is
    replaced by the prefix token.

    The two settings of the border differ in two places. Where a token spans the border of context
    and continuation, `exact` scores the whole text's own tokens from the last one that it has in common with
    the context, and subtracts the log-likelihood of the context's own tokens from there on. `lm_eval` puts
    what is left of the whole text after as many tokens behind the context's tokens, which then spell another
    text. In a text scored by itself, `exact` counts each of its own tokens once, after the prefix
    token; `lm_eval` also counts special tokens that the tokenizer puts before it.

    Attributes:
        tokenizer: The transformers tokenizer.
        eos_token_id: Id of the end-of-text token.
        prefix_token_id: Id of the begin-of-text token or else the end-of-text token.
        exact: Whether the border is "exact".
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, exact: bool = True) -> None:
        """Wrap a tokenizer.

        Args:
            tokenizer: The tokenizer.
            exact: Whether the border is "exact"; else it is "lm_eval".

        Raises:
            RequestError: It has no end-of-text token, or it adds special tokens in no regular way.
        """
        if tokenizer.eos_token_id is None:
            raise RequestError(
                f"The tokenizer {tokenizer.name_or_path or type(tokenizer).__name__} has no eos_token, which "
                "ends generations and stands in for an empty context. Set tokenizer.eos_token and save it."
            )
        self.tokenizer = tokenizer
        self.eos_token_id = int(tokenizer.eos_token_id)
        self._encoder = Encoder(tokenizer)
        self.prefix_token_id = cast("int", self._encoder.prefix_token_id)
        self.exact = exact
        self._known: dict[str, array[int]] = {}

    @contextlib.contextmanager
    def primed(self, texts: Iterable[str]) -> Iterator[None]:
        """Encode many texts in parallel, and answer for them from memory inside the block."""
        distinct = list(dict.fromkeys(texts))
        try:
            for first in range(0, len(distinct), _TOGETHER):
                some = distinct[first : first + _TOGETHER]
                self._known.update(zip(some, map(compact, self._encoder.encode(some)), strict=True))
            yield
        finally:
            self._known.clear()

    def encode(self, text: str, add_special_tokens: bool | None = None) -> list[int]:
        """Token ids of a text; `add_special_tokens=None` applies the rule of the class."""
        if add_special_tokens is None:
            known = self._known.get(text)
            return self._encoder.encode([text])[0] if known is None else known.tolist()
        (ids,) = self._encoder.plain([text])
        return [*self._encoder.surroundings.before, *ids] if add_special_tokens else ids

    def encode_compact(self, text: str) -> array[int]:
        """As `encode` by the rule of the class, in an array."""
        known = self._known.get(text)
        return compact(self.encode(text)) if known is None else known

    def encode_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[IdsOfPair]:
        """Ids of contexts and their continuations.

        Args:
            pairs: What comes before, and what is scored after it; the prefix token stands in for an empty
                context.

        Raises:
            RunError: A continuation has no token of its own.
        """
        texts = (
            text for context, continuation in pairs for text in (context.rstrip(), context + continuation)
        )
        with self.primed(text for text in texts if text):
            found = [self._encode_pair(*pair) for pair in pairs]
        for index, (pair, one) in enumerate(zip(pairs, found, strict=True)):
            if not one.continuation:
                raise _nothing_to_score(f"Request {index}", *pair, merges=not self.exact)
        return found

    def _encode_pair(self, context: str, continuation: str) -> IdsOfPair:
        stand_in, nothing = compact([self.prefix_token_id]), compact(())
        if not context:
            (ids,) = map(compact, self._encoder.plain([continuation]))
            ids = ids[1:] if ids[:1] == stand_in else ids
            return IdsOfPair(stand_in, ids, nothing, len(ids), spans=False)
        # Spaces at the end belong to the continuation's first token. Of a context of only spaces nothing
        # is left.
        before, whole = self.encode_compact(context.rstrip()), self.encode_compact(context + continuation)
        common = len(before)
        if whole[:common] != before:
            common = next(at for at in range(common) if whole[at : at + 1] != before[at : at + 1])
        spans = common < len(before)
        if not spans or not self.exact:
            rest = whole[len(before) :]
            return IdsOfPair(before or stand_in, rest, nothing, len(rest), spans)
        rest, shared = whole[common:], before[common:]
        own = len(rest) - self._inside(rest.tolist(), shared.tolist())
        return IdsOfPair(before[:common] or stand_in, rest, shared, own, spans)

    def _inside(self, rest: list[int], shared: list[int]) -> int:
        """How many of some tokens hold nothing but text of `shared`; the last is never one of them."""
        text = self.decode(shared, skip_special_tokens=False)
        inside = 0
        while inside + 1 < len(rest):
            if not text.startswith(self.decode(rest[: inside + 1], skip_special_tokens=False)):
                break
            inside += 1
        return inside

    def encode_text(self, text: str) -> list[int]:
        """Token ids of a text that is scored by itself, all of which are predicted.

        Raises:
            RunError: The text is not empty, but has no token.
        """
        ids = self._own_ids(text)
        if text and not ids:
            raise RunError(
                f"The text {text[:40]!r} has no token of its own: the tokenizer drops all of it, so that "
                "nothing can be scored. Leave it out of the data, or take a tokenizer that keeps it."
            )
        return ids

    def _own_ids(self, text: str) -> list[int]:
        ids = self.encode(text)
        if not self.exact:
            return ids
        if not self._encoder.begins_itself(text):
            return ids[len(self._encoder.surroundings.before) :]
        return ids[1:] if ids[:1] == [self.prefix_token_id] else ids

    def encode_prompt(self, text: str) -> list[int]:
        """Token ids of a text to generate after: never empty."""
        return self.encode(text) or [self.prefix_token_id]

    def decode(self, tokens: list[int], *, skip_special_tokens: bool = True) -> str:
        """Text of token ids."""
        return cast("str", self.tokenizer.decode(tokens, skip_special_tokens=skip_special_tokens))

    def chat(self, history: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
        """A chat as the prompt that the tokenizer's template makes of it.

        Args:
            history: Messages with `role` and `content`.
            add_generation_prompt: Whether the model's turn is begun; otherwise its last message goes on.

        Raises:
            RequestError: There is no template, or it refuses the chat (some take no system message).
        """
        from jinja2.exceptions import TemplateError

        try:
            return str(
                self.tokenizer.apply_chat_template(
                    history,
                    tokenize=False,
                    add_generation_prompt=add_generation_prompt,
                    continue_final_message=not add_generation_prompt,
                )
            )
        except (TemplateError, ValueError) as error:
            whose = self.tokenizer.name_or_path or "the tokenizer"
            raise RequestError(
                f"The chat template of {whose} could not be applied: {error}. Run without "
                "apply_chat_template, or without a system message if that is refused."
            ) from error


def _nothing_to_score(name: str, context: str, continuation: str, *, merges: bool) -> RunError:
    """The error for a continuation without a token of its own."""
    why = "it is empty, or the tokenizer drops it"
    if merges:
        why = "it is empty, or merged into the context's last token (border: exact would score that one)"
    return RunError(
        f"{name}: the continuation {continuation!r} has no token of its own after the context ending in "
        f"{context[-20:]!r}: {why}. Begin continuations with a space (target_delimiter in the task)."
    )
