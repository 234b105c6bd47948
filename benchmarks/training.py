"""`python -m benchmarks.training`: tokens a second in training, by transformers' reference and by archbench.

For each model a whole optimizer step is timed (forward, backward, AdamW) on 8 × 256 tokens on the CPU: with
transformers' own torch code as it is without CUDA kernels, and with archbench's scans and convolution
(`archbench.models.kernels.mixers`). Both start from the same weights; the largest differences of logits and
gradients are measured first. The transformer (four layers of width 64) is there for scale: nothing of it is
replaced.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from archbench.models.build import build_model
from archbench.models.kernels.mixers import fast_mixers
from benchmarks.command import print_results

if TYPE_CHECKING:
    from transformers import PreTrainedModel

VOCAB = 864
_MAMBA2 = {
    "model_type": "mamba2",
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_heads": 4,
    "head_dim": 32,
    "state_size": 32,
    "n_groups": 1,
}
MODELS: dict[str, dict[str, Any]] = {
    "mamba": {"model_type": "mamba", "hidden_size": 64, "num_hidden_layers": 2},
    "mamba2": _MAMBA2,
    "mamba2-chunk32": {**_MAMBA2, "chunk_size": 32},
    "mamba2-state64": {**_MAMBA2, "num_heads": 2, "head_dim": 64, "state_size": 64},
    "transformer": {
        "model_type": "nemotron",
        "hidden_size": 64,
        "num_hidden_layers": 4,
        "intermediate_size": 220,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
    },
}
"""Mamba-2 as in the microworld family, at transformers' chunk of 256 steps and at the family's of 32, which
was chosen because the reference is fastest with it; and with heads and states twice as wide, at 256 again."""


def batch(sequences: int, length: int) -> torch.Tensor:
    """Token ids, the same each time; speed does not depend on them."""
    return torch.randint(0, VOCAB, (sequences, length), generator=torch.Generator().manual_seed(0))


def loss_of(model: PreTrainedModel, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and the mean loss of the next token."""
    logits = model(input_ids=ids, use_cache=False).logits
    # As in training: the last position of a window has nothing to predict.
    return logits, F.cross_entropy(logits.flatten(0, 1), F.pad(ids[:, 1:], (0, 1), value=-100).flatten())


def differences(model: PreTrainedModel, ids: torch.Tensor) -> tuple[float, float]:
    """Largest absolute differences of logits and gradients between the two ways."""

    def results() -> tuple[torch.Tensor, list[torch.Tensor]]:
        model.zero_grad()
        logits, loss = loss_of(model, ids)
        loss.backward()
        return logits.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]

    logits, gradients = results()
    with fast_mixers(model):
        ours, our_gradients = results()
    largest = [(a - b).abs().max() for a, b in zip(our_gradients, gradients, strict=True)]
    return (ours - logits).abs().max().item(), torch.stack(largest).max().item()


def step_of(model: PreTrainedModel, ids: torch.Tensor) -> Callable[[], None]:
    """One optimizer step on the same batch."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        loss_of(model, ids)[1].backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def seconds(step: Callable[[], None], repeats: int) -> list[float]:
    """Wall-clock seconds of each of some steps, after one that warms up."""
    step()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        step()
        taken.append(time.perf_counter() - began)
    return taken


def measure(name: str, threads: int, ids: torch.Tensor, repeats: int) -> dict[str, Any]:
    """One model with so many threads: the two ways in turn, of each the fastest step."""
    torch.set_num_threads(threads)
    model = build_model(MODELS[name], seed=0, vocab_size=VOCAB)
    logits, gradients = differences(model, ids)
    step = step_of(model, ids)
    taken: dict[str, list[float]] = {"reference": [], "archbench": []}
    for _ in range(repeats):
        for way, found in taken.items():
            with contextlib.nullcontext() if way == "reference" else fast_mixers(model):
                found += seconds(step, 1 if way == "reference" else 3)
    rate = {way: ids.numel() / min(found) for way, found in taken.items()}
    return {
        "model": name,
        "threads": threads,
        "tokens_per_second_reference": round(rate["reference"]),
        "tokens_per_second_archbench": round(rate["archbench"]),
        "ratio": round(rate["archbench"] / rate["reference"], 2),
        "max_abs_diff_logits": logits,
        "max_abs_diff_gradients": gradients,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON list at the end")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sequences", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args(argv)
    ids = batch(arguments.sequences, arguments.length)
    results = (
        measure(name, threads, ids, arguments.repeats)
        for name in arguments.models
        for threads in arguments.threads
    )
    print_results(results, arguments.json)


if __name__ == "__main__":
    main()
