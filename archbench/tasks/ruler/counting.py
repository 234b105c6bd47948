"""Counting tasks: the most common words of a list, and of coded text whose frequencies fall off steeply."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum

from archbench.draw import Draw
from archbench.tasks.ruler.fitting import Draft
from archbench.tasks.ruler.vocabulary import draw_different, draw_letters, draw_words

ALPHA = 2.0
"""Exponent of the zeta distribution of `fwe`, as published."""
QUERIED_CODES = 3
"""Coded words that `fwe` asks for."""
_DOTS = "...."
_CODE_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Counts:
    """How often words come in `cwe`.

    Attributes:
        form: Name of these counts.
        common: Times each common word comes.
        other: Times each other word comes.
        example_common: The same in the worked example; 0 for none.
        example_other: The same.
        example_others: Other words of the example.
        queried: Common words, all of which the question asks for.
    """

    form: str
    common: int
    other: int
    example_common: int
    example_other: int
    example_others: int
    queried: int


COUNTS = (
    Counts("published", 30, 3, 10, 3, 30, 10),
    Counts("short", 6, 1, 3, 1, 10, 10),
    Counts("shortest", 3, 1, 0, 0, 0, 4),
)
"""As published from 4096 tokens on, as published for shorter texts, and ours for even shorter ones."""
FULL_LENGTH = 4096
"""Tokens from which the first of `COUNTS` holds."""


class CommonWords:
    """Makes `cwe`; a unit is another uncommon word, repeated as often as such words are."""

    least = 5
    step = 64

    def __init__(self, counts: Counts) -> None:
        """Store how often words come."""
        self._counts = counts
        self.form = counts.form
        self.replies = (" ".join(f"{at}. lanternkettle" for at in range(1, counts.queried + 1)),)

    def make(self, draw: Draw, index: int, units: int) -> Draft:
        """A list with so many uncommon words; see `Maker.make`."""
        counts = self._counts
        shown = counts.queried if counts.example_common else 0
        special, others = draw_words(draw, counts.queried + shown, units + counts.example_others)
        common, rare = special[: counts.queried], others[:units]
        text = _list(draw, common, counts.common, rare, counts.other)
        if not shown:
            return Draft(text, tuple(common))
        answer = " ".join(f"{at}. {word}" for at, word in enumerate(special[counts.queried :], start=1))
        example = _list(
            draw, special[counts.queried :], counts.example_common, others[units:], counts.example_other
        )
        return Draft(f"{example} {answer}\n\n{text}", tuple(common))


def _list(draw: Draw, common: list[str], often: int, others: list[str], seldom: int) -> str:
    r"""One list.

    Below is a numbered list of words, some of which come more often than others. Memorise those that come
    most often.
    1. river 2. lamp 3. river ...
    Question: Which 10 words come most often in the list above? Answer: The 10 words that come most often in
    the list above are:
    """
    words = draw.shuffled([*common * often, *others * seldom])
    numbered = " ".join(f"{at}. {word}" for at, word in enumerate(words, start=1))
    return (
        "Below is a numbered list of words, some of which come more often than others. Memorise those that "
        f"come most often.\n{numbered}\n"
        f"Question: Which {len(common)} words come most often in the list above? "
        f"Answer: The {len(common)} words that come most often in the list above are:"
    )


class FrequentWords:
    """Makes `fwe`; a unit is a word of the text."""

    form = "published"
    least = 20
    step = 256
    replies = ("qzkxvw, bnjhtp, wygfdk",)

    def __init__(self, length: int) -> None:
        """Set the vocabulary from the length in tokens: a fiftieth of it, as published."""
        self._vocabulary = max(QUERIED_CODES + 2, length // 50)

    def make(self, draw: Draw, index: int, units: int) -> Draft:
        """A text of about so many coded words; see `Maker.make`."""
        codes = draw_different(draw, lambda one: draw_letters(one, _CODE_LETTERS, 6), self._vocabulary - 1)
        counts = zeta_counts(units, self._vocabulary)
        # The most frequent "word" is a row of dots, which the question says to ignore.
        words = [word for word, n in zip([_DOTS, *codes], counts, strict=True) for _ in range(n)]
        return Draft(
            "Read the coded text below and count how often each coded word comes in it.\n"
            f"{' '.join(draw.shuffled(words))}\n"
            "Question: Which three coded words come most often in the text above? "
            f"The dots '{_DOTS}' do not count. "
            "Answer: The three coded words that come most often in the text above are:",
            tuple(codes[:QUERIED_CODES]),
        )


def zeta_counts(total: int, ranks: int) -> list[int]:
    """How often the word of each rank comes, in proportion to rank to the power of minus `ALPHA`.

    The queried words, ranks 2 to 4, come more often than any later one, however short the text.

    Args:
        total: Words in all, up to rounding.
        ranks: Different words, at least 5.
    """
    weights = [rank**-ALPHA for rank in range(1, ranks + 1)]
    whole = fsum(weights)
    counts = [round(total * weight / whole) for weight in weights]
    for rank in range(QUERIED_CODES, 0, -1):
        counts[rank] = max(counts[rank], counts[rank + 1] + 1)
    return counts
