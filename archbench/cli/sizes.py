"""`archbench sizes`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archbench.cli.members import Members, chosen_members
from archbench.cli.output import note, print_json, print_table
from archbench.cli.run import AsJson, Families
from archbench.errors import RequestError, RunError, did_you_mean

if TYPE_CHECKING:
    from archbench.efficiency.charts import Decoding
    from archbench.efficiency.sizes import Sizes
    from archbench.registry import Family
    from archbench.report.table import Table

EPILOG = """\
Examples:

  archbench sizes nvidia-8b

  archbench sizes nvidia-8b --members transformer,hybrid --context 4096 --context 131072 --figure speed.png

  archbench sizes microworld --batch 1 --bandwidth 0.05 --peak 1 --dtype float32

Nothing is loaded or measured: sizes come from configurations, times from a roofline (docs/sizes.md).
"""

_CONTEXTS = (1024, 4096, 16_384, 65_536, 262_144, 1_048_576)
_FORMATS = ("png", "svg", "pdf")


def sizes(
    family: Annotated[str, typer.Argument(help="A family (archbench list families).")],
    members: Members = None,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="MEMBER", help="Whose speed is called 1. [default: the first member]"),
    ] = None,
    context: Annotated[
        list[int] | None,
        typer.Option(
            "--context",
            metavar="TOKENS",
            min=1,
            help="Tokens in each sequence; may be repeated. [default: 1K, 4K, 16K, ... 1M]",
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Sequences decoded at once.")] = 32,
    dtype: Annotated[
        str, typer.Option(help="Of weights, cache and states: float32, bfloat16, float16, float8 or int8.")
    ] = "bfloat16",
    bandwidth: Annotated[
        float, typer.Option(metavar="TB/S", min=1e-6, help="Memory bandwidth; the default is an H100's.")
    ] = 3.35,
    peak: Annotated[
        float, typer.Option(metavar="TFLOPS", min=1e-6, help="Peak in that dtype; the default is an H100's.")
    ] = 989.0,
    figure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the speed-up over the context (.png, .svg or .pdf)."),
    ] = None,
    families: Families = None,
    as_json: AsJson = False,
) -> None:
    """Parameters, cache and state of a family's members, and how fast they would decode at each context."""
    from archbench.efficiency.charts import Decoding, decoding_table
    from archbench.efficiency.roofline import H100, Hardware
    from archbench.efficiency.sizes import BYTES
    from archbench.registry import find_family

    found = find_family(family, families or ())
    chosen = chosen_members(found, members)
    first = baseline or chosen[0]
    if first not in chosen:
        hint = did_you_mean(first, chosen, label="Those shown")
        raise RequestError(f"--baseline: '{first}' is not among the members shown. {hint}")
    if dtype not in BYTES:
        hint = did_you_mean(dtype, BYTES, label="Known")
        raise RequestError(f"--dtype: '{dtype}' is not known here. {hint}")
    if figure is not None and _format(figure) not in _FORMATS:
        raise RequestError(f"--figure {figure}: expected a name that ends in .{', .'.join(_FORMATS)}.")
    known_sizes, left_out = _sizes(found, chosen)
    if first not in known_sizes:
        raise RequestError(
            f"What '{first}' keeps between tokens is not known ({left_out[first]}), so nothing can be "
            "compared with it. Name another --baseline."
        )
    device = Hardware(f"{bandwidth:g} TB/s, {peak:g} TFLOPS", bandwidth * 1e12, peak * 1e12)
    if (bandwidth, peak) == (H100.bandwidth / 1e12, H100.peak / 1e12):
        device = H100
    decoding = Decoding(known_sizes, first, batch, device, dtype)
    contexts = sorted(set(context or _CONTEXTS))
    titles = {name: found.members[name].title or name for name in known_sizes}
    if figure is not None:
        _draw(decoding, contexts, titles, figure)
    if as_json:
        print_json(_document(decoding, contexts, left_out) | {"family": family, "figure": figure})
        return
    print_table(_size_table(known_sizes, dtype))
    typer.echo("")
    print_table(decoding_table(decoding, contexts))
    typer.echo(f"\n{decoding.assumptions}")
    for name, why in left_out.items():
        note(f"{name} is left out: {why}.")
    if figure is not None:
        typer.echo(f"Figure: {figure}")


def _sizes(family: Family, names: list[str]) -> tuple[dict[str, Sizes], dict[str, str]]:
    """Sizes of the members whose every part is known, and why the others' are not."""
    from archbench.registry.weights import member_config, member_sizes
    from archbench.runner.match import files_at_hand, full_recipe

    family.import_packages()
    recipe = full_recipe(family)
    known: dict[str, Sizes] = {}
    left_out = {}
    for name in names:
        config, trouble = member_config(family.members[name], files_at_hand(family, name), recipe)
        sizes = member_sizes(config)
        if sizes is None:
            left_out[name] = trouble or "neither weights nor an architecture block say what it is"
        elif sizes.unknown or sizes.matmul_flops is None:
            left_out[name] = f"parts not known: {', '.join(sizes.unknown) or 'how experts are chosen'}"
        else:
            known[name] = sizes
    return known, left_out


def _size_table(known: dict[str, Sizes], dtype: str) -> Table:
    from archbench.report.table import Column, Table

    rows = []
    for name, sizes in known.items():
        layers = ", ".join(f"{number} {kind}" for kind, number in sizes.layers.items())
        kept = [sizes.kv_bytes(1, dtype=dtype), sizes.state_bytes(dtype=dtype)]
        rows.append([name, f"{sizes.parameters:,}", layers, *(f"{one or 0:,}" for one in kept)])
    columns = [
        Column("member", words=True), Column("parameters"), Column("layers", words=True),
        Column("KV bytes a token"), Column("state bytes"),
    ]  # fmt: skip
    return Table("Sizes", f"Bytes in {dtype}, of one sequence.", columns, rows, stamp="")


def _document(decoding: Decoding, contexts: list[int], left_out: dict[str, str]) -> dict[str, Any]:
    return {
        "baseline": decoding.baseline,
        "assumptions": decoding.assumptions,
        "contexts": contexts,
        "members": {
            name: {
                "parameters": sizes.parameters,
                "layers": sizes.layers,
                "kv_bytes_per_token": sizes.kv_bytes(1, dtype=decoding.dtype),
                "state_bytes": sizes.state_bytes(dtype=decoding.dtype),
                "step_seconds": [decoding.seconds(name, one) for one in contexts],
                "speedup": [decoding.speedup(name, one) for one in contexts],
            }
            for name, sizes in decoding.sizes.items()
        },
        "left_out": left_out,
    }


def _draw(decoding: Decoding, contexts: list[int], titles: dict[str, str], path: Path) -> None:
    from archbench.efficiency.charts import decoding_figure
    from archbench.report.style import rendered
    from archbench.results.writing import write_atomic

    kind = _format(path)
    content = rendered(decoding_figure(decoding, contexts, titles), [kind])[kind]
    try:
        write_atomic(path, content)
    except OSError as error:
        raise RunError(f"The figure cannot be written to {path}: {error}.") from error


def _format(path: Path) -> str:
    return path.suffix.lstrip(".").lower()
