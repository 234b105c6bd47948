"""Decode rows of unequal length together, without padding.

Rows go on from states of one depth. The tokens that every row still has are read at once; what is left of the
longer prompts is fed token by token while the shorter ones already write.

    ──── prompt   ····  new          at once   one step each
                                   |────────|────┬────┬────┬────┬─
    row a  (long prompt)            ────────  ─    ─    ·    ·
    row b  (short prompt)           ────────  ·    ·    ·    ·
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import torch

from archbench.engine.cache.cascade import attending_to_prefixes
from archbench.engine.cache.states import fork, new_cache, release
from archbench.engine.generation.jobs import Generated, Job
from archbench.engine.generation.sampling import check_choice, processors
from archbench.engine.generation.stopping import StopStrings
from archbench.engine.scoring.forward import Past, Scorer
from archbench.engine.text import Codec

if TYPE_CHECKING:
    from transformers import DynamicCache


class Decoder:
    """Generates as `Generator` does, from states that are already there.

    Every sampled row draws from a generator of its own, seeded as `Generator` seeds torch's.

    Attributes:
        in_place: Whether rows that go on from one prefix attend to it where it is held, without a copy.
    """

    def __init__(self, scorer: Scorer, codec: Codec, eos: Collection[int], *, in_place: bool) -> None:
        """Decode with a model.

        Args:
            scorer: What runs the forward passes.
            codec: The tokenizer.
            eos: Tokens that end a generation.
            in_place: Whether rows may attend to one prefix held once; otherwise each has a copy.
        """
        self.in_place = in_place
        self._scorer = scorer
        self._codec = codec
        self._eos = eos

    def decode(
        self, jobs: Sequence[Job], *, past: Past | None = None, stepwise: bool = False
    ) -> tuple[list[Generated], int]:
        """Make some generations together.

        Args:
            jobs: What to generate, a row each.
            past: States of each prompt's beginning, which must leave at least one token of it; None reads
                prompts from their first token.
            stepwise: Whether to feed what follows a past token by token.

        Returns:
            One generation per job; and how many tokens were fed to rows that had already ended.
        """
        with torch.inference_mode(), attending_to_prefixes():
            return self._decode(jobs, past, stepwise)

    def _decode(self, jobs: Sequence[Job], past: Past | None, stepwise: bool) -> tuple[list[Generated], int]:
        device = self._scorer.model.device
        rows = [_Row(job, self._codec, self._eos, device) for job in jobs]
        going, padded = list(range(len(rows))), 0
        end = max(len(job.prompt) + job.max_new for job in jobs)
        at = past.depth if past else 0
        width = 1 if past and stepwise else min(len(job.prompt) for job in jobs) - at
        cache: DynamicCache
        if past is None:
            cache = new_cache(self._scorer.model)
        else:
            cache = fork(
                past.cache, torch.tensor(past.rows), keep=True, room=end - at, in_place=self.in_place
            )
        roomy = past is not None
        while True:
            input_ids = torch.tensor([rows[i].tokens(at, width) for i in going])
            at += width
            choosing = [i for i in going if not rows[i].ended and at >= len(rows[i].job.prompt)]
            places = torch.tensor([(going.index(i), width - 1) for i in choosing], dtype=torch.long).reshape(
                -1, 2
            )
            logits = self._scorer.forward(input_ids, places, cache, at - width).float()
            best = logits.argmax(dim=-1).tolist()
            for place, i in enumerate(choosing):
                rows[i].write(logits[place : place + 1], best[place])
            alive = [i for i in going if not rows[i].ended]
            if not alive:
                release(cache)
                return [row.generated() for row in rows], padded
            # Rows that ended are carried along until they are half of the batch: to drop them is to copy
            # the others.
            if not roomy or 2 * len(alive) <= len(going):
                kept = torch.tensor([going.index(i) for i in alive])
                before, going, roomy = cache, alive, True
                # `kept` counts rows of the cache as it was.
                cache = fork(before, kept, keep=True, room=end - at)
                release(before)
            padded += len(going) - len(alive)
            width = 1


class _Row:
    """One generation on its way."""

    def __init__(self, job: Job, codec: Codec, eos: Collection[int], device: torch.device) -> None:
        self.job = job
        self.ended = False
        self._new: list[int] = []
        self._codec = codec
        self._eos = eos
        self._stop = StopStrings(codec, job.stop, skip_white_space=job.skip_white_space)
        self._device = device
        self._options = dict(job.options)
        self._processors = processors(self._options)
        self._generator = None
        if job.seed is not None:
            self._generator = torch.Generator(device=device).manual_seed(job.seed)

    def tokens(self, start: int, count: int) -> list[int]:
        """Tokens of prompt and generation from a position on; behind the end any will do."""
        prompt = self.job.prompt
        if start < len(prompt):
            return list(prompt[start : start + count])
        return [self._new[min(start - len(prompt), len(self._new) - 1)]]

    def write(self, logits: torch.Tensor, best: int) -> None:
        """Choose the next token from its logits `[1, vocab]` in float32, of which `best` is the largest."""
        token = best
        if self._processors:
            before = torch.tensor([[*self.job.prompt, *self._new]], device=self._device)
            logits = self._processors(before, logits.clone())
            check_choice(logits, self._options)
            token = int(logits.argmax())
        if self._generator is not None:
            token = int(torch.multinomial(logits.softmax(dim=-1), 1, generator=self._generator))
        self._new.append(token)
        self.ended = (
            token in self._eos or len(self._new) == self.job.max_new or self._stop.completed_by(token)
        )

    def generated(self) -> Generated:
        """The generation, which has ended."""
        return Generated(self._codec.decode(self._new), len(self._new))
