"""`python -m benchmarks.seeds DIR`: what every seed of a trained family recalls and knows.

DIR is what `archbench train microworld --out DIR` leaves of a recipe with `seeds`. Every run below it is
asked what the quick suite asks of the members: held-out facts in cloze form, phonebooks in both orders,
needles. One line a run, with the loss that training recorded; docs/microworld.md has the table.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import pandas as pd

import archbench
from archbench import paths
from archbench.formats.yaml_file import read_yaml

FAMILY = "microworld"


def shelf(trained: Path, folder: Path) -> dict[str, dict[str, str]]:
    """Put every run beside the family's tokenizer, so that it is a model by itself.

    Args:
        trained: What a training left.
        folder: Where to put them.

    Returns:
        Members for a suite, by `<member>.<seed>`.
    """
    found = {}
    for record in sorted((trained / FAMILY).glob("*/runs/*/training.json")):
        run = json.loads(record.read_text(encoding="utf-8"))
        if run["outcome"] == "finished":
            name = f"{record.parents[2].name}.{run['recipe_fields']['seed']}"
            (folder / name).mkdir()
            for file in [*record.parent.iterdir(), *(trained / FAMILY / "tokenizer").iterdir()]:
                (folder / name / file.name).symlink_to(file.resolve())
            found[name] = {"path": str(folder / name)}
    return found


def table(trained: Path) -> pd.DataFrame:
    """Scores in percent by run, and the validation loss in nats per token."""
    quick = read_yaml(paths.shared("suites") / "quick.yaml").value
    tasks = {name: quick["tasks"][name] for name in ("mmlu", "phonebook", "ruler")}
    tasks["mmlu"] |= {"formats": ["cloze"], "shots": [0]}
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        members = shelf(trained, base)
        asked = {"name": "seeds", "members": members, "tasks": tasks}
        results = archbench.run(asked, out=base / "results", overrides=["allow_unmatched=true"])
        scores = results.scores()
        facts = results.scores(by="category")
    facts = facts[(facts["task"] == "mmlu") & (facts["category"] == "facts")].assign(variant="facts")
    rows = pd.concat([facts, scores[scores["task"] != "mmlu"]])
    names = rows["task"].str.cat(rows["variant"], sep=" ")
    wide = (100 * rows.assign(name=names).pivot(index="member", columns="name", values="score")).round(1)
    losses = {
        f"{record.parents[2].name}.{run['recipe_fields']['seed']}": run["validation_loss"]
        for record in (trained / FAMILY).glob("*/runs/*/training.json")
        for run in [json.loads(record.read_text(encoding="utf-8"))]
    }
    wide.insert(0, "validation loss", [round(losses[name], 3) for name in wide.index])
    return wide.reindex(members)


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("trained", type=Path, metavar="DIR")
    wide = table(parser.parse_args().trained)
    print("| " + " | ".join(["run", *map(str, wide.columns)]) + " |")
    print("|" + "---|" * (len(wide.columns) + 1))
    for name, row in wide.iterrows():
        print("| " + " | ".join([str(name), *(f"{value:g}" for value in row)]) + " |")


if __name__ == "__main__":
    main()
