"""Logits of short random prompts, computed in every way that the engine may use, and how far off each is.

All differences are from a plain forward pass of each prompt on its own, as the root mean square difference in
standard deviations of the logits; infinite where a way fails or other logits are finite.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import torch

from archbench.engine.cache.cascade import attending_to_prefixes
from archbench.engine.cache.states import fork, size
from archbench.engine.scoring.finite import NotFiniteError
from archbench.engine.scoring.forward import Past, Scorer
from archbench.engine.scoring.rows import Ids

LENGTH = 40
"""Tokens of the longest prompt."""

_CUTS = (12, 25)


class Footprint(NamedTuple):
    """Memory of the state of one row.

    Attributes:
        fixed: Bytes, whatever its length.
        per_token: Bytes that each of its tokens adds.
    """

    fixed: float
    per_token: float


class Trials:
    """A model's plain logits of the prompts, to compare others with."""

    def __init__(self, scorer: Scorer) -> None:
        """Compute the plain logits.

        Args:
            scorer: The model's scorer.

        Raises:
            NotFiniteError: They are not finite.
        """
        self._scorer = scorer
        self._prompts = _prompts(scorer.vocab)
        self._plain = [_all_logits(scorer, [prompt]) for prompt in self._prompts]

    def batched(self) -> float:
        """Difference of rows that share a forward pass."""
        try:
            return _error(_all_logits(self._scorer, self._prompts), torch.cat(self._plain))
        except NotFiniteError:
            # Each on its own is finite, so the batch is at fault.
            return math.inf

    def continued(self, *, stepwise: bool) -> tuple[float, Footprint]:
        """Difference of going on from a held prefix, and the memory of a row.

        A prefix is computed on its own and held, then the next part of two prompts after it, then the padded
        rest of three, then a single token.

        Args:
            stepwise: Whether tokens follow the prefix one at a time.

        Raises:
            UnforkableError: The model keeps its state in a way that cannot be copied row by row.
        """
        base, early, late = self._prompts
        first, second = _CUTS

        def run(rows: list[Ids], past: Past | None, keep: bool) -> tuple[torch.Tensor, Past | None]:
            logits, cache = self._scorer.logits(rows, _places(rows), past=past, keep=keep, stepwise=stepwise)
            if not keep or cache is None:
                return logits.float(), None
            depth = len(rows[0]) + (past.depth if past else 0)
            return logits.float(), Past(cache, depth, range(len(rows)))

        prefix, held = run([base[:first]], None, True)
        assert held is not None
        small = size(held.cache)
        middle, deeper = run([base[first:second], early[first:second]], held._replace(rows=[0, 0]), True)
        assert deeper is not None
        large = size(deeper.cache) / 2
        rest, _ = run([base[second:], early[second:], late[second:]], deeper._replace(rows=[0, 1, 0]), False)
        single, _ = run([base[second : second + 1]], deeper._replace(rows=[0]), False)
        whole, whole_early, whole_late = self._plain
        expected = [
            whole[:first],
            whole[first:second],
            whole_early[first:second],
            whole[second:],
            whole_early[second:],
            whole_late[second:],
            whole[second : second + 1],
        ]
        per_token = max(0.0, (large - small) / (second - first))
        fixed = max(0.0, small - per_token * first)
        return _error(torch.cat([prefix, middle, rest, single]), torch.cat(expected)), Footprint(
            fixed, per_token
        )

    @torch.inference_mode()
    def in_place(self) -> float:
        """Difference of rows that attend to one held prefix, fed at once and then by single tokens."""
        first, second = _CUTS
        rows = [torch.from_numpy(self._prompts[i]) for i in (0, 1, 2)]
        found, expected = [], []
        held = self._scorer.logits([self._prompts[0][:first]], [], keep=True)[1]
        assert held is not None
        cache = fork(held, torch.tensor([0, 0, 0]), keep=True, room=LENGTH, in_place=True)
        try:
            with attending_to_prefixes():
                for start, stop in itertools.pairwise([first, second, second + 1, second + 2]):
                    ids = torch.stack([row[start:stop] for row in rows])
                    places = torch.tensor(_places([row[start:stop].numpy() for row in rows]))
                    found.append(self._scorer.forward(ids, places, cache, start).float())
                    expected += [one[start:stop] for one in self._plain]
        except Exception:
            # A model that was not made for it may fail in any way; then each row has a copy.
            return float("inf")
        return _error(torch.cat(found), torch.cat(expected))

    @torch.inference_mode()
    def left_padded(self) -> float:
        """Difference of rows padded on the left, with a mask and positions as `generate` makes them."""
        model = self._scorer.model
        width = max(map(len, self._prompts))
        ids = torch.zeros((len(self._prompts), width), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, prompt in enumerate(self._prompts):
            ids[i, width - len(prompt) :] = torch.from_numpy(prompt)
            mask[i, width - len(prompt) :] = 1
        more = {}
        if self._scorer.takes_positions:
            more["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0).to(model.device)
        try:
            logits = model(
                input_ids=ids.to(model.device), attention_mask=mask.to(model.device), **more
            ).logits
        except Exception:
            # A model need not take a mask at all, nor padding where its states are made.
            return float("inf")
        return _error(logits.float()[mask.bool().to(logits.device)], torch.cat(self._plain))


def _prompts(vocab: int) -> list[Ids]:
    """Three prompts: the second leaves the first at the first cut, the third at the second cut."""
    draw = np.random.default_rng(0)
    base = draw.integers(0, vocab, LENGTH)
    early = np.concatenate([base[: _CUTS[0]], draw.integers(0, vocab, LENGTH - 6 - _CUTS[0])])
    late = np.concatenate([base[: _CUTS[1]], draw.integers(0, vocab, LENGTH - 2 - _CUTS[1])])
    return [base, early, late]


def _places(rows: list[Ids]) -> list[tuple[int, int]]:
    return [(i, position) for i, row in enumerate(rows) for position in range(len(row))]


def _all_logits(scorer: Scorer, rows: list[Ids]) -> torch.Tensor:
    return scorer.logits(rows, _places(rows))[0].float()


def _error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Root mean square difference in standard deviations of what is expected; infinite where it is none.

    Masked entries of the vocabulary (minus infinity) have to be masked in both.
    """
    counted = torch.isfinite(expected)
    if not torch.equal(counted, torch.isfinite(found)):
        return math.inf
    found, expected = found[counted], expected[counted]
    difference = float((found - expected).square().mean().sqrt())
    # A model that gives the same logits everywhere is right as long as the others are the same too.
    return difference / float(expected.std()) if difference else 0.0
