"""`python -m benchmarks.scoring --data DIR`: few-shot MMLU by archbench and by lm-eval's `hf`, side by side.

Both score the same lm-eval requests with the same model object in this process, archbench first. DIR is
searched for `test` and `dev` of MMLU (in DIR or DIR/mmlu) and for text to train a tokenizer on (`*.txt`
anywhere below). Both times include tokenisation; archbench's includes its exactness gate and its store of
answers, lm-eval's leaves out the search for its best batch size, which is done on a sample beforehand.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import logging
import random
import re
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lm_eval.api.model import LM

from archbench.engine import load_lm
from archbench.engine.store import RequestStore
from archbench.tasks.mmlu.data import load
from archbench.tasks.mmlu.entry import MmluEntry
from archbench.tasks.work.evaluate import evaluate
from benchmarks.command import add_comparison, add_mmlu, add_models, parser_of, print_results, set_threads
from benchmarks.models import make_model, make_tokenizer

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_MAX_LENGTH = 8192
_SAMPLE = 48


class Recorder(LM):  # type: ignore[misc]
    """An LM that keeps the requests it is asked and answers nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Instance] = []

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Keep the requests."""
        self.requests += requests
        return [(0.0, False)] * len(requests)

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Not asked by MMLU."""
        raise self._unasked("loglikelihood_rolling")

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Not asked by MMLU."""
        raise self._unasked("generate_until")

    def _unasked(self, method: str) -> NotImplementedError:
        return NotImplementedError(
            f"The benchmark of scoring records requests for loglikelihood; {method} was called, which MMLU "
            "does not ask: its task is another than the benchmark expects."
        )


def requests_of(data: Path, form: str, shots: int, subjects: int, limit: int | None) -> list[Instance]:
    """The requests of one format over the first so many subjects, in alphabetical order."""
    names = sorted({item.subject for item in load(str(data)).test})[:subjects]
    entry = MmluEntry.model_validate(
        {"data": str(data), "formats": [form], "shots": [shots], "subjects": names, "limit": limit}
    )
    recorder = Recorder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        variant = entry.variants()[0]
        evaluate(recorder, variant.work, metric=variant.metric, seed=0)
    return recorder.requests


def hflm(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_size: int) -> Any:
    """lm-eval's own class around the same model object."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lm_eval.models.huggingface import HFLM

        # It notes that it was given a model object, each time.
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        return HFLM(
            pretrained=model,
            tokenizer=tokenizer,
            batch_size=batch_size,
            max_length=_MAX_LENGTH,
            device=str(model.device),
        )


def timed(model: PreTrainedModel, work: Callable[[], Any]) -> tuple[float, Any]:
    """Wall-clock seconds of a piece of work, and its result."""
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    result = work()
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, result


def reset_peak(model: PreTrainedModel) -> int:
    """Begin a new high-water mark of memory: of the accelerator, or of the process where it has none.

    Returns:
        Bytes that are in use already: model, requests, libraries.
    """
    gc.collect()
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        # Give back what was freed first, or the mark would begin where the work before it ended.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak_bytes(model)


def peak_bytes(model: PreTrainedModel) -> int:
    """High-water mark of memory since `reset_peak`, what was in use then included."""
    if model.device.type == "cuda":
        return int(torch.cuda.max_memory_allocated())
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"VmHWM:\s*(\d+) kB", status)[0]) * 1024


@contextlib.contextmanager
def seconds_inside(model: PreTrainedModel) -> Iterator[list[float]]:
    """Collect the wall-clock seconds that each forward pass of a model takes."""
    seconds: list[float] = []
    began = 0.0

    def begin(*_: Any) -> None:
        nonlocal began
        if model.device.type == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()

    def end(*_: Any) -> None:
        if model.device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)

    hooks = [model.register_forward_pre_hook(begin), model.register_forward_hook(end)]
    try:
        yield seconds
    finally:
        for hook in hooks:
            hook.remove()


