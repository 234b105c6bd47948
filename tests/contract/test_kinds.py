"""Doors for other packages: a kind of task with its table and chart is one folder outside archbench.

The package is put on the path of a fresh interpreter with its entry points, as an installed one is.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from archbench.errors import RunError
from archbench.report.part import TablePart, collect
from tests.contract.package import DISTRIBUTION, ROOT, archbench, lay_out, written
from tests.runner.tiny import LLAMA, MAMBA, save_shelf


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What CONTRIBUTING.md says, as an installed package: two kinds, tables, a chart."""
    code = {name: text for name, text in written().items() if name.endswith(".py")}
    assert {"coins/__init__.py", "coins/entry.py", "coins/report.py", "weigh.py", "median.py"} == set(code)
    return lay_out(tmp_path_factory.mktemp("bazaar"), code | DISTRIBUTION)


def test_a_new_kind_is_listed_run_and_reported(package: Path, tmp_path: Path) -> None:
    save_shelf(tmp_path / "families")
    (tmp_path / "families" / "pair.yaml").write_text(written()["families/pair.yaml"], encoding="utf-8")
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
    header = json.loads(
        (tmp_path / "results/flips/cells/attention/money.flip.json").read_text(encoding="utf-8")
    )
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


def test_a_task_in_lm_evals_format_is_run(package: Path, tmp_path: Path) -> None:
    data = {name: text for name, text in written().items() if not name.endswith(".py")}
    lay_out(tmp_path, data)
    save_shelf(tmp_path / "families")
    own = ("--families", "families", "--set", "families=[pair]", "--allow-unmatched")
    done = archbench(package, tmp_path, "run", "suites/own.yaml", *own)
    assert done.returncode == 0, done.stderr
    header = json.loads(
        (tmp_path / "results/own/cells/attention/shapes.shapes.json").read_text(encoding="utf-8")
    )
    assert (header["status"], header["items"], header["metric"]) == ("complete", 2, "acc")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("import sys\nsys.exit(3)\n", "SystemExit"),
        ("X = 1\n", "it has no subclass of TaskEntry"),
        ((ROOT / "archbench/tasks/mmlu/entry.py").read_text(encoding="utf-8"), "brings one of that name"),
    ],
)
def test_a_bad_package_ends_nothing(tmp_path: Path, content: str, why: str) -> None:
    files = {
        "odd_one.py": content,
        "odd_one-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: odd_one\nVersion: 1.0\n",
        "odd_one-1.0.dist-info/entry_points.txt": "[archbench.kinds]\nodd_one = odd_one\n",
    }
    lay_out(tmp_path / "package", files)
    listed = archbench(tmp_path / "package", tmp_path, "list", "tasks")
    assert listed.returncode == 0, listed.stderr
    assert "mmlu" in listed.stdout
    assert why in listed.stderr


def test_parts_whose_names_are_no_file_names_are_refused() -> None:
    module = ModuleType("outside")
    module.PARTS = (TablePart("../../evil", lambda findings: None),)  # type: ignore[attr-defined]
    with pytest.raises(RunError, match=r"outside\.PARTS: '\.\./\.\./evil' is no name for a part"):
        collect([module])
    module.PARTS = (TablePart("one", lambda findings: None),) * 2  # type: ignore[attr-defined]
    with pytest.raises(RunError, match="two parts of one name: 'one'"):
        collect([module])
