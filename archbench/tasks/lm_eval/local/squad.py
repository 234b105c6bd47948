"""SQuAD v2 with a score for every question, where lm-eval's own task scores only the whole set."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from lm_eval.tasks.squadv2.task import SQuAD2

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(answer: str) -> str:
    """An answer as the official script compares it: lower case, no punctuation, articles or extra spaces."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def exact(answer: str, gold: str) -> float:
    """1 where the answers are the same after `normalised`."""
    return float(normalised(answer) == normalised(gold))


def f1(answer: str, gold: str) -> float:
    """Harmonic mean of precision and recall over words; of two answers without words, 1, of one, 0.

    Rajpurkar et al. 2018 (arXiv 1806.03822), the official evaluation script.
    """
    given, wanted = normalised(answer).split(), normalised(gold).split()
    if not given or not wanted:
        return float(given == wanted)
    common = sum((Counter(given) & Counter(wanted)).values())
    return 2 * common / (len(given) + len(wanted))


class SquadV2(SQuAD2):  # type: ignore[misc]  # lm-eval is not typed
    """lm-eval's `squadv2`: the same prompts and requests, scored question by question.

    The official `exact` and `f1` of a set are the means of these scores: at the script's default threshold
    of 1 no answer is ever taken back for its probability of being unanswerable. Scores of the best threshold,
    which belong to no single question, are left out; lm-eval needs a download to make any of them.
    """

    # lm-eval's own methods lack the second argument, which it passes for the texts of shots.
    def doc_to_text(self, doc: Mapping[str, Any], doc_to_text: Any = None) -> str:
        """Title, passage and question."""
        return str(super().doc_to_text(doc))

    def doc_to_target(self, doc: Mapping[str, Any], doc_to_target: Any = None) -> str:
        """The first reference answer, or `unanswerable`; in a shot it follows the delimiter, a space."""
        return str(super().doc_to_target(doc)).removeprefix(" ")

    def process_results(self, doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, float]:
        """Best agreement with any of the reference answers; an unanswerable question wants no words."""
        answer = str(results[0])
        # References without a word in them do not count, unless there are no others.
        golds = [text for text in doc["answers"]["text"] if normalised(text)] or [""]
        return {
            "exact": max(exact(answer, one) for one in golds),
            "f1": max(f1(answer, one) for one in golds),
        }

    def aggregation(self) -> dict[str, Callable[[Sequence[float]], float]]:
        """Means over questions."""
        return {"exact": fmean, "f1": fmean}

    def higher_is_better(self) -> dict[str, bool]:
        """More is better."""
        return {"exact": True, "f1": True}
