"""`python -m benchmarks.overhead --data DIR`: where the engine's time goes, in few-shot MMLU.

archbench scores the requests of `benchmarks.scoring`; a clock is stopped and started at the borders of its
parts, so that every moment belongs to one of them:

    model          forward passes, the output head included
    states         copying held states into batches, gathering rows, log-probabilities
    tokenising     texts to tokens; what any harness has to do
    checks         the model's fingerprint and the exactness check, once per model
    trie, forks    laying the requests into a trie and deciding what is held
    store          keeping every answer in SQLite
    bookkeeping    all the rest: batches, answers, counts

`overhead` is the share of the last three lines (trie and forks, store, bookkeeping) in the whole.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from archbench.engine import fingerprint, load_lm
from archbench.engine.scoring.forward import Scorer
from archbench.engine.sharing import pairs as scoring
from archbench.engine.sharing.forks import Forks
from archbench.engine.sharing.trie import Trie
from archbench.engine.store import Answers, RequestStore
from archbench.engine.text import Codec
from benchmarks.command import add_mmlu, add_models, parser_of, print_results
from benchmarks.models import VOCAB, make_model, make_tokenizer
from benchmarks.scoring import mmlu_folder, requests_of

_ENGINE = ("trie, forks", "store", "bookkeeping")


class Clock:
    """Divides wall-clock time among parts: the innermost that is running gets it.

    Attributes:
        seconds: Of each part so far.
    """

    def __init__(self, rest: str) -> None:
        """Start; what no part claims goes to `rest`."""
        self.seconds: dict[str, float] = {}
        self._running = [rest]
        self._since = time.perf_counter()

    @contextlib.contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Give a part the time spent inside, but for what parts inside it claim; checks keep all theirs."""
        self._charge()
        self._running.append("checks" if self._running[-1] == "checks" else part)
        try:
            yield
        finally:
            self._charge()
            self._running.pop()

    def _charge(self) -> None:
        now = time.perf_counter()
        part = self._running[-1]
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._since
        self._since = now

    def stop(self) -> dict[str, float]:
        """Seconds of each part."""
        self._charge()
        return self.seconds


@contextlib.contextmanager
def clocked(model: torch.nn.Module) -> Iterator[Clock]:
    """Run the clock over whatever the engine does inside."""
    clock = Clock("bookkeeping")

    def timed(owner: Any, name: str, part: str) -> Any:
        function: Callable[..., Any] = getattr(owner, name)

        @wraps(function)
        def work(*args: Any, **kwargs: Any) -> Any:
            with clock.of(part):
                return function(*args, **kwargs)

        return mock.patch.object(owner, name, work)

    with (
        timed(type(model), "forward", "model"),
        timed(Scorer, "score", "states"),
        timed(Scorer, "logits", "states"),
        timed(Codec, "encode_pairs", "tokenising"),
        timed(fingerprint, "model_fingerprint", "checks"),
        timed(scoring, "exactness", "checks"),
        timed(Trie, "__init__", "trie, forks"),
        timed(Forks, "after", "trie, forks"),
        timed(Answers, "scores", "store"),
        timed(Answers, "keep_scores", "store"),
    ):
        yield clock


def measure(name: str, form: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One model on one format."""
    folder = mmlu_folder(arguments.data)
    tokenizer = make_tokenizer(arguments.data, questions=folder, vocab=VOCAB)
    requests = requests_of(folder, form, arguments.shots, arguments.subjects, arguments.limit)
    model = make_model(name, vocab=len(tokenizer), device="cpu", dtype=torch.float32)
    with (
        tempfile.TemporaryDirectory() as store_folder,
        contextlib.closing(RequestStore(Path(store_folder) / "requests.sqlite")) as store,
    ):
        engine = load_lm(model, tokenizer, max_length=8192, store=store)
        with clocked(model) as clock:
            engine.loglikelihood(requests)
        seconds = clock.stop()
    whole = sum(seconds.values())
    return {
        "work": f"mmlu {form}",
        "model": name,
        "requests": len(requests),
        "seconds": round(whole, 2),
        "overhead": round(sum(seconds.get(part, 0.0) for part in _ENGINE) / whole, 4),
        "parts": {part: round(one, 3) for part, one in sorted(seconds.items(), key=lambda item: -item[1])},
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Run and print."""
    parser = parser_of("overhead", __doc__)
    add_mmlu(parser)
    add_models(parser)
    arguments = parser.parse_args(argv)
    torch.manual_seed(0)
    results = (measure(name, form, arguments) for form in arguments.formats for name in arguments.models)
    print_results(results, arguments.json)


if __name__ == "__main__":
    main()
