"""`archbench sizes`: sizes from configurations, and predicted decoding as table, figure and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import Result

from archbench.efficiency.charts import Decoding, decoding_figure, tokens
from archbench.efficiency.roofline import Hardware, decoding_step, speedups
from archbench.efficiency.sizes import architecture_sizes
from archbench.registry import families
from tests.command import call

FAMILY = """\
name: pair
title: Two
members:
  plain:
    title: The plain one
    hub: nobody/plain
    architecture: &small {model_type: llama, vocab_size: 64, hidden_size: 16, intermediate_size: 32,
      num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 4}
  grouped: {hub: nobody/grouped, architecture: {<<: *small, num_key_value_heads: 1}}
  odd: {hub: nobody/odd, architecture: {model_type: xlstm, vocab_size: 64}}
  silent: {hub: nobody/silent}
"""


@pytest.fixture
def shelf(here: Path) -> Path:
    """A folder with the family `pair`, where `sizes` looks for it."""
    (here / "shelf").mkdir()
    (here / "shelf" / "pair.yaml").write_text(FAMILY, encoding="utf-8")
    return here


def sizes(*arguments: str | Path) -> Result:
    return call("sizes", *arguments, "--families", "shelf")


def test_the_tables(shelf: Path) -> None:
    done = sizes("pair", "--context", "4096", "--context", "64")
    assert done.exit_code == 0, done.output
    for part in (
        "2 attention, 2 mlp",
        "ms a step",
        "times plain",
        "4,096",
        "Predicted, not measured",
        "3.35 TB/s",
    ):
        assert part in done.stdout
    assert done.stdout.index(" 64 ") < done.stdout.index("4,096"), "contexts in order"
    assert "odd is left out: parts not known" in done.stderr
    assert "silent is left out: neither weights nor an architecture block" in done.stderr
    assert sorted(path.name for path in shelf.iterdir()) == ["shelf"]


def test_the_document_is_what_the_roofline_says(shelf: Path) -> None:
    options = ["--batch", "3", "--dtype", "float32", "--bandwidth", "0.5", "--peak", "2", "--context", "100"]
    reported = json.loads(sizes("pair", *options, "--baseline", "grouped", "--json").stdout)
    assert reported["contexts"] == [100]
    assert sorted(reported["left_out"]) == ["odd", "silent"]
    members = families([Path("shelf")])["pair"].members
    plain, grouped = (architecture_sizes(members[name].architecture or {}) for name in ("plain", "grouped"))
    device = Hardware("any", 0.5e12, 2e12)
    step = decoding_step(plain, 100, batch=3, hardware=device, dtype="float32")
    assert reported["members"]["plain"]["step_seconds"] == [pytest.approx(step.seconds)]
    expected = speedups(plain, grouped, [100], batch=3, hardware=device, dtype="float32")
    assert reported["members"]["plain"]["speedup"] == pytest.approx(expected)
    assert reported["members"]["grouped"]["speedup"] == [1.0]
    assert reported["members"]["grouped"]["kv_bytes_per_token"] == 2 * 2 * 4 * 4


@pytest.mark.parametrize(("name", "magic"), [("fast.png", b"\x89PNG"), ("deep/fast.svg", b"<?xml")])
def test_the_figure(shelf: Path, name: str, magic: bytes) -> None:
    done = sizes("pair", "--figure", name, "--context", "64", "--context", "65536")
    assert done.exit_code == 0, done.output
    assert f"Figure: {name}" in done.stdout
    first = (shelf / name).read_bytes()
    assert first.startswith(magic)
    sizes("pair", "--figure", name, "--context", "64", "--context", "65536")
    assert (shelf / name).read_bytes() == first, "the same bytes every time"


def test_lines_bend_between_the_points(shelf: Path) -> None:
    members = families([Path("shelf")])["pair"].members
    known = {name: architecture_sizes(members[name].architecture or {}) for name in ("plain", "grouped")}
    decoding = Decoding(known, "plain", batch=8)
    figure = decoding_figure(decoding, [64, 4096, 65_536], {"plain": "The plain one", "grouped": "g"})
    (line,) = [one for one in figure.axes[0].lines if one.get_label() == "g"]
    assert len(line.get_xdata()) > 60
    assert [line.get_xdata()[at] for at in line.get_markevery()] == [64, 4096, 65_536]
    assert line.get_ydata()[-1] == pytest.approx(decoding.speedup("grouped", 65_536))
    assert "The plain one" in figure.axes[0].get_ylabel()
    low, high = figure.axes[0].get_ylim()
    assert low < 0.5
    assert high > 2


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["pear"], "Did you mean 'pair'?"),
        (["pair", "--members", "plain,groupe"], "Did you mean 'grouped'?"),
        (["pair", "--members", "plain", "--baseline", "grouped"], "not among the members shown"),
        (["pair", "--baseline", "odd"], "Name another --baseline"),
        (["pair", "--dtype", "bfloat"], "Did you mean 'bfloat16'?"),
        (["pair", "--figure", "fast.jpg"], "ends in .png, .svg, .pdf"),
    ],
)
def test_wrong_requests(shelf: Path, arguments: list[str], part: str) -> None:
    done = sizes(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert part in done.stderr
    assert "Traceback" not in done.stderr


def test_contexts_in_words() -> None:
    assert [tokens(one) for one in (100, 1024, 1536, 4096, 131_072, 2**20, 5000)] == [
        "100", "1K", "1.5K", "4K", "128K", "1M", "5,000",
    ]  # fmt: skip
