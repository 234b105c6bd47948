"""`archbench convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archbench.cli.output import print_json
from archbench.cli.run import AsJson

EPILOG = """\
Examples:

  hf download state-spaces/mamba2-130m --local-dir mamba2-130m

  archbench convert mamba2-130m --out models/mamba2-130m --tokenizer EleutherAI/gpt-neox-20b

FOLDER holds config.json and pytorch_model.bin as the mamba_ssm package writes them, of a pure Mamba or
Mamba-2 model without attention or MLP layers. Only tensors are read; nothing in the file is run.
Next: archbench run SUITE --set members.mine=OUT
"""


def convert(
    folder: Annotated[
        Path, typer.Argument(help="A checkpoint in mamba_ssm's layout (config.json, pytorch_model.bin).")
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Where the transformers model goes; new or empty."),
    ],
    tokenizer: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|HUB_ID",
            help="Saved next to the weights; the layout itself has none. [default: FOLDER's, if there]",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Turn a checkpoint of Mamba's authors into a transformers model with safetensors weights."""
    from archbench.checkpoint import has_tokenizer
    from archbench.models.original import convert_original

    if tokenizer is None and has_tokenizer(folder):
        tokenizer = str(folder)
    model = convert_original(folder, out, tokenizer=tokenizer)
    what = {
        "model_type": model.config.model_type,
        "parameters": model.num_parameters(),
        "dtype": str(model.dtype).removeprefix("torch."),
    }
    if as_json:
        print_json({"folder": str(out), "tokenizer": tokenizer} | what)
        return
    typer.echo(f"{out}: {what['model_type']}, {what['parameters']:,} parameters in {what['dtype']}")
    words = "" if tokenizer else " --set members.mine.tokenizer=FOLDER_OR_HUB_ID"
    typer.echo(f"To evaluate it: archbench run SUITE --set members.mine={out}{words}")
