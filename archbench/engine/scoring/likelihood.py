"""Answer requests for log-likelihoods: find what was answered before, cut long texts, score the rest."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from archbench.engine.admission import Admission
from archbench.engine.limits import UNLIMITED
from archbench.engine.scoring.batching import Budget
from archbench.engine.scoring.forward import Scorer
from archbench.engine.scoring.pairs import IdPair, Settings, score_pairs
from archbench.engine.store import Answers
from archbench.engine.text import Codec, spanning
from archbench.engine.usage import Meter, Report
from archbench.errors import RequestError

log = logging.getLogger(__name__)

Encoded = tuple[tuple[str, str] | None, Sequence[int], Sequence[int]]
"""A request's texts, where it has any, with the ids of its context and of its continuation."""


class Likelihoods:
    """What a model's log-likelihoods are, from texts to numbers in nats."""

    def __init__(
        self,
        scorer: Scorer,
        codec: Codec,
        admission: Admission,
        *,
        answers: Answers,
        budget: Budget,
        settings: Settings,
        stride: int | None,
        meter: Meter,
    ) -> None:
        """For one model.

        Args:
            scorer: What runs the forward passes.
            codec: The tokenizer.
            admission: Which inputs are put to the model; told the lengths of all.
            answers: What was answered before.
            budget: Tokens that a forward pass may hold.
            settings: How pairs are scored.
            stride: Tokens that each window of a long text after the first predicts; None for no overlap.
            meter: Counts the work.

        Raises:
            RequestError: The stride is no number of tokens that a window can predict.
        """
        if stride is not None and stride < 1:
            raise RequestError(f"rolling_stride ({stride}) counts tokens: at least 1.")
        if stride is not None and not admission.fits(stride):
            raise RequestError(
                f"rolling_stride ({stride}) is how many tokens a window predicts, so it can be at "
                f"most the longest input of {settings.name}, {admission.limit} tokens (max_length)."
            )
        self._scorer = scorer
        self._codec = codec
        self._admission = admission
        self._answers = answers
        self._budget = budget
        self._settings = settings
        self._stride = stride
        self._meter = meter

    def of_pairs(self, pairs: Sequence[tuple[str, str]], report: Report) -> list[tuple[float, bool]]:
        """Log-likelihood of each continuation after its context, and whether it is the greedy one."""
        ids = self._codec.encode_pairs(pairs)
        spanned = sum(one.spans for one in ids)
        self._meter.count(pairs=len(pairs), pairs_spanned=spanned)
        if spanned:
            log.warning("%s: %s", self._settings.name, spanning(spanned, len(pairs), self._codec.exact))
        encoded: list[Encoded] = [
            (pair, one.context, one.continuation) for pair, one in zip(pairs, ids, strict=True)
        ]
        return self.of_ids(encoded, report)

    def of_ids(self, requests: Sequence[Encoded], report: Report) -> list[tuple[float, bool]]:
        """As `of_pairs`, of pairs that are encoded."""
        finished = 0

        def done(indices: Collection[int]) -> None:
            nonlocal finished
            finished += len(indices)
            report(finished, len(requests))

        scores = self._score([(context, continuation) for _, context, continuation in requests], done)
        for pair, context, continuation in requests:
            if pair is not None:
                self._admission.remember(pair, (len(context), len(continuation)))
                if not self._admission.fits(len(context) + len(continuation) - 1):
                    self._admission.exclude(pair)
        return scores

    def of_texts(self, texts: Sequence[str], report: Report) -> list[float]:
        """Log-likelihood of each text, long ones in windows."""
        windows: list[tuple[list[int], list[int]]] = []
        owner: list[int] = []
        with self._codec.primed(text for text in texts if text):
            for index, text in enumerate(texts):
                tokens = self._codec.encode_text(text)
                self._admission.remember(("", text), (1, len(tokens)))
                cut = self._windows(tokens)
                windows += cut
                owner += [index] * len(cut)
        unscored = Counter(owner)

        def done(indices: Collection[int]) -> None:
            unscored.subtract(owner[index] for index in indices)
            report(len(texts) - sum(count > 0 for count in unscored.values()), len(texts))

        totals = [0.0] * len(texts)
        for index, (logprob, _) in zip(owner, self._score(windows, done), strict=True):
            totals[index] += logprob
        return totals

    def _windows(self, tokens: list[int]) -> list[tuple[list[int], list[int]]]:
        """A long text's ids as pairs of what is given and what is predicted, cut as lm-eval does it."""
        longest = UNLIMITED if self._admission.limit is None else self._admission.limit
        before = 1 if self._stride is None else longest - self._stride + 1
        windows = get_rolling_token_windows(tokens, self._codec.prefix_token_id, longest, before)
        return [make_disjoint_window(window) for window in windows]

    def _score(
        self, pairs: Sequence[IdPair], done: Callable[[Collection[int]], None]
    ) -> list[tuple[float, bool]]:
        admitted = [
            index
            for index, (context, continuation) in enumerate(pairs)
            if self._admission.admit(
                f"Request {index}", [*context, *continuation], len(context) + len(continuation) - 1
            )
        ]
        stored = self._answers.scores([pairs[index] for index in admitted])
        known = {admitted[place]: answer for place, answer in stored.items()}
        answered = dict.fromkeys(set(range(len(pairs))).difference(admitted), (math.nan, False)) | known
        if answered:
            done(answered)
        missing = [index for index in admitted if index not in known]
        asked = [pairs[index] for index in missing]

        def keep(found: dict[int, tuple[float, bool]]) -> None:
            self._answers.keep_scores(asked, found)
            done(found)

        self._meter.count(requests_known=len(known))
        scores = score_pairs(
            asked,
            scorer=self._scorer,
            budget=self._budget,
            settings=self._settings,
            done=keep,
            count=self._meter.count,
        )
        answered |= zip(missing, scores, strict=True)
        return [answered[index] for index in range(len(pairs))]
