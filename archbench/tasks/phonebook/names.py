"""Full names and phone numbers, drawn without repetition."""

from __future__ import annotations

from collections.abc import Iterator

from archbench.draw import Draw
from archbench.errors import RequestError

FIRST = tuple(
    """
    Ada Adam Agnes Alan Albert Alice Alma Amos Amy Andrew Anita Anna Arthur Basil Beatrice Benjamin
    Bernard Bertha Boris Brenda Bruno Carl Carmen Cecil Celia Charles Clara Clement Conrad Cora Cyril
    Daisy Daniel Daphne David Deborah Dennis Diana Donald Dora Doris Edgar Edith Edmund Edward Elaine
    Eleanor Elias Ella Elliot Elsa Emil Emma Enid Erica Ernest Esther Ethel Eugene Eva Felix Fiona Flora
    Florence Frances Frank Fred Gavin George Gerald Gilbert Gina Gladys Gloria Gordon Grace Graham Greta
    Gustav Hannah Harold Harriet Harry Hazel Helen Henry Hector Hilda Howard Hubert Hugo Ian Ida Igor
    Ines Irene Iris Irma Isaac Ivan Ivy Jack Jacob James Jane Jasper Jean Jerome Joan Joel John Jonas
    Joseph Joyce Judith Julia Julius Karen Karl Keith Kenneth Klaus Lara Laura Laurence Lena Leo Leonard
    Leroy Lewis Lilian Linda Lionel Lois Louis Lucas Lucy Lydia Mabel Magnus Marcus Margaret Marion Mark
    Martha Martin Mary Matilda Maurice Max Melissa Mildred Miles Milton Miriam Mona Morris Myra Nancy
    Naomi Nathan Neil Nelson Nora Norman Olga Oliver Olive Oscar Oswald Otto Pamela Patrick Paul Paula
    Pearl Percy Peter Philip Phoebe Rachel Ralph Raymond Rebecca Rhoda Richard Rita Robert Roland Rosa
    Rufus Rupert Ruth Samuel Sara Selma Sheila Sibyl Sidney Silas Simon Sonia Stanley Stella Susan Sylvia
    Tessa Theodore Thomas Trudy Una Ursula Valerie Vera Victor Vincent Viola Violet Wallace Walter Wanda
    Wendy Wilfred William Winifred Xavier Yvonne Zoe
    """.split()  # noqa: SIM905 - as words it can be read
)
_STEMS = tuple(
    """
    Alder Ash Aspen Bar Beck Birch Black Bran Briar Brook Carl Chal Chad Clay Clif Cold Cran Dal Dray Dun
    Elm Fair Fal Farn Fen Fern Fox Gold Gray Green Hal Hart Haver Hazel Hol Hunt Kel Kings Lang Lin Lock
    Long Marl May Mill Moor New North Oak Pen Pres Rad Red Ridge Rock Rush Sand Sel Shel Silver Stan
    Stone Sun Thorn Tor Wal War West Whit Wil Win Wood Yar
    """.split()  # noqa: SIM905 - as words it can be read
)
_ENDINGS = tuple(
    """
    bank beck bourne bridge burn bury combe cote croft dale den don field ford gate ham hill holm house
    hurst land leigh ley low man mere mond more mount ness over ridge shaw stead stock stone strand ton
    ville wald water way well wick win wood worth
    """.split()  # noqa: SIM905 - as words it can be read
)
LAST = tuple(stem + end for stem in _STEMS for end in _ENDINGS)
"""Surnames compounded of two parts, as many English ones are."""

POOL = len(FIRST) * len(LAST)
"""Full names that there are."""

LARGEST = POOL // 4
"""Most entries of a book; far enough from the pool's end for names to be drawn by trying."""


def draw_entries(draw: Draw) -> Iterator[tuple[str, str]]:
    """Endless entries of one book: (name, number); no name and no number comes twice.

    A name is two words, a number is `AAA-EEE-NNNN` with area and exchange from 200 to 999 and the rest from
    1000 to 9999, digits drawn evenly. The beginning of a book does not depend on how many entries are taken.

    Raises:
        RequestError: More than `LARGEST` entries are taken.
    """
    names: set[int] = set()
    numbers: set[str] = set()
    while len(names) < LARGEST:
        key = draw.below(POOL)
        number = f"{200 + draw.below(800)}-{200 + draw.below(800)}-{1000 + draw.below(9000)}"
        if key in names or number in numbers:
            continue
        names.add(key)
        numbers.add(number)
        first, last = divmod(key, len(LAST))
        yield f"{FIRST[first]} {LAST[last]}", number
    raise RequestError(
        f"A phonebook has at most {LARGEST:,} entries, so that no name comes twice; ask for a smaller one."
    )
