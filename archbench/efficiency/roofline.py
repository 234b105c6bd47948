"""How long a decoding step must take at least: bytes over bandwidth, operations over peak, whichever is more.

A prediction in the sense of the roofline model (Williams, Waterman & Patterson 2009): one device whose memory
never idles. Every step reads all weights once (of experts only those that the batch is expected to choose,
of a token embedding only the batch's rows), reads the whole cache, and reads and writes recurrent states.
Kernel launches, activations, communication, and whether it all fits into the memory are left out: of two
models' predictions the quotient means more than either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from archbench.efficiency.sizes import BYTES, Sizes
from archbench.errors import RequestError


@dataclass(frozen=True)
class Hardware:
    """A device.

    Attributes:
        name: For captions.
        bandwidth: Memory bandwidth, bytes per second.
        peak: Floating-point operations per second of dense matrix products in the dtype meant.
    """

    name: str
    bandwidth: float
    peak: float


H100 = Hardware("H100 SXM, bf16", bandwidth=3.35e12, peak=989e12)
"""NVIDIA's data sheet: 3.35 TB/s, 989 TFLOPS of dense bf16 (half of what is printed with sparsity)."""


@dataclass(frozen=True)
class Step:
    """One decoding step of a batch: each sequence gets one token.

    Attributes:
        weight_bytes: Weights read.
        cache_bytes: Keys and values read and added, states read and written.
        flops: Operations.
        seconds: The longer of the two times; to a sequence, the time between its tokens.
        bound: What that is.
    """

    weight_bytes: float
    cache_bytes: float
    flops: float
    seconds: float
    bound: Literal["memory", "compute"]


def decoding_step(
    sizes: Sizes, context: int, *, batch: int = 1, hardware: Hardware = H100, dtype: str = "bfloat16"
) -> Step:
    """Predict one decoding step.

    Args:
        sizes: The model.
        context: Tokens that each sequence has so far.
        batch: Sequences decoded at once.
        hardware: The device.
        dtype: Of weights, cache and states.

    Raises:
        RequestError: A part of the model is unknown, so that its cost is.
    """
    flops, state = sizes.inference_flops(context), sizes.state_bytes(batch=batch, dtype=dtype)
    kept, added = (sizes.kv_bytes(n, batch=batch, dtype=dtype) for n in (context, 1))
    if flops is None or state is None or kept is None or added is None:
        why = ", ".join(sizes.unknown) or "how many experts a token goes to"
        raise RequestError(f"Decoding cannot be predicted: it is not known what this model keeps ({why}).")
    weights = _weights_read(sizes, batch) * BYTES[dtype]
    cache = kept + added + 2 * state
    memory, compute = (weights + cache) / hardware.bandwidth, batch * flops / hardware.peak
    return Step(
        weight_bytes=weights,
        cache_bytes=cache,
        flops=batch * flops,
        seconds=max(memory, compute),
        bound="memory" if memory >= compute else "compute",
    )


def speedups(
    sizes: Sizes,
    baseline: Sizes,
    contexts: Sequence[int],
    *,
    batch: int = 32,
    hardware: Hardware = H100,
    dtype: str = "bfloat16",
) -> list[float]:
    """How many times faster a model decodes than a baseline, at each context.

    Args:
        sizes: The model.
        baseline: What it is compared with.
        contexts: Tokens that each sequence has so far.
        batch: Sequences decoded at once; 32 as in Waleffe et al. 2024 (arXiv 2406.07887).
        hardware: The device.
        dtype: Of weights, cache and states.
    """

    def seconds(of: Sizes, context: int) -> float:
        return decoding_step(of, context, batch=batch, hardware=hardware, dtype=dtype).seconds

    return [seconds(baseline, context) / seconds(sizes, context) for context in contexts]


def _weights_read(sizes: Sizes, batch: int) -> float:
    """Parameters that a step reads; with experts the expected number, their choices taken as independent."""
    read = float(sizes.parameters) - sizes.by_kind.get("position", 0)
    if "head" in sizes.by_kind:
        read -= sizes.by_kind.get("embedding", 0)
    for number, share in sizes.routed:
        read -= number * (1 - (share or 0.0)) ** batch
    return read
