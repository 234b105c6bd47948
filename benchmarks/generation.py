"""`python -m benchmarks.generation`: one phonebook asked many times, by archbench and by lm-eval's `hf`.

Both answer the same lm-eval requests with the same model object in this process, archbench first. Both times
include tokenisation; archbench's includes its exactness gate, lm-eval's leaves out the search for its best
batch size, which is done on some of the requests beforehand.

lm-eval pads on the left, which enters the state of recurrent layers, so its texts may differ from those of
each prompt on its own; archbench's may not, and `differing_alone` counts where they do.
"""

from __future__ import annotations

import argparse
import itertools
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from lm_eval.api.instance import Instance

from archbench.draw import Draw
from archbench.engine import load_lm
from archbench.tasks.phonebook.items import Layout, items_by_entries
from archbench.tasks.phonebook.pool import draw_entries
from archbench.tasks.phonebook.prompts import book_lines
from benchmarks.command import add_comparison, add_models, parser_of, print_results, set_threads
from benchmarks.models import make_model, train_tokenizer
from benchmarks.scoring import hflm, peak_bytes, reset_peak, timed

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Entries of other books that the tokenizer is trained on.
_TRAINING = 5000


def phonebook_tokenizer(vocab: int) -> PreTrainedTokenizerBase:
    """A byte-level BPE trained on phonebooks, every digit a token of its own as in most current models."""
    entries = itertools.islice(draw_entries(Draw(1, "benchmark")), _TRAINING)
    texts = [book_lines(list(entries)), "What is the phone number for?\nAnswer:"]
    return train_tokenizer(texts, vocab, single_digits=True)


def requests_of(entries: int, queries: int, new: int) -> list[Instance]:
    """One book's questions, each answered by exactly so many tokens unless the model ends its text."""
    items = items_by_entries(0, "standard", entries, 1, Layout(queries=queries))
    settings = {"until": [], "max_gen_toks": new, "do_sample": False}
    return [
        Instance("generate_until", {}, (item["prompt"], settings), index) for index, item in enumerate(items)
    ]


def generate(lm: Any, requests: Sequence[Instance]) -> list[str]:
    """The texts that an LM writes."""
    with warnings.catch_warnings():
        # transformers says that generation settings and a length were both given, as lm-eval does.
        warnings.simplefilter("ignore")
        return list(lm.generate_until(list(requests), disable_tqdm=True))


def best_batch_size(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    requests: Sequence[Instance],
    sizes: Sequence[int],
) -> int:
    """The batch size at which lm-eval is fastest per request, tried on no more requests than it needs."""
    seconds = {}
    for size in sizes:
        sample = requests[: max(size, 4)]
        lm = hflm(model, tokenizer, size)
        seconds[size] = timed(model, lambda lm=lm, sample=sample: generate(lm, sample))[0] / len(sample)
    return min(seconds, key=lambda size: seconds[size])


def compare(
    name: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    requests: Sequence[Instance],
    sizes: Sequence[int],
) -> dict[str, Any]:
    """Time both on the same requests and compare their texts."""
    # What libraries allocate once, in the first pass of a process, is neither side's.
    generate(load_lm(model, tokenizer), requests[:1])
    lm = load_lm(model, tokenizer)
    before = reset_peak(model)
    ours, texts = timed(model, lambda: generate(lm, requests))
    memory = peak_bytes(model) - before
    size = best_batch_size(model, tokenizer, requests, sizes)
    before = reset_peak(model)
    theirs, expected = timed(model, lambda: generate(hflm(model, tokenizer, size), requests))
    memory_lm_eval = peak_bytes(model) - before
    alone = generate(load_lm(model, tokenizer, cache_bytes=0, batch_tokens=1), requests)
    return {
        "work": f"one phonebook, {len(requests)} queries",
        "model": name,
        "seconds_lm_eval": round(theirs, 2),
        "seconds_archbench": round(ours, 2),
        "ratio": round(theirs / ours, 2),
        "forwarded": lm.usage.tokens_forwarded,
        "distinct": lm.usage.tokens_distinct,
        # Generations are texts: neither side hands out log-probabilities with them.
        "max_abs_diff": None,
        "differing": sum(a != b for a, b in zip(texts, expected, strict=True)),
        "differing_alone": sum(a != b for a, b in zip(texts, alone, strict=True)),
        "requested": lm.usage.tokens_requested,
        "batch_size_lm_eval": size,
        "peak_mb_archbench": memory // 2**20,
        "peak_mb_lm_eval": memory_lm_eval // 2**20,
        "level": lm.exactness.level,
    }


def run(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The same book put to every model."""
    set_threads(arguments)
    tokenizer = phonebook_tokenizer(arguments.vocab)
    requests = requests_of(arguments.entries, arguments.queries, arguments.new)
    for name in arguments.models:
        dtype = getattr(torch, arguments.dtype)
        model = make_model(name, vocab=arguments.vocab, device=arguments.device, dtype=dtype)
        yield compare(name, model, tokenizer, requests, arguments.batch_sizes)


def main(argv: Sequence[str] | None = None) -> None:
    """Run and print."""
    parser = parser_of("generation", __doc__)
    add_models(parser)
    parser.add_argument("--entries", type=int, default=100, help="of the book")
    parser.add_argument("--queries", type=int, default=32)
    parser.add_argument("--new", type=int, default=8, help="tokens to generate")
    add_comparison(parser, [1, 4, 8, 16, 32])
    arguments = parser.parse_args(argv)
    print_results(run(arguments), arguments.json)


if __name__ == "__main__":
    main()
