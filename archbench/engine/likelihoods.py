"""Answer requests for log-likelihoods: find what was answered before, cut long texts, score the rest."""

from __future__ import annotations

import functools
import logging
import math
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from archbench.engine.admission import Admission
from archbench.engine.limits import UNLIMITED
from archbench.engine.scoring.batching import Budget
from archbench.engine.scoring.forward import Scorer
from archbench.engine.scoring.rows import Answer, IdPair
from archbench.engine.sharing.pairs import score_pairs
from archbench.engine.store import Answers
from archbench.engine.text import Codec, spanning
from archbench.engine.usage import Meter

log = logging.getLogger(__name__)

Encoded = tuple[tuple[str, str] | None, Sequence[int], Sequence[int]]
"""A request's texts, where it has any, with the ids of its context and of its continuation."""


class Likelihoods:
    """What a model's log-likelihoods are, from texts to numbers in nats.

    Every method yields answers batch by batch, by the index of their request; an answer that is yielded is
    stored. The corrections of `cache.corrections.exact_states` have to be in force until then.
    """

    def __init__(
        self,
        scorer: Scorer,
        codec: Codec,
        admission: Admission,
        answers: Answers,
        budget: Budget,
        meter: Meter,
    ) -> None:
        """For one model.

        Args:
            scorer: What runs the forward passes.
            codec: The tokenizer.
            admission: Which inputs are put to the model; remembers the lengths of all.
            answers: What was answered before; new answers are kept there.
            budget: Tokens that a forward pass may hold, and memory for held prefixes.
            meter: Counts the work.
        """
        self._scorer = scorer
        self._codec = codec
        self._admission = admission
        self._answers = answers
        self._budget = budget
        self._meter = meter

    def of_pairs(self, pairs: Sequence[tuple[str, str]]) -> Iterator[dict[int, Answer]]:
        """Log-likelihood of each continuation after its context, and whether its tokens are the greedy ones.

        Where a token spans the border, what stands of the context in the scored tokens is scored too and
        subtracted.
        """
        ids = self._codec.encode_pairs(pairs)
        spanned = sum(one.spans for one in ids)
        self._meter.count(pairs=len(pairs), pairs_spanned=spanned)
        if spanned:
            log.warning("%s: %s", self._scorer.name, spanning(spanned, len(pairs), self._codec.exact))
        parts: list[IdPair] = [(one.context, one.continuation) for one in ids]
        owners = [index for index, one in enumerate(ids) if one.shared]
        subtracted = dict(enumerate(owners, start=len(parts)))
        parts += [(ids[index].context, ids[index].shared) for index in owners]
        yield from _differences(self._score(parts, subtracted), subtracted)
        for pair, one in zip(pairs, ids, strict=True):
            self._admission.remember(pair, one.lengths)
            if not self._admission.fits(one.longest):
                self._admission.exclude(pair)

    def of_ids(self, requests: Sequence[Encoded]) -> Iterator[dict[int, Answer]]:
        """Log-likelihoods of pairs that are encoded."""
        yield from self._score([(context, continuation) for _, context, continuation in requests])
        for pair, context, continuation in requests:
            if pair is not None:
                self._admission.remember(pair, (len(context), len(continuation)))
                if not self._admission.fits(len(context) + len(continuation) - 1):
                    self._admission.exclude(pair)

    def of_texts(self, texts: Sequence[str], stride: int | None) -> Iterator[dict[int, float]]:
        """Log-likelihood of each text, long ones in windows.

        Args:
            texts: The texts.
            stride: Tokens that each window of a long text after the first predicts; None for no overlap.
        """
        windows: list[IdPair] = []
        places: list[tuple[int, int]] = []
        logprobs: list[list[float]] = []
        with self._codec.primed(text for text in texts if text):
            for index, text in enumerate(texts):
                tokens = self._codec.encode_text(text)
                self._admission.remember(("", text), (1, len(tokens)))
                cut = self._windows(tokens, stride)
                windows += cut
                places += [(index, place) for place in range(len(cut))]
                logprobs.append([math.nan] * len(cut))
        missing = list(map(len, logprobs))
        if empty := {index: 0.0 for index, count in enumerate(missing) if not count}:
            yield empty
        for found in self._score(windows):
            finished = {}
            for window, (logprob, _) in found.items():
                index, place = places[window]
                logprobs[index][place] = logprob
                missing[index] -= 1
                if not missing[index]:
                    # Added up in order, without the correction that `sum` makes since Python 3.12.
                    finished[index] = functools.reduce(operator.add, logprobs[index], 0.0)
            yield finished

    def _windows(self, tokens: list[int], stride: int | None) -> list[IdPair]:
        """A long text's ids as pairs of what is given and what is predicted, cut as lm-eval does it."""
        longest = UNLIMITED if self._admission.limit is None else self._admission.limit
        before = 1 if stride is None else longest - stride + 1
        windows = get_rolling_token_windows(tokens, self._codec.prefix_token_id, longest, before)
        return [make_disjoint_window(window) for window in windows]

    def _score(
        self, pairs: Sequence[IdPair], owners: Mapping[int, int] = MappingProxyType({})
    ) -> Iterator[dict[int, Answer]]:
        """Answers of pairs: first those that need no model, not a number where a pair is excluded.

        Args:
            pairs: Ids of what is given and of what is scored.
            owners: The request that a pair belongs to, by the pair's index, where the two differ.
        """
        admitted = [
            index
            for index, (context, continuation) in enumerate(pairs)
            if self._admission.admit(
                f"Request {owners.get(index, index)}",
                [*context, *continuation],
                len(context) + len(continuation) - 1,
            )
        ]
        stored = self._answers.scores([pairs[index] for index in admitted])
        known = {admitted[place]: answer for place, answer in stored.items()}
        self._meter.count(requests_known=len(known))
        excluded = set(range(len(pairs))).difference(admitted)
        if answered := dict.fromkeys(excluded, (math.nan, False)) | known:
            yield answered
        missing = [index for index in admitted if index not in known]
        rest = [pairs[index] for index in missing]
        for finished in score_pairs(rest, self._scorer, self._budget, self._meter):
            self._answers.keep_scores(rest, finished)
            yield {missing[place]: answer for place, answer in finished.items()}


def _differences(
    batches: Iterable[Mapping[int, Answer]], subtracted: Mapping[int, int]
) -> Iterator[dict[int, Answer]]:
    """Answers from which those of other pairs are subtracted.

    Args:
        batches: Answers of all pairs, by index.
        subtracted: By the index of a pair that is subtracted, that of the pair it is subtracted from.
    """
    waiting = set(subtracted.values())
    wholes: dict[int, Answer] = {}
    parts: dict[int, Answer] = {}
    for found in batches:
        finished = {}
        for index, answer in found.items():
            request = subtracted.get(index, index)
            if request not in waiting:
                finished[request] = answer
                continue
            (parts if index in subtracted else wholes)[request] = answer
            if request in parts and request in wholes:
                (whole, greedy), (part, _) = wholes.pop(request), parts.pop(request)
                finished[request] = whole - part, greedy
        yield finished
