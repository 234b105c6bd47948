"""What a run is refused for besides its suite: a device that is not there, results that it would replace."""

from __future__ import annotations

from pathlib import Path

from archbench.errors import RequestError, amount
from archbench.runner.planned import Plan
from archbench.suite import Suite


def check_device(suite: Suite) -> None:
    """Refuse a device that this machine has not.

    Raises:
        RequestError: If so; says what there is.
    """
    kind, _, index = suite.engine.device.partition(":")
    if kind in ("auto", "cpu"):
        return
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    metal = torch.backends.mps.is_available()
    if metal if kind == "mps" else int(index or 0) < count:
        return
    there = ", ".join(["cpu", *(f"cuda:{one}" for one in range(count)), *(["mps"] if metal else [])])
    raise RequestError(
        f"{suite.where('engine', 'device')}: this machine has no device '{suite.engine.device}'. It has: "
        f"{there}; 'auto' takes CUDA where there is one, else the CPU."
    )


def check_nothing_replaced(plan: Plan, out: Path) -> None:
    """Refuse a run that would replace finished cells of other settings.

    Raises:
        RequestError: If there are any.
    """
    replaced = [cell.id for cell in plan.cells if cell.replaces]
    if replaced:
        cells = amount(len(replaced), "finished cell")
        raise RequestError(
            f"{out} holds {cells} of other settings, models or data, or of a newer archbench, that this run "
            f"would replace (the first: {replaced[0]}). Name another results folder with --out DIR (from "
            "Python: out), or replace them with --overwrite (overwrite=True)."
        )
