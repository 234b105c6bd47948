"""The processes that train one model together, started by `accelerate launch` or torchrun; or the only one.

Every process knows all batches. Of each it takes its share of the windows, and gradients are averaged, so
that a step is the same whatever the number of processes (within the rounding of sums taken in another order).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from transformers import PreTrainedModel

from archbench.data.stream import Tokens
from archbench.errors import RequestError


class Devices:
    """This process among those that train together.

    Attributes:
        device: Where its model goes.
        rank: Its number.
        count: How many there are.
    """

    def __init__(self) -> None:
        """Join the others, where a launcher's environment says that there are any."""
        on_gpu = torch.cuda.is_available()
        self.device, self.rank, self.count = torch.device("cuda" if on_gpu else "cpu"), 0, 1
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from accelerate import PartialState

            state = PartialState(cpu=not on_gpu)
            self.device, self.rank, self.count = state.device, state.process_index, state.num_processes

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and reports progress."""
        return self.rank == 0

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.count > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()

    def check_share(self, sequences: int) -> None:
        """Refuse a batch that cannot be dealt out evenly.

        Raises:
            RequestError: naming the numbers that would do.
        """
        if sequences % self.count:
            fitting = [n for n in range(1, sequences + 1) if sequences % n == 0]
            raise RequestError(
                f"recipe: a batch of {sequences} windows cannot be shared evenly among {self.count} "
                f"processes; start {', '.join(map(str, fitting[:-1]))} or {fitting[-1]} of them."
            )

    def share(self, batch: Tokens) -> Tokens:
        """This process's windows of a batch."""
        each = len(batch) // self.count
        return batch[self.rank * each : (self.rank + 1) * each]

    def mean(self, value: torch.Tensor) -> float:
        """The mean of the processes' values."""
        if self.count > 1:
            value = value.detach().clone()
            torch.distributed.all_reduce(value)
            value /= self.count
        return value.item()

    def wrap(self, model: PreTrainedModel) -> Callable[..., Any]:
        """The model, with gradients averaged over the processes in each backward pass."""
        wrapped: Callable[..., Any] = model
        if self.count > 1:
            device_ids = [self.device] if self.device.type == "cuda" else None
            wrapped = torch.nn.parallel.DistributedDataParallel(model, device_ids=device_ids)
        return wrapped
