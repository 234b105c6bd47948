"""What the commands of the benchmarks have in common: their options, and how results are printed."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from benchmarks.models import ARCHITECTURES, VOCAB

FORMATS = ("standard", "choice_text", "cloze")
"""MMLU's."""


def parser_of(name: str, about: str | None) -> argparse.ArgumentParser:
    """The command line of `python -m benchmarks.<name>`, with `--json`.

    Args:
        name: The benchmark.
        about: What it measures; printed as it is.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list at the end")
    return parser


def add_mmlu(parser: argparse.ArgumentParser) -> None:
    """Options of what asks MMLU: where the data are, and how much of them is asked how."""
    parser.add_argument("--data", type=Path, required=True, help="folder with MMLU and text")
    parser.add_argument("--formats", nargs="+", default=FORMATS, choices=FORMATS)
    parser.add_argument("--subjects", type=int, default=10, help="the first so many subjects, whole")
    parser.add_argument("--limit", type=int, default=None, help="only so many questions of each")
    parser.add_argument("--shots", type=int, default=5)


def add_models(parser: argparse.ArgumentParser) -> None:
    """Which of the models that all benchmarks share."""
    parser.add_argument("--models", nargs="+", default=list(ARCHITECTURES), choices=list(ARCHITECTURES))


def add_comparison(parser: argparse.ArgumentParser, batch_sizes: list[int]) -> None:
    """Options of what compares with lm-eval: the batch sizes it tries, and what both sides run on."""
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=batch_sizes, help="lm-eval's, tried")
    parser.add_argument("--vocab", type=int, default=VOCAB)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves its default")


def set_threads(arguments: argparse.Namespace) -> None:
    """Give torch as many threads as `--threads` says."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)


def print_results(results: Iterable[dict[str, Any]], as_json: bool) -> None:
    """Print each result on a line as soon as it is there, or all at the end as one JSON list."""
    if as_json:
        print(json.dumps([_finite(result) for result in results], indent=1))
        return
    for result in results:
        print(json.dumps(_finite(result)), flush=True)


def _finite(result: dict[str, Any]) -> dict[str, Any]:
    """A result; one with a number that is none is refused, since one side of the comparison has failed."""
    bad = [name for name, value in result.items() if isinstance(value, float) and not math.isfinite(value)]
    if bad:
        raise RuntimeError(f"{bad[0]} is {result[bad[0]]}: no finite number came out of {result}")
    return result