def best_batch_size(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    requests: Sequence[Instance],
    sizes: Sequence[int],
) -> int:
    """The batch size at which lm-eval is fastest on a sample of the requests."""
    documents = sorted({one.doc_id for one in requests})
    drawn = set(random.Random(0).sample(documents, min(_SAMPLE, len(documents))))
    sample = [one for one in requests if one.doc_id in drawn]
    seconds = {}
    for size in sizes:
        lm = hflm(model, tokenizer, size)
        seconds[size] = timed(model, partial(lm.loglikelihood, sample, disable_tqdm=True))[0]
    return min(seconds, key=lambda size: seconds[size])


def compare(
    name: str,
    form: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    requests: list[Instance],
    sizes: Sequence[int],
) -> dict[str, Any]:
    """Time both on the same requests and compare their answers."""
    # What libraries allocate once, in the first pass of a process, is neither side's.
    load_lm(model, tokenizer, max_length=_MAX_LENGTH).loglikelihood(requests[:8])
    before = reset_peak(model)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(RequestStore(Path(folder) / "requests.sqlite")) as store,
        seconds_inside(model) as inside,
    ):
        lm = load_lm(model, tokenizer, max_length=_MAX_LENGTH, store=store)
        ours, answers = timed(model, lambda: lm.loglikelihood(requests))
    memory = peak_bytes(model) - before
    size = best_batch_size(model, tokenizer, requests, sizes)
    before = reset_peak(model)
    theirs, expected = timed(
        model, lambda: hflm(model, tokenizer, size).loglikelihood(requests, disable_tqdm=True)
    )
    # NumPy's largest is NaN where any is; Python's depends on the order.
    ours_and_theirs = np.array([[a[0], b[0]] for a, b in zip(answers, expected, strict=True)])
    difference = float(np.max(np.abs(ours_and_theirs[:, 0] - ours_and_theirs[:, 1])))
    return {
        "work": f"mmlu {form}",
        "model": name,
        "seconds_lm_eval": round(theirs, 2),
        "seconds_archbench": round(ours, 2),
        "ratio": round(theirs / ours, 2),
        "forwarded": lm.usage.tokens_forwarded,
        "distinct": lm.usage.tokens_distinct,
        "max_abs_diff": difference,
        "differing": sum(
            a != b for a, b in zip(decisions(requests, answers), decisions(requests, expected), strict=True)
        ),
        "items": len(decisions(requests, answers)),
        "requested": lm.usage.tokens_requested,
        "padded": lm.usage.tokens_padded,
        "seconds_in_model": round(sum(inside), 2),
        "batch_size_lm_eval": size,
        "peak_mb_archbench": memory // 2**20,
        "peak_mb_lm_eval": (peak_bytes(model) - before) // 2**20,
        "level": lm.exactness.level,
    }


def decisions(requests: Sequence[Instance], answers: Sequence[tuple[float, bool]]) -> list[int]:
    """For each document the index of the most likely choice; of equally likely ones, the first."""
    scores: dict[tuple[str | None, int], list[float]] = {}
    for request, (logprob, _) in zip(requests, answers, strict=True):
        scores.setdefault((request.task_name, request.doc_id), []).append(logprob)
    return [max(range(len(one)), key=one.__getitem__) for one in scores.values()]


def mmlu_folder(data: Path) -> Path:
    """Where the questions are."""
    return data / "mmlu" if (data / "mmlu").is_dir() else data


def run(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Every model on every format."""
    torch.manual_seed(0)
    set_threads(arguments)
    folder = mmlu_folder(arguments.data)
    tokenizer = make_tokenizer(arguments.data, questions=folder, vocab=arguments.vocab)
    for form in arguments.formats:
        requests = requests_of(folder, form, arguments.shots, arguments.subjects, arguments.limit)
        for name in arguments.models:
            model = make_model(
                name, vocab=len(tokenizer), device=arguments.device, dtype=getattr(torch, arguments.dtype)
            )
            yield compare(name, form, model, tokenizer, requests, arguments.batch_sizes)


def main(argv: Sequence[str] | None = None) -> None:
    """Run and print."""
    parser = parser_of("scoring", __doc__)
    add_mmlu(parser)
    add_models(parser)
    add_comparison(parser, [1, 2, 4, 8, 16])
    arguments = parser.parse_args(argv)
    print_results(run(arguments), arguments.json)


if __name__ == "__main__":
    main()
