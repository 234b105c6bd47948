"""The names and phone numbers that books are drawn from, without repetition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from archbench.draw import Draw
from archbench.errors import RequestError, amount
from archbench.tasks.files.names import read_names

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
"""Number of full names."""

_LONGEST = f"{max(FIRST, key=len)} {max(LAST, key=len)}"

LARGEST = POOL // 4
"""Most entries of a book: few enough for rejection sampling to find new names quickly."""

DIGITS = 10
"""Digits of a phone number, unless a suite says otherwise."""


@dataclass(frozen=True)
class Pool:
    """What the entries of books are drawn from.

    Attributes:
        names: How many names there are.
        name: The name at an index.
        longest: The longest of the names, in bytes.
        digits: Digits of a number.
        file: The file that the names are from; None for archbench's own.
    """

    names: int
    name: Callable[[int], str]
    longest: str
    digits: int = DIGITS
    file: str | None = None

    @property
    def largest(self) -> int:
        """Most entries of a book for which rejection sampling finds names and numbers quickly."""
        return min(self.names, LARGEST, int(9 * 10 ** (self.digits - 1)) // 4)

    def number(self, draw: Draw) -> str:
        """A number: of ten digits `AAA-EEE-NNNN`, area and exchange from 200, the rest from 1000; else plain.

        Digits are drawn evenly; the first is not zero.
        """
        if self.digits == DIGITS:
            return f"{200 + draw.below(800)}-{200 + draw.below(800)}-{1000 + draw.below(9000)}"
        least = 10 ** (self.digits - 1)
        return str(least + draw.below(9 * least))


def pool_of(data: str | None = None, digits: int = DIGITS) -> Pool:
    """Names of archbench's own, or from a file.

    Args:
        data: Text file with a name a line; archbench's own full names where None.
        digits: Digits of a number.

    Raises:
        RequestError: The file cannot be read, is empty, or names somebody twice.
    """
    if data is None:
        return Pool(POOL, _full_name, _LONGEST, digits)
    names = read_names(Path(data))
    longest = max(names, key=lambda name: len(name.encode()))
    return Pool(len(names), names.__getitem__, longest, digits, data)


def _full_name(index: int) -> str:
    first, last = divmod(index, len(LAST))
    return f"{FIRST[first]} {LAST[last]}"


def draw_entries(draw: Draw, pool: Pool | None = None) -> Iterator[tuple[str, str]]:
    """Endless entries of one book: (name, number); no name and no number comes twice.

    The beginning of a book does not depend on how many entries are taken.

    Args:
        draw: What they are drawn with.
        pool: What they are drawn from; full names and numbers of ten digits where None.

    Raises:
        RequestError: More than `pool.largest` entries are taken.
    """
    pool = pool or pool_of()
    names: set[int] = set()
    numbers: set[str] = set()
    while len(names) < pool.largest:
        key = draw.below(pool.names)
        number = pool.number(draw)
        if key in names or number in numbers:
            continue
        names.add(key)
        numbers.add(number)
        yield pool.name(key), number
    raise too_large(pool, f"a book of more than {pool.largest:,} entries")


def too_large(pool: Pool, wanted: str) -> RequestError:
    """The error for a book that needs more entries than the pool has.

    Args:
        pool: The pool.
        wanted: The book and its size, for the message.
    """
    if pool.file is not None and pool.largest == pool.names:
        return RequestError(
            f"{pool.file}: there {'is' if pool.names == 1 else 'are'} {amount(pool.names, 'name')} in it "
            f"(`data`), too few for {wanted}, each with a "
            "name of its own: add names, one a line, or choose a smaller book."
        )
    return RequestError(
        f"A phonebook has at most {amount(pool.largest, 'entry', 'entries')} with numbers of "
        f"{amount(pool.digits, 'digit')} (`digits`), "
        f"so that no name or number comes twice: too few for {wanted}. Choose a smaller one."
    )
