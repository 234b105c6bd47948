"""Variable tracking: which variables end up with a value, through a chain of assignments."""

from __future__ import annotations

from itertools import pairwise

from archbench.draw import Draw
from archbench.tasks.ruler.fitting import Draft
from archbench.tasks.ruler.haystacks import NOISE
from archbench.tasks.ruler.vocabulary import draw_different, draw_letters

HOPS = 4
"""Assignments after the first; one chain, as published."""
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_EXAMPLE_NOISE = 10


class Variables:
    """Makes `vt`; a unit is a sentence of noise."""

    least = 1
    step = 64
    replies = ("QHBZX, JWKUD, RYOEL, VMTAC, XGNFP",)

    def __init__(self, form: str = "published") -> None:
        """Choose the form: `published`, with a worked example first, or `short`, without one."""
        self.form = form

    def make(self, draw: Draw, index: int, units: int) -> Draft:
        """Hide the chain in so many sentences; see `Maker.make`."""
        values = draw_different(draw, lambda one: str(10_000 + one.below(90_000)), 2)
        text, answers = _question(draw, values[0], units, letters=5)
        shown = ""
        if self.form == "published":
            example, variables = _question(draw, values[1], _EXAMPLE_NOISE, letters=3)
            shown = f"{example} {', '.join(variables)}\n\n"
        return Draft(shown + text, tuple(answers))


def _question(draw: Draw, value: str, sentences: int, *, letters: int) -> tuple[str, list[str]]:
    r"""One text with a chain in it, and its variables.

        Follow the chain of variable assignments hidden in the text below.

        {noise} VAR ABCDE = 12345. {noise} VAR FGHIJ = VAR ABCDE. {noise}

        Question: Which variables have the value 12345 in the text above? Answer: The 5 variables that have
        the value 12345 in the text above are

    Returns:
        The text, without a line break in its last line, and the names in the order of the chain.
    """
    chain = draw_different(draw, lambda one: draw_letters(one, _LETTERS, letters), HOPS + 1)
    steps = [f"VAR {chain[0]} = {value}."]
    steps += [f"VAR {to} = VAR {of}." for of, to in pairwise(chain)]
    hay = [NOISE[at % len(NOISE)] for at in range(sentences)]
    places = sorted(draw.below(sentences + 1) for _ in steps)
    # From the last back, so that what is hidden later does not shift what is hidden already.
    for place, step in zip(reversed(places), reversed(steps), strict=True):
        hay.insert(place, step)
    return (
        "Follow the chain of variable assignments hidden in the text below.\n\n"
        f"{' '.join(hay)}\n\nQuestion: Which variables have the value {value} in the text above? Answer: "
        f"The {len(chain)} variables that have the value {value} in the text above are"
    ), chain
