"""The benchmarks run, agree with lm-eval, and print what they promise."""

from __future__ import annotations

import json
import random
import warnings
from pathlib import Path

import pytest

from tests.engine.tiny import SENTENCES

with warnings.catch_warnings():
    # lm-eval's own class imports accelerate and peft, which warn about themselves.
    warnings.simplefilter("ignore")
    import lm_eval.models.huggingface  # noqa: F401

    from benchmarks import coldstart, overhead, ruler, scoring, training
    from benchmarks.command import print_results


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two subjects of made-up questions, and a little text."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    words = " ".join(SENTENCES).split()
    rng = random.Random(0)

    def question(subject: str) -> str:
        text = " ".join(rng.choices(words, k=12)) + "?"
        choices = [" ".join(rng.choices(words, k=3)) for _ in range(4)]
        return json.dumps({"subject": subject, "question": text, "choices": choices, "answer": 1}) + "\n"

    for split, count in (("test", 6), ("dev", 5)):
        lines = [question(subject) for subject in ("anatomy", "astronomy") for _ in range(count)]
        (tmp_path / f"{split}.jsonl").write_text("".join(lines))
    (tmp_path / "text.txt").write_text("\n".join(SENTENCES))
    return tmp_path


def test_scoring_compares_with_lm_eval_on_the_same_items(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--models",
        "nemotron_h",
        "--formats",
        "standard",
        "cloze",
        "--batch-sizes",
        "2",
        "--vocab",
        "400",
    ]
    scoring.main(["--data", str(data), "--json", *options])
    results = json.loads(capsys.readouterr().out)
    assert [one["work"] for one in results] == ["mmlu standard", "mmlu cloze"]
    promised = {"work", "model", "seconds_lm_eval", "seconds_archbench", "ratio", "forwarded", "distinct"}
    for one in results:
        assert promised | {"max_abs_diff", "differing"} <= set(one)
        assert one["items"] == 12
        assert one["differing"] == 0
        assert one["max_abs_diff"] < 1e-4
        assert one["distinct"] <= one["forwarded"] < one["requested"] / 2
        assert one["level"] == "chunk"


@pytest.mark.parametrize("method", ["loglikelihood_rolling", "generate_until"])
def test_a_recorder_says_what_it_was_not_meant_to_be_asked(method: str) -> None:
    with pytest.raises(NotImplementedError, match=f"{method} was called"):
        getattr(scoring.Recorder(), method)([])


def test_coldstart_times_fresh_processes(capsys: pytest.CaptureFixture[str]) -> None:
    coldstart.main(["--json", "--repeats", "1", "--commands", "import archbench"])
    (result,) = json.loads(capsys.readouterr().out)
    assert result["work"] == "import archbench"
    assert result["seconds"] > 0


def test_training_gives_the_gradients_of_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--threads", "1", "--sequences", "2", "--length", "24", "--repeats", "1"]
    training.main(["--json", "--models", "mamba", "mamba2-chunk32", *options])
    results = json.loads(capsys.readouterr().out)
    assert [one["model"] for one in results] == ["mamba", "mamba2-chunk32"]
    for one in results:
        assert one["max_abs_diff_logits"] < 1e-5
        assert one["max_abs_diff_gradients"] < 1e-5
        assert one["ratio"] > 0


def test_overhead_divides_the_whole_time_among_the_parts(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overhead.main(["--data", str(data), "--models", "llama", "--formats", "cloze", "--shots", "2"])
    row = json.loads(capsys.readouterr().out)
    assert set(row["parts"]) == {
        "model",
        "states",
        "tokenising",
        "checks",
        "trie, forks",
        "store",
        "bookkeeping",
    }
    assert all(seconds > 0 for seconds in row["parts"].values())
    assert sum(row["parts"].values()) == pytest.approx(row["seconds"], abs=0.02)
    assert 0 < row["overhead"] < 1


def test_a_clock_gives_time_to_the_innermost_part(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(100))
    monkeypatch.setattr(overhead.time, "perf_counter", lambda: float(next(now)))
    clock = overhead.Clock("rest")
    with clock.of("outer"):
        with clock.of("inner"):
            pass
        with clock.of("checks"), clock.of("inner"):
            pass
    assert clock.stop() == {"rest": 2.0, "outer": 3.0, "inner": 1.0, "checks": 3.0}


def test_ruler_makes_all_items_and_phonebooks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"w{number}" for number in range(6000)]
    (tmp_path / "text.txt").write_text(" ".join(words) + " " + " ".join(SENTENCES), encoding="utf-8")
    small = ["--length", "2048", "--samples", "2", "--phonebook", "2048", "--vocab", "2000"]
    ruler.main(["--data", str(tmp_path), "--json", *small])
    results = json.loads(capsys.readouterr().out)
    assert len(results) == 13 + 1 + 3
    total = results[13]
    assert (total["work"], total["items"]) == ("ruler in all", 26)
    assert total["seconds"] == pytest.approx(sum(one["seconds"] for one in results[:13]))
    assert [one["items"] for one in results[14:]] == [5, 5, 5]
    for one in results[:13] + results[14:]:
        assert 0.6 * 2048 < one["tokens_mean"] < 2048


@pytest.mark.parametrize("as_json", [False, True])
def test_a_result_that_is_no_number_is_not_printed(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="max_abs_diff is nan"):
        print_results([{"ratio": 2.0, "max_abs_diff": float("nan")}], as_json)
    assert capsys.readouterr().out == ""
