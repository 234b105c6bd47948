"""Perplexity: the cut of texts, the numbers against a token-by-token calculation, and planted truths."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lm_eval.api.model import LM
from pydantic import ValidationError

from archbench.errors import RequestError
from archbench.report.findings import Findings
from archbench.report.settings import ReportSettings
from archbench.reporting import build_report
from archbench.results.frames import load_results
from archbench.results.store import Store
from archbench.runner.execute import run_suite
from archbench.suite import load_suite
from archbench.tasks.perplexity.entry import PerplexityEntry
from archbench.tasks.perplexity.report.charts import context_curve, position_curve
from archbench.tasks.perplexity.report.loss import loss_of
from archbench.tasks.perplexity.report.tables import positions, sentences, table
from archbench.tasks.perplexity.task import process_results
from archbench.tasks.perplexity.texts import Text, by_context, by_position, load_texts
from tests.evaluation import evaluate_variant
from tests.results.synthetic import header
from tests.runner.tiny import LLAMA, save_model

PLACES = ("north", "south", "east", "west")
PROSE = "\n\n".join(
    f"Chapter {n}. The  phonebook of the {PLACES[n % 4]} — naïve café {n * 37}: find the number!"
    for n in range(60)
)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    file = tmp_path / "book.txt"
    file.write_bytes(PROSE.encode())
    return file


def entry(book: Path, tokenizer: str, **more: Any) -> PerplexityEntry:
    return PerplexityEntry(data=str(book), tokenizer=tokenizer, **{"target": 16, "windows": 5, **more})


def items(
    book: Path, tokenizer: str, counter: Any, context: int, contexts: list[int]
) -> list[dict[str, Any]]:
    return list(by_context(load_texts(str(book), tokenizer), contexts, context, 16, 5, counter))


@pytest.mark.parametrize("kind", ["bpe", "byte"])
def test_the_same_targets_after_contexts_of_any_length(
    book: Path, kind: str, tokenizer_folder: Callable[[str], str]
) -> None:
    from archbench.tasks.lengths import token_counter

    folder, contexts = tokenizer_folder(kind), [0, 8, 32, 128]
    count = token_counter(folder)
    views = {one: items(book, folder, count, one, contexts) for one in contexts}
    for length, view in views.items():
        for one, other in zip(view, views[0], strict=True):
            assert (one["id"], one["target"], one["tokens"]) == (
                other["id"],
                other["target"],
                other["tokens"],
            )
            assert one["context"] + one["target"] in PROSE
            assert one["bytes"] == len(one["target"].encode())
            assert one["position"] <= max(length, 24)
            assert one["position"] > length - 24
            assert (count(one["context"]) if one["context"] else 0) == one["position"]
            assert 16 <= one["tokens"] < 16 + 24
    assert len({one["target"] for one in views[0]}) == 5


def test_buckets_of_a_window_put_together_are_the_window(
    book: Path, tokenizer_folder: Callable[[str], str], counter: Any
) -> None:
    texts = load_texts(str(book), tokenizer_folder("bpe"))
    found = list(by_position(texts, 100, 16, 4, counter))
    windows: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        windows.setdefault(one["passage"], []).append(one)
    assert len(windows) == 4
    for parts in windows.values():
        text = ""
        for part in parts:
            assert part["context"] == text
            text += part["target"]
        assert text in PROSE
        assert 100 - 24 < sum(part["tokens"] for part in parts) < 100 + 24
        assert parts[0]["position"] == 0


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="ab é\n\t.中🏛", min_size=0, max_size=80))
def test_words_put_together_are_the_text(counter: Any, text: str) -> None:
    cut = Text("t", text, counter)
    assert cut.words(0, len(cut.ends)) == text.rstrip()
    assert "".join(cut.words(at, at + 1) for at in range(len(cut.ends))) == text.rstrip()


def test_too_little_text_and_wrong_settings_are_reported(
    tmp_path: Path, book: Path, tokenizer_folder: Callable[[str], str]
) -> None:
    folder = tokenizer_folder("bpe")
    entry(book, folder, contexts=[0, 64], lengths=[128]).check()
    with pytest.raises(RequestError, match=r"room for \d+ pieces of 16 tokens with 64 before each, but 5000"):
        entry(book, folder, contexts=[0, 64], windows=5000).check()
    with pytest.raises(RequestError, match="there is no such file or folder"):
        entry(tmp_path / "none.txt", folder).check()
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match=r"holds no \.txt files"):
        entry(tmp_path / "empty", folder).check()
    (tmp_path / "latin.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(RequestError, match=r"latin\.txt is not UTF-8"):
        entry(tmp_path / "latin.txt", folder).check()
    with pytest.raises(RequestError, match="need a tokenizer"):
        PerplexityEntry(data=str(book)).check()
    for wrong in ({"contexts": []}, {"contexts": [1, 1]}, {"lengths": [0]}):
        with pytest.raises(ValidationError):
            PerplexityEntry(data=str(book), **wrong)  # type: ignore[arg-type]


def test_a_text_that_is_another_but_for_white_space_and_case(
    tmp_path: Path, tokenizer_folder: Callable[[str], str]
) -> None:
    (tmp_path / "one.txt").write_bytes(PROSE.encode())
    (tmp_path / "two.txt").write_bytes(PROSE.upper().replace("\n", "\r\n").encode())
    with pytest.raises(RequestError, match=r"one\.txt and two\.txt hold the same text"):
        load_texts(str(tmp_path), tokenizer_folder("byte"))


def test_the_key_follows_text_settings_and_tokenizer(
    book: Path, tokenizer_folder: Callable[[str], str]
) -> None:
    base = entry(book, tokenizer_folder("bpe"), contexts=[0, 64])
    first = base.digest()
    assert (
        entry(book, tokenizer_folder("bpe"), contexts=[64]).digest() == first
    )  # a further context keeps cells
    assert base.model_copy(update={"windows": 6}).digest() != first
    assert base.model_copy(update={"tokenizer": tokenizer_folder("byte")}).digest() != first
    book.write_bytes(PROSE.replace("north", "NORTH").encode())
    assert base.digest() != first


def test_numbers_are_those_of_a_calculation_token_by_token(tmp_path: Path, book: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = save_model(tmp_path / "llama", LLAMA | {"initializer_range": 0.3})
    suite = load_suite(
        {
            "name": "loss",
            "members": {"llama": str(folder)},
            "tasks": {
                "loss": {
                    "kind": "perplexity",
                    "data": str(book),
                    "contexts": [0, 40],
                    "lengths": [96],
                    "target": 24,
                    "windows": 2,
                }
            },
        }
    )
    results = run_suite(suite, tmp_path / "out", quiet=True)
    assert [header.status for header in results.headers] == ["complete"] * 3
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = load_texts(str(book), str(folder))
    from archbench.tasks.lengths import token_counter

    count = token_counter(str(folder))
    wanted = {
        "context-0": list(by_context(texts, [0, 40], 0, 24, 2, count)),
        "context-40": list(by_context(texts, [0, 40], 40, 24, 2, count)),
        "window-96": list(by_position(texts, 96, 24, 2, count)),
    }
    rows = results.items("loss")
    for variant, documents in wanted.items():
        mine = rows[rows["variant"] == variant]
        assert list(mine["item"]) == [one["id"] for one in documents]
        for (_, row), one in zip(mine.iterrows(), documents, strict=True):
            before = tokenizer(one["context"])["input_ids"] if one["context"] else [tokenizer.eos_token_id]
            target, total = tokenizer(one["target"])["input_ids"], 0.0
            for token in target:
                with torch.no_grad():
                    logits = model(torch.tensor([before])).logits[0, -1].float()
                total += float(torch.log_softmax(logits, -1)[token])
                before = [*before, token]
            assert row["loglikelihoods"][0] == pytest.approx(total, abs=1e-3)
            assert row["tokens"] == len(target) == row["choice_tokens"][0]
            saved = 1 + total / math.log(2) / len(one["target"].encode()) / 8
            assert row["compression"] == pytest.approx(max(0.0, saved), abs=1e-4)
    assert set(results.scores()["metric"]) == {"compression"}
    page = build_report(results, tmp_path / "report").page.read_text()
    assert "### Perplexity" in page


class Learner(LM):  # type: ignore[misc]
    """Loses fewer nats on each token the longer its context: 3 - gain · log2(1 + tokens of context)."""

    def __init__(self, count: Any, gain: float) -> None:
        super().__init__()
        self.count, self.gain = count, gain

    def loglikelihood(self, requests: Any) -> list[tuple[float, bool]]:
        found = []
        for request in requests:
            context, target = request.args
            before = self.count(context) if context else 0
            found.append((-self.count(target) * (3 - self.gain * math.log2(1 + before)), False))
        return found

    def loglikelihood_rolling(self, requests: Any) -> list[float]:
        raise AssertionError

    def generate_until(self, requests: Any) -> list[str]:
        raise AssertionError


@pytest.fixture
def planted(tmp_path: Path, book: Path, tokenizer_folder: Callable[[str], str], counter: Any) -> Findings:
    """A member that learns from its context and one that does not."""
    return plant(tmp_path, book, tokenizer_folder, counter, {"learner": 0.25, "deaf": 0.0})


def plant(
    tmp_path: Path,
    book: Path,
    tokenizer_folder: Callable[[str], str],
    counter: Any,
    gains: dict[str, float],
) -> Findings:
    variants = entry(book, tokenizer_folder("bpe"), contexts=[0, 32, 128], lengths=[256]).variants()
    store = Store(tmp_path / "run")
    store.write_manifest(
        {
            "name": "loss",
            "members": [
                {"name": name, "training_length": 100 if name == "learner" else None} for name in gains
            ],
            "conditions": [{"task": "loss", "variant": one.name} for one in variants],
        }
    )
    for member, gain in gains.items():
        for one in variants:
            found = evaluate_variant(Learner(counter, gain), one, limit=None, seed=0)
            head = header(
                member,
                "loss",
                one.name,
                kind="perplexity",
                labels=one.labels,
                metric=one.metric,
                metrics=found.metrics,
                chance=None,
                items=len(found.rows),
            )
            store.write_cell(head, found.rows)
    return Findings(load_results(tmp_path / "run"), ReportSettings())


def test_where_the_tested_score_ends_is_said(
    planted: Findings, tmp_path: Path, book: Path, tokenizer_folder: Callable[[str], str], counter: Any
) -> None:
    assert sentences(planted) == []
    # 27 nats a token are more than 8 bits a byte of any word: nothing is saved anywhere with a context.
    lost = plant(tmp_path / "b", book, tokenizer_folder, counter, {"deaf": 0.0, "worse": -24.0})
    said = sentences(lost)
    assert len(said) == 1
    assert "worse on " in said[0]
    assert "deaf" not in said[0]


def test_who_learns_from_context_is_shown_to(planted: Findings, tmp_path: Path) -> None:
    sheet = table(planted)
    assert sheet is not None
    data = sheet.data.set_index(["member", "variant"])
    variants = ("context-0", "context-32", "context-128", "window-256")
    deaf = [data.loc[("deaf", one), "nats"] for one in variants]
    assert deaf == pytest.approx([3.0] * 4)
    losses = [data.loc[("learner", one), "nats"] for one in variants[:3]]
    assert losses[0] == pytest.approx(3.0)
    assert losses[0] > losses[1] + 0.9 > losses[2] + 1.2
    assert data.loc[("learner", "context-128"), "high"] < data.loc[("deaf", "context-128"), "low"]
    items = planted.results.items("loss")
    one = items[(items["member"] == "deaf") & (items["variant"] == "context-0")]
    bits = 3.0 * one["tokens"].sum() / math.log(2) / one["bytes"].sum()
    assert data.loc[("deaf", "context-0"), "bits"] == pytest.approx(bits)
    # Token counts are not known of this model, so that nothing is called longer than trained on.
    assert not any(getattr(row[1], "mark", "") for row in sheet.tables[0].rows)
    # A window is one piece of evidence, however many buckets it has.
    window = items[items["variant"] == "window-256"]
    windows = window["passage"].nunique()
    assert windows < len(window) / 2 / 2
    scores = planted.results.scores().set_index(["member", "variant"])
    assert scores.loc[("deaf", "window-256"), "n"] == windows
    # One estimator: the summary's score is the table's bits per byte, every byte weighing alike.
    for cell, row in scores.iterrows():
        assert row["score"] == pytest.approx(1 - data.loc[cell, "bits"] / 8)
        assert row["score"] == pytest.approx(data.loc[cell, "compression"])
    unlike = window[window["member"] == "learner"].groupby("passage")["compression"].mean().mean()
    assert scores.loc[("learner", "window-256"), "score"] != pytest.approx(unlike, abs=1e-6)
    delta = planted.differences.set_index("variant").loc["window-256", "delta"]
    bits = data.loc[(["learner", "deaf"], "window-256"), "bits"]
    assert delta == pytest.approx(float(bits.iloc[0] - bits.iloc[1]) / 8)
    assert set(planted.differences.set_index("variant").loc[["window-256"], "n"]) == {windows}
    # Nor does a window lack the items that are parts of it.
    assert planted.gaps(planted.conditions) == []
    where = positions(planted)
    assert where is not None
    by_place = where.data[where.data["member"] == "learner"].sort_values("from")["nats"]
    assert list(by_place) == sorted(by_place, reverse=True)
    assert len(by_place) >= 4
    assert context_curve(planted) is not None
    assert position_curve(planted) is not None
    files = build_report(planted.results, tmp_path / "report")
    names = {path.name for path in (*files.tables, *files.figures)}
    assert {"perplexity.md", "perplexity_positions.csv", "perplexity_contexts.png"} <= names


def test_the_interval_of_a_loss_covers_what_it_should() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        windows = np.repeat(np.arange(30), 4)
        tokens = rng.integers(10, 60, 120)
        rate = 2 + rng.normal(0, 0.3, 30)[windows] + rng.normal(0, 0.1, 120)
        rows = pd.DataFrame({"passage": windows.astype(str), "tokens": tokens, "bytes": 4 * tokens})
        rows["loglikelihoods"] = [[-value] for value in rate * tokens]
        found = loss_of(rows)
        covered += found.low <= 2 <= found.high
    assert 0.92 <= covered / 400 <= 0.98


def test_one_window_has_a_loss_and_no_interval() -> None:
    rows = pd.DataFrame(
        {"passage": ["a"], "tokens": [4], "bytes": [8], "loglikelihoods": [[-8 * math.log(2)]]}
    )
    found = loss_of(rows)
    assert (found.tokens, found.bits) == (4, pytest.approx(1.0))
    assert math.isnan(found.low)


@pytest.mark.parametrize("loglikelihood", [math.nan, -math.inf])
def test_a_loss_that_is_no_number_has_no_compression(loglikelihood: float) -> None:
    assert math.isnan(process_results({"bytes": 8}, [(loglikelihood, False)])["compression"])


def test_plain_lm_eval_gives_the_same_score(
    book: Path, tiny_lm: Any, tokenizer_folder: Callable[[str], str]
) -> None:
    import lm_eval
    from lm_eval.tasks import TaskManager

    from archbench.paths import shared

    (variant,) = entry(book, tokenizer_folder("byte"), contexts=[32]).variants()
    ours = evaluate_variant(tiny_lm, variant, limit=None, seed=0)
    metadata = {"data": str(book), "context": 32, "target": 16, "windows": 5}
    manager = TaskManager(
        include_path=str(shared("tasks")),
        include_defaults=False,
        metadata=metadata | {"tokenizer": tokenizer_folder("byte")},
    )
    found = lm_eval.simple_evaluate(
        tiny_lm, tasks=["archbench_perplexity_context"], task_manager=manager, bootstrap_iters=0
    )
    theirs = found["results"]["archbench_perplexity_context"]["compression,none"]
    assert theirs == pytest.approx(float(np.mean([row["compression"] for row in ours.rows])))
