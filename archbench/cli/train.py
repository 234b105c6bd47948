"""`archbench train`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from archbench.cli.members import Members, chosen_members
from archbench.cli.output import note, print_json
from archbench.cli.run import AsJson, Families
from archbench.errors import RunError

if TYPE_CHECKING:
    from archbench.training.result import TrainResult

EPILOG = """\
Examples:

  archbench train microworld

  archbench train microworld --members mamba2,transformer --out my-families

  archbench train microworld-kv-heads --tokens 1000000 --out my-families

  accelerate launch --multi_gpu --num_processes 4 -m archbench train microworld

All members see the same batches in the same order. A training that was stopped continues; --restart begins
anew. OUT is then a families folder: archbench run SUITE --families OUT --set 'families=\\[microworld]'
([{name: microworld, members: \\[mamba2]}] where only some members were trained). Ablations: docs/ablations.md
"""


def train(
    family: Annotated[str, typer.Argument(help="A family with a recipe (archbench list families).")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where the family with its checkpoints goes.")
    ] = Path("runs/families"),
    members: Members = None,
    tokens: Annotated[
        int | None,
        typer.Option("--tokens", min=1, help="Train on so many tokens instead of the recipe's number."),
    ] = None,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Begin anew; what is there is lost."),
    ] = False,
    checkpointing: Annotated[
        bool,
        typer.Option("--gradient-checkpointing", help="Less memory for more time; the weights are the same."),
    ] = False,
    families: Families = None,
    as_json: AsJson = False,
) -> None:
    """Train the members of a family, matched: one token stream, one recipe, many architectures."""
    from archbench.registry import find_family
    from archbench.training import train_family
    from archbench.training.loop.devices import Devices
    from archbench.training.records import table

    found = find_family(family, families or ())
    chosen = chosen_members(found, members)
    with _Bar() as bar:
        results = train_family(
            found,
            out=out,
            members=chosen,
            tokens=tokens,
            restart=restart,
            checkpointing=checkpointing,
            report=bar.report,
        )
    if not Devices().first:
        return
    records = [result.model_dump(mode="json", exclude={"curve", "validation_curve"}) for result in results]
    diverged = [result for result in results if result.outcome == "diverged"]
    if as_json:
        print_json(records)
        if diverged:
            raise RunError(_diverged(diverged))
        return
    for one in records:
        loss = one["validation_loss"]
        ends = one["outcome"] if loss is None else f"validation loss {loss:.3f} nats per token"
        typer.echo(
            f"{one['member']}: {ends}, {one['tokens']:,} tokens, {one['seconds']:.0f} s, {one['folder']}"
        )
    if (corpus := results[0].corpus) is not None:
        typer.echo(f"\n{_read(corpus)}")
    if any(result.runs for result in results):
        typer.echo(f"\n{table(results)}")
    if diverged:
        raise RunError(_diverged(diverged))
    which = f"{{name: {found.name}, members: [{', '.join(chosen)}]}}" if members else found.name
    typer.echo(
        f"\nTo evaluate these checkpoints: archbench run SUITE --families {out} --set 'families=[{which}]'"
    )


def _read(corpus: Mapping[str, Any]) -> str:
    """What text there was, and how much of it was read."""
    parts = [
        f"{100 * one['share']:.1f} % {name} ({one['documents']:,} documents, {one['tokens']:,} tokens, "
        f"{one['epochs']} epoch{'s' if one['epochs'] > 1 else ''})"
        for name, one in corpus.get("read", {}).items()
    ]
    read = f"\nread by each member: {', '.join(parts)}" if parts else ""
    return f"text: {corpus['description']}{read}"


def _diverged(results: Sequence[TrainResult]) -> str:
    """Say which members have no checkpoint, and why."""
    runs = [
        f"{one.member} ({f'all of {len(one.runs)} runs' if one.runs else f'after step {one.steps:,}'})"
        for one in results
    ]
    return (
        f"diverged: {', '.join(runs)}. A loss or a weight stopped being a finite number, so there is no "
        "checkpoint; each training.json says how far it came. Lower the learning rate, or add lower ones to "
        "the sweep, in the family's recipe."
    )


class _Bar:
    """One bar per member on a terminal, a line at every tenth of the way elsewhere; both on stderr."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        self._is_terminal = console.is_terminal
        self._progress = Progress(console=console, disable=not console.is_terminal)
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def report(self, member: str, step: int, steps: int, loss: float) -> None:
        """A member has done `step` of `steps` steps."""
        text = f"{member}  loss {loss:.3f}"
        if not self._is_terminal:
            if step * 10 // steps > (step - 1) * 10 // steps:
                note(f"{text}  step {step:,} of {steps:,}")
            return
        if member not in self._tasks:
            self._tasks[member] = self._progress.add_task(text, total=steps)
        self._progress.update(self._tasks[member], completed=step, description=text)
