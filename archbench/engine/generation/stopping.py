"""When a generation is over: the first token that completes a stop string, however it is tokenised."""

from __future__ import annotations

from collections.abc import Sequence

from archbench.engine.text import Codec

# What decoders write for the first bytes of a character whose others are still to come.
_UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class StopStrings:
    """Reads one generation, token by token, for stop strings."""

    def __init__(self, codec: Codec, stop: Sequence[str], *, skip_white_space: bool = False) -> None:
        """Look for some strings.

        Args:
            codec: The tokenizer.
            stop: The strings; empty ones do not count.
            skip_white_space: Whether they count from the first character on that is not white space
                (`archbench.answers.answer_of`).
        """
        self._codec = codec
        self._stop = [string for string in stop if string]
        self._skip = self._before = skip_white_space
        self._tokens: list[int] = []
        # Every token gives at least a byte of text, so a stop string lies within that many tokens;
        # a few more keep it off the window's edge, where some decoders drop a space.
        self._window = max((len(string.encode()) for string in self._stop), default=0) + 4

    def completed_by(self, token: int) -> bool:
        """Whether the generation's next token completes a stop string."""
        if not self._stop:
            return False
        self._tokens.append(token)
        if self._before:
            text_so_far = self._codec.decode(self._tokens).lstrip()
            self._before = not text_so_far.strip(_UNFINISHED)
            if not text_so_far:
                # Special tokens are no text, but one may be named as a stop string.
                text = self._codec.decode(self._tokens, skip_special_tokens=False)
                self._tokens.clear()
                return any(string in text for string in self._stop if not string.isspace())
        elif len(self._tokens) > self._window:
            self._tokens = self._tokens[-self._window :]
            self._skip = False
        text = self._codec.decode(self._tokens, skip_special_tokens=False)
        text = text.lstrip() if self._skip else text
        return any(string in text for string in self._stop)
