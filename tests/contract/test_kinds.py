"""Doors for other packages: a kind of task with its table and chart is one folder outside archbench.

The package is put on the path of a fresh interpreter with its entry points, as an installed one is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.runner.tiny import LLAMA, MAMBA, save_shelf

COINS = {
    "coins/__init__.py": '"""Coins: does a model prefer heads?"""\n',
    "coins/entry.py": '''
        """The suite entry `kind: coins`."""

        from __future__ import annotations

        from typing import Any, Literal

        from pydantic import Field

        from archbench.tasks.entry import TaskEntry, Variant
        from archbench.tasks.work import Evaluation, OnModel
        from lm_eval.api.instance import Instance


        def flip(model: Any, *, seed: int, coins: int) -> Evaluation:
            """Ask for so many coins, and count how often heads is likelier than tails."""
            asked = [(f"Coin {at} shows", side) for at in range(coins) for side in (" heads", " tails")]
            found = model.loglikelihood(
                [Instance("loglikelihood", {}, pair, at) for at, pair in enumerate(asked)]
            )
            rows = [
                {
                    "item": str(at),
                    "doc": at,
                    "prompt_hash": f"coin {at}",
                    "target": "0",
                    "loglikelihoods": [found[2 * at][0], found[2 * at + 1][0]],
                    "acc": float(found[2 * at][0] > found[2 * at + 1][0]),
                }
                for at in range(coins)
            ]
            return Evaluation(rows, ("acc",))


        class CoinsEntry(TaskEntry):
            """Coins that should show heads."""

            kind: Literal["coins"] = "coins"
            coins: int = Field(default=8, ge=1, description="How many coins.")

            def check(self) -> None:
                """Nothing to read."""

            def variants(self) -> list[Variant]:
                """One variant."""
                return [Variant("flip", {}, OnModel(flip, {"coins": self.coins}), "acc", 0.5)]

            def digest(self) -> str:
                """The number of coins."""
                return f"coins {self.coins}"
        ''',
    "coins/report.py": '''
        """Coins in a report."""

        from __future__ import annotations

        import pandas as pd

        from archbench.report.part import FigurePart, TablePart, TextPart
        from archbench.report.style import drawing
        from archbench.report.table import Column, Sheet, Table, stamped


        def table(findings):
            """Heads by member."""
            items = [one for one in findings.conditions if one.kind == "coins"]
            rows = [[member, str(int(findings.score(member, one)["n"]))] for one in items
                    for member in findings.members if findings.score(member, one)]
            if not rows:
                return None
            sheet = Table("Coins", "Coins that were flipped.", [Column("member"), Column("coins")], rows,
                          findings.stamp)
            data = pd.DataFrame({"member": [row[0] for row in rows]})
            return Sheet("coins", [sheet], stamped(data, findings.stamp))


        def chart(findings):
            """A bar for each member."""
            if not any(one.kind == "coins" for one in findings.conditions):
                return None
            with drawing(3, 2) as figure:
                figure.subplots().bar(findings.members, range(len(findings.members)))
            return figure


        PARTS = (
            TablePart("coins", table),
            FigurePart("coins", chart, "Coins by member."),
            TextPart("coins", lambda findings: ["Coins were flipped."]),
        )
        ''',
    "weigh.py": '''
        """The kind `weigh`, in one file: how many parameters an architecture has; nothing is loaded."""

        from __future__ import annotations

        from typing import Any, ClassVar, Literal

        from archbench.efficiency.sizes import architecture_sizes
        from archbench.results.measures import Measure
        from archbench.tasks.entry import TaskEntry, Variant
        from archbench.tasks.work import Evaluation, OnArchitecture


        def weigh(architecture: Any, *, seed: int) -> Evaluation:
            """Count."""
            sizes = architecture_sizes(dict(architecture))
            found = Measure(name="parameters", value=sizes.parameters, better="lower")
            return Evaluation([], measures=(found,))


        class WeighEntry(TaskEntry):
            """Parameters of architectures."""

            WORKS_ON: ClassVar = "architecture"
            kind: Literal["weigh"] = "weigh"

            def check(self) -> None:
                """Nothing to read."""

            def variants(self) -> list[Variant]:
                """One variant."""
                return [Variant("parameters", {}, OnArchitecture(weigh))]

            def digest(self) -> str:
                """The version of the code."""
                return "weigh 1"
        ''',
    "median.py": '''
        """A table of the whole report that belongs to no kind."""

        import pandas as pd

        from archbench.report.part import TablePart
        from archbench.report.table import Column, Sheet, Table


        def median(findings):
            """The median score of each member."""
            scores = findings.scores.groupby("member")["score"].median()
            rows = [[name, f"{value:.3f}"] for name, value in scores.items()]
            columns = [Column("member"), Column("median")]
            table = Table("Median", "Median score.", columns, rows, findings.stamp)
            return Sheet("median", [table], pd.DataFrame({"median": scores})) if rows else None


        PARTS = (TablePart("median", median),)
        ''',
    "bazaar-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: bazaar\nVersion: 1.0\n",
    "bazaar-1.0.dist-info/entry_points.txt": (
        "[archbench.kinds]\ncoins = coins\nweigh = weigh\n\n[archbench.report]\nmedian = median\n"
    ),
}


def lay_out(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return folder


def archbench(package: Path, here: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line in an interpreter that has the package."""
    root = Path(__file__).parents[2]
    path = os.pathsep.join(map(str, (package, root)))
    return subprocess.run(
        [sys.executable, "-m", "archbench", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with two kinds, a table and a chart."""
    return lay_out(tmp_path_factory.mktemp("bazaar"), COINS)


def test_a_new_kind_is_listed_run_and_reported(package: Path, tmp_path: Path) -> None:
    save_shelf(tmp_path)
    (tmp_path / "families").mkdir()
    (tmp_path / "families" / "pair.yaml").write_text(
        "name: pair\ntitle: Two\nmembers:\n  a: {path: ../llama}\n  b: {path: ../mamba}\n", encoding="utf-8"
    )
    (tmp_path / "suite.yaml").write_text(
        "name: flips\nfamilies: [pair]\ntasks:\n  money: {kind: coins, coins: 6}\nallow_unmatched: true\n",
        encoding="utf-8",
    )
    listed = archbench(package, tmp_path, "list", "tasks", "--json")
    assert {"coins", "weigh", "mmlu"} <= {one["name"] for one in json.loads(listed.stdout)}, listed.stderr
    shown = archbench(package, tmp_path, "show", "coins")
    assert "How many coins." in shown.stdout
    done = archbench(package, tmp_path, "run", "suite.yaml", "--families", "families")
    assert done.returncode == 0, done.stderr
    reported = archbench(package, tmp_path, "report", "results/flips")
    assert reported.returncode == 0, reported.stderr
    page = (tmp_path / "results/flips/report/report.md").read_text(encoding="utf-8")
    assert "- Coins were flipped." in page
    assert "### Coins" in page
    assert "### Median" in page
    assert (tmp_path / "results/flips/report/figures/coins.png").is_file()
    header = json.loads((tmp_path / "results/flips/cells/a/money.flip.json").read_text(encoding="utf-8"))
    assert (header["kind"], header["items"], header["metric"]) == ("coins", 6, "acc")
    assert header["tokens_forwarded"] > 0
    again = archbench(package, tmp_path, "run", "suite.yaml", "--families", "families")
    assert "2 of 2 cells are already in" in again.stderr
    wrong = archbench(
        package, tmp_path, "run", "suite.yaml", "--families", "families", "--set", "money.coins=x"
    )
    assert "money" in wrong.stderr
    assert "coins" in wrong.stderr
    without = archbench(tmp_path / "nowhere", tmp_path, "run", "suite.yaml", "--families", "families")
    assert without.returncode == 2
    assert "coins" in without.stderr, "a kind that is not installed is named"


def test_members_without_weights_and_tokenizer_are_measured(package: Path, tmp_path: Path) -> None:
    block = {"a": LLAMA | {"vocab_size": 64}, "b": MAMBA | {"vocab_size": 64}}
    (tmp_path / "families").mkdir()
    members = "".join(
        f"  {name}: {{path: {name}, architecture: {json.dumps(one)}}}\n" for name, one in block.items()
    )
    (tmp_path / "families" / "bare.yaml").write_text(
        f"name: bare\ntitle: Two\nmembers:\n{members}", encoding="utf-8"
    )
    (tmp_path / "suite.yaml").write_text(
        "name: scales\nfamilies: [bare]\ntasks:\n  scales: {kind: weigh}\nallow_unmatched: true\n",
        encoding="utf-8",
    )
    done = archbench(package, tmp_path, "run", "suite.yaml", "--families", "families")
    assert done.returncode == 0, done.stderr
    reported = archbench(package, tmp_path, "report", "results/scales")
    assert reported.returncode == 0, reported.stderr
    page = (tmp_path / "results/scales/report/report.md").read_text(encoding="utf-8")
    assert "### Measures" in page
    header = json.loads(
        (tmp_path / "results/scales/cells/a/scales.parameters.json").read_text(encoding="utf-8")
    )
    assert header["metric"] is None
    (measure,) = header["measures"]
    assert measure["name"] == "parameters"
    assert measure["value"] > 1000
    again = archbench(package, tmp_path, "run", "suite.yaml", "--families", "families")
    assert "2 of 2 cells are already in" in again.stderr


def test_a_kind_that_cannot_be_imported_leaves_the_others_alone(tmp_path: Path) -> None:
    files = {
        "broken.py": "import no_such_package_at_all\n",
        "broken-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n",
        "broken-1.0.dist-info/entry_points.txt": "[archbench.kinds]\nbroken = broken\n",
    }
    lay_out(tmp_path / "package", files)
    listed = archbench(tmp_path / "package", tmp_path, "list", "tasks")
    assert listed.returncode == 0, listed.stderr
    assert "mmlu" in listed.stdout
    assert "'broken' of broken is left out" in listed.stderr
    assert "no_such_package_at_all" in listed.stderr
