"""Text to token ids and back, with lm-eval's rules about special tokens."""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, cast

from archbench.errors import RequestError, RunError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


# A tokenizer's own record of a text is many times as large as the ids.
_TOGETHER = 256


_IDS_ALONE = {"return_attention_mask": False, "return_token_type_ids": False}


def compact(ids: Iterable[int]) -> array[int]:
    """Token ids in four bytes each; a list of numbers takes nine times as much."""
    return array("I", ids)


class Codec:
    """A tokenizer under the rules of lm-eval's `HFLM`, so that both see the same tokens.

    Special tokens are added as the tokenizer does by default, except to text that already begins
    with the prefix token's text. An empty context is replaced by the prefix token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Wrap a tokenizer.

        Raises:
            RequestError: It has no end-of-text token.
        """
        if tokenizer.eos_token_id is None:
            raise RequestError(
                f"The tokenizer {tokenizer.name_or_path or type(tokenizer).__name__} has no eos_token, which "
                "ends generations and stands in for an empty context. Set tokenizer.eos_token and save it."
            )
        self.tokenizer = tokenizer
        self.eos_token_id = int(tokenizer.eos_token_id)
        bos = tokenizer.bos_token_id
        self.prefix_token_id = self.eos_token_id if bos is None else int(bos)
        self._prefix_text = cast("str", tokenizer.decode(self.prefix_token_id))
        self._known: dict[str, array[int]] = {}

    @contextlib.contextmanager
    def primed(self, texts: Iterable[str]) -> Iterator[None]:
        """Encode many texts in parallel, and answer for them from memory inside the block."""
        plain: list[str] = []
        prefixed: list[str] = []
        for text in dict.fromkeys(texts):
            (prefixed if text.startswith(self._prefix_text) else plain).append(text)
        try:
            for group, options in ((plain, {}), (prefixed, {"add_special_tokens": False})):
                for first in range(0, len(group), _TOGETHER):
                    some = group[first : first + _TOGETHER]
                    found = self.tokenizer(some, **options, **_IDS_ALONE)["input_ids"]
                    self._known.update(zip(some, map(compact, found), strict=True))
            yield
        finally:
            self._known.clear()

    def encode(self, text: str, add_special_tokens: bool | None = None) -> list[int]:
        """Token ids of a text; `add_special_tokens=None` applies the rule of the class."""
        if add_special_tokens is None and text in self._known:
            return self._known[text].tolist()
        if add_special_tokens is None and text.startswith(self._prefix_text):
            add_special_tokens = False
        options = {} if add_special_tokens is None else {"add_special_tokens": add_special_tokens}
        return cast("list[int]", self.tokenizer.encode(text, **options))

    def encode_compact(self, text: str) -> array[int]:
        """As `encode` by the rule of the class, in an array."""
        known = self._known.get(text)
        return compact(self.encode(text)) if known is None else known

    def encode_pair(
        self, context: str, continuation: str, *, name: str
    ) -> tuple[array[int], array[int], bool]:
        """Ids of a context and of its continuation, as lm-eval has them, and whether a token spans both.

        Args:
            context: What comes before; the prefix token stands in for an empty one.
            continuation: What is scored after it.
            name: How a message calls the pair.

        Raises:
            RunError: The continuation has no token of its own.
        """
        spans = False
        if context:
            # Spaces at the end belong to the continuation's first token. Of a context of only spaces nothing
            # is left.
            context_ids = self.encode_compact(context.rstrip())
            whole = self.encode_compact(context + continuation)
            continuation_ids = whole[len(context_ids) :]
            spans = whole[: len(context_ids)] != context_ids
            context_ids = context_ids or compact([self.prefix_token_id])
        else:
            context_ids = compact([self.prefix_token_id])
            continuation_ids = compact(self.encode(continuation, add_special_tokens=False))
            if continuation_ids[:1] == context_ids:
                continuation_ids = continuation_ids[1:]
        if not continuation_ids:
            raise RunError(
                f"{name}: the continuation {continuation!r} has no token of its own after the "
                f"context ending in {context[-20:]!r}: it is empty, or the tokenizer merges it into the "
                "context's last token. Begin continuations with a space (target_delimiter in the task)."
            )
        return context_ids, continuation_ids, spans

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
