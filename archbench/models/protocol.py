"""What an architecture declares about itself, so that nobody has to recognise it by its name.

| who declares | what | needed for |
|---|---|---|
| a module in a layer | `kind`, `state_size(tokens)`, `step_flops(tokens)` (`DeclaresPart`) | sizes, costs |
| a model | `new_cache()` (`MakesCache`) | sharing prefixes, decoding |
| each of that cache's `layers` | `select_rows(rows)` (`SelectsRows`) | sharing prefixes, decoding |

Each is optional and independent of the others. Nothing has to be imported or inherited: methods of these
names are enough. A model that declares nothing is scored by plain forward passes, or with transformers' own
caches if those are what it takes, and its sizes are said to be unknown. transformers' own classes declare
nothing; the tables in `archbench/efficiency/parts/` describe their parts, as the same kind of declaration
(`Part`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch


@runtime_checkable
class DeclaresPart(Protocol):
    """A part of a layer (a mixer, a feed-forward block) that says what it is and what it costs."""

    @property
    def kind(self) -> str:
        """What it is, for tables: `attention`, `delta_rule`, `mlp`. Its parameters are counted under it."""

    def state_size(self, tokens: int, /) -> int:
        """Numbers that are kept of one sequence after so many tokens, over all its states.

        What is kept after no token at all counts as recurrent state, which the context does not change; what
        comes to it as cache, which grows.
        """

    def step_flops(self, tokens: float, /) -> float:
        """Additions and multiplications for one token, the products with weights left out.

        Args:
            tokens: Tokens in the context, this one included; an average may be no whole number.
        """


@runtime_checkable
class MakesCache(Protocol):
    """A model that keeps its state in a cache of its own kind."""

    def new_cache(self) -> Any:
        """An empty cache.

        Its `layers` are a list of `SelectsRows`; a shallow copy of it with other layers is a cache again. The
        model's `forward` takes it as `cache` or `past_key_values`, moves it on and never changes a tensor in
        place that was there before.
        """


@runtime_checkable
class SelectsRows(Protocol):
    """A layer of a cache: the states of some sequences, one a row.

    Its tensors are attributes of it, or in dicts that are: that is how the memory that they take is counted.
    """

    def select_rows(self, rows: torch.Tensor, /) -> Any:
        """A copy that holds some rows, in their order and possibly several times; this one stays as it is.

        Args:
            rows: Indices, shape [rows of the copy].
        """


@dataclass(frozen=True)
class Part:
    """A declaration by numbers: keys and values that grow with the context, and a state that does not.

    Attributes:
        kind: What the part is.
        kv_width: Elements of keys and values kept per token.
        window: Tokens whose keys and values are kept; all where None.
        attended_width: Query heads × head dimension: what a query multiplies each key and value by.
        state: Elements of recurrent state that do not grow with the context, convolution included.
        scan_flops: Additions and multiplications of the recurrence per token, projections left out.
    """

    kind: str
    kv_width: int = 0
    window: int | None = None
    attended_width: int = 0
    state: int = 0
    scan_flops: int = 0

    def state_size(self, tokens: int) -> int:
        """Numbers kept of one sequence after so many tokens."""
        return self.state + self.kv_width * min(tokens, self.window or tokens)

    def step_flops(self, tokens: float) -> float:
        """Additions and multiplications for one token: 4 · heads · head dimension for each token attended to.

        Two for its score, two for its value's share of the sum.
        """
        return 4 * self.attended_width * min(tokens, self.window or tokens) + self.scan_flops

    def mean_step_flops(self, length: int) -> float:
        """The same on average over the tokens of a window of so many, as in training."""
        seen = (length + 1) / 2
        if self.window is not None and self.window < length:
            # A layer's window fills up over the first tokens.
            w = self.window
            seen = (w * (w + 1) / 2 + (length - w) * w) / length
        return 4 * self.attended_width * seen + self.scan_flops
