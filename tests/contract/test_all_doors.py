"""All doors at once: a kind, its table and chart, a family, an architecture and a corpus from outside.

The files are those of CONTRIBUTING.md and docs/training.md; the architecture is `tests/models/outside.py`'s.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.contract.package import DISTRIBUTION, ROOT, archbench, lay_out, written
from tests.models.outside import ARCHITECTURE

FAMILY = """\
name: sums
title: A leaky average next to a Transformer, on sums
imports: [leaky_lab]
tokenizer: sums/tokenizer
data: sums
budget: {tokens: 4096, sequence_length: 64}
recipe:
  corpus: {kind: sums, largest: 30}
  vocab_size: 300
  tokens: 4096
  sequence_length: 64
  validation_windows: 4
members:
  leaky:
    path: sums/leaky
    architecture: {model_type: leaky_of_the_lab, hidden_size: 16, vocab_size: 300}
  attention:
    path: sums/attention
    architecture: {model_type: llama, hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1,
                   num_attention_heads: 2, vocab_size: 300}
"""
SUITE = """\
name: doors
families: [sums]
tasks:
  money: {kind: coins, coins: 4}
  scales: {kind: weigh}
allow_unmatched: true
"""


def corpus() -> str:
    """The corpus of docs/training.md."""
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    found = re.search(r"^```python\n(.*?class Sums.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One package with a file for each door."""
    code = {name: text for name, text in written().items() if name.endswith(".py")}
    code["leaky_lab.py"] = ARCHITECTURE.replace("MODEL_TYPE", "leaky_of_the_lab")
    code["bazaar_sums.py"] = corpus()
    points = DISTRIBUTION["bazaar-1.0.dist-info/entry_points.txt"]
    more = {
        "bazaar-1.0.dist-info/entry_points.txt": f"{points}\n[archbench.corpora]\nsums = bazaar_sums:Sums\n"
    }
    return lay_out(tmp_path_factory.mktemp("bazaar"), code | DISTRIBUTION | more)


def test_five_new_things_are_trained_run_and_reported(package: Path, tmp_path: Path) -> None:
    lay_out(tmp_path, {"families/sums.yaml": FAMILY, "suite.yaml": SUITE})
    trained = archbench(package, tmp_path, "train", "sums", "--families", "families", "--out", "trained")
    assert trained.returncode == 0, trained.stderr
    record = json.loads((tmp_path / "trained/sums/leaky/training.json").read_text(encoding="utf-8"))
    assert record["corpus"]["description"] == "sums of two numbers"
    done = archbench(package, tmp_path, "run", "suite.yaml", "--families", "trained")
    assert done.returncode == 0, done.stderr
    assert "shares no prefixes" not in done.stderr
    reported = archbench(package, tmp_path, "report", "results/doors")
    assert reported.returncode == 0, reported.stderr
    page = (tmp_path / "results/doors/report/report.md").read_text(encoding="utf-8")
    for heading in ("### Coins", "### Measures", "### Median"):
        assert heading in page
    assert (tmp_path / "results/doors/report/figures/coins.svg").is_file()
    manifest = json.loads((tmp_path / "results/doors/manifest.json").read_text(encoding="utf-8"))
    assert "leaky_lab" in manifest["versions"]
    sized = archbench(package, tmp_path, "sizes", "sums", "--families", "trained")
    assert sized.returncode == 0, sized.stderr
