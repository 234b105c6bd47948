"""`archbench train` on a user's own folder of text: end to end, stopped and resumed, told apart, refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

import archbench
from archbench.cli.app import app
from archbench.data.corpus import Opening
from archbench.data.ordered import OrderedStream
from archbench.data.stream import Document, Encoding, TextEndedError
from archbench.errors import RequestError
from archbench.registry import Family, audit_family, families
from archbench.registry.verdict import Audit
from archbench.runner.match import files_at_hand, full_recipe
from archbench.training import train_family
from archbench.training.loop import train as training
from archbench.training.material import open_corpus, prepare, tokenizer_digest, write_material
from archbench.training.places import Places
from archbench.training.recipe import parse_recipe
from tests.training.test_train import LLAMA, MAMBA, weights

RECIPE: dict[str, Any] = {
    "corpus": {"kind": "files", "folder": "texts", "held_out": 0.3}, "vocab_size": 300, "tokens": 2048,
    "sequence_length": 32, "batch_sequences": 4, "validation_windows": 8,
}  # fmt: skip
FAMILY: dict[str, Any] = {
    "name": "own",
    "title": "Two models of my own text",
    "tokenizer": "own/tokenizer",
    "items": {"perplexity": "own/text.txt"},
    "match": {"varies": ["architecture", "size"]},
    "recipe": RECIPE,
    "members": {
        "llama": {"path": "own/llama", "architecture": LLAMA},
        "mamba": {"path": "own/mamba", "architecture": MAMBA},
    },
}


def write_texts(folder: Path, number: int = 60, word: str = "line") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(number):
        lines = [f"{word} {j} of text {i} holds {i * j * 7919 % 1000}" for j in range(40)]
        (folder / f"{i}.txt").write_text("\n".join(lines))


def declared(folder: Path, recipe: dict[str, Any] = RECIPE, **changes: Any) -> Family:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "own.yaml").write_text(yaml.safe_dump(FAMILY | {"recipe": recipe} | changes, sort_keys=False))
    return families([folder])["own"]


def audit(folder: Path) -> Audit:
    family = families([folder])["own"]
    files = {name: files_at_hand(family, name) for name in family.members}
    return audit_family(family, files, recipe=full_recipe(family))


def record(out: Path, member: str) -> dict[str, Any]:
    return dict(json.loads((out / "own" / member / "training.json").read_text()))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command leaves of a family whose text lies in the folder of its file."""
    home = tmp_path_factory.mktemp("home")
    write_texts(home / "texts")
    declared(home)
    command = ["train", "own", "--families", str(home), "--out", str(home / "out")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "60 documents" in result.output
    return home / "out"


def test_a_folder_of_text_trains_matched_members_that_a_suite_runs_on(trained: Path, tmp_path: Path) -> None:
    assert record(trained, "llama")["data"] == record(trained, "mamba")["data"]
    assert audit(trained).verdict == "matched"
    suite = {
        "name": "s",
        "families": ["own"],
        "tasks": {
            "perplexity": {"kind": "perplexity", "data": "own", "lengths": [32], "target": 16, "limit": 3}
        },
    }
    results = archbench.run(suite, tmp_path / "run", families=[trained], quiet=True)
    assert set(results.scores()["member"]) == {"llama", "mamba"}


def test_the_record_says_what_was_read(trained: Path) -> None:
    told = record(trained, "llama")
    assert told["recipe_fields"]["corpus"]["digest"] == told["corpus"]["digest"]
    assert "folder" not in told["recipe_fields"]["corpus"]
    assert told["corpus"]["description"].startswith("60 documents, ")
    read = told["corpus"]["read"]["files"]
    assert (read["tokens"], read["epochs"], read["share"]) == (2048, 1, 1.0)


def test_the_held_out_text_is_not_trained_on(trained: Path) -> None:
    evaluated = (trained / "own/text.txt").read_text().split("<|end|>")
    recipe = parse_recipe(RECIPE, "f.yaml")
    corpus = recipe.corpus.open(Opening(trained.parent))
    trained_on = {one.text for one in corpus.documents("train")}
    validated = {one.text for one in corpus.documents("validation")}
    assert len(evaluated) > 2
    assert not set(evaluated) & (trained_on | validated)
    assert not validated & trained_on


@pytest.mark.parametrize("killed_after", [3, 11])
def test_a_stopped_training_goes_on_to_the_same_bits(
    trained: Path, tmp_path: Path, killed_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_SECONDS_BETWEEN_SAVES", 0.0)

    def kill(member: str, step: int, steps: int, loss: float) -> None:
        if step == killed_after:
            raise KeyboardInterrupt

    # The text lies elsewhere, under other names: what counts is what it says.
    for i in range(60):
        path = tmp_path / "home/texts/inner" / f"{100 - i}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((trained.parent / f"texts/{i}.txt").read_bytes())
    family = declared(tmp_path / "home")
    with pytest.raises(KeyboardInterrupt):
        train_family(family, out=tmp_path / "out", members=["llama"], report=kill)
    train_family(family, out=tmp_path / "out", members=["llama"])
    for name, tensor in weights(trained / "own/llama").items():
        assert torch.equal(tensor, weights(tmp_path / "out/own/llama")[name]), name
    timing = {"seconds", "tokens_per_second"}
    straight, resumed = record(trained, "llama"), record(tmp_path / "out", "llama")
    straight["corpus"]["description"] = straight["corpus"]["description"].replace(".txt", ".md")
    assert {k: v for k, v in straight.items() if k not in timing} == {
        k: v for k, v in resumed.items() if k not in timing
    }


def test_the_audit_tells_another_text_apart(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    family = declared(tmp_path / "home")
    write_texts(tmp_path / "home/texts")
    train_family(family, out=out, members=["llama"])
    (tmp_path / "home/texts/7.txt").write_text("another text altogether, of a few words")
    train_family(family, out=out, members=["mamba"])
    found = audit(out)
    assert found.verdict == "unmatched"
    assert any("data" in line and "digest" in line for line in found.problems), found.problems


def test_the_audit_tells_the_shares_of_a_mix_apart_by_key(tmp_path: Path) -> None:
    write_texts(tmp_path / "home/texts", 200)
    out = tmp_path / "out"
    for members, share in ((["llama", "mamba"], 0.5), (["mamba"], 0.6)):
        mix = {
            "own": {"share": share, "corpus": RECIPE["corpus"]},
            "world": {"share": 1 - share, "corpus": {"kind": "microworld", "people": 24}},
        }
        recipe = RECIPE | {"corpus": {"kind": "mix", "parts": mix}}
        train_family(declared(tmp_path / "home", recipe), out=out, members=members, restart=True)
        found = audit(out)
        assert found.verdict == ("matched" if share == 0.5 else "unmatched"), found.problems
    assert any("parts.own.share 0.5" in line or "parts.own.share 0.6" in line for line in found.problems)
    read = record(out, "llama")["corpus"]["read"]
    assert set(read) == {"own", "world"}
    assert sum(one["share"] for one in read.values()) == pytest.approx(1, abs=1e-3)
    assert sum(one["tokens"] for one in read.values()) == 2048


def test_epochs_are_counted_and_only_as_many_as_the_recipe_allows(tmp_path: Path) -> None:
    write_texts(tmp_path / "texts", 40)
    more = RECIPE | {"tokens": 50_000}
    with pytest.raises(RequestError, match=r"trains on 49,920 tokens, .*gives \d.* in 1 epoch\. .*epochs: 5"):
        train_family(declared(tmp_path, more), out=tmp_path / "out", members=["llama"])
    assert not (tmp_path / "out").exists()
    again = more | {"corpus": RECIPE["corpus"] | {"epochs": 5}}
    train_family(declared(tmp_path, again), out=tmp_path / "out", members=["llama"])
    read = record(tmp_path / "out", "llama")["corpus"]["read"]["files"]
    assert (read["epochs"], read["tokens"]) == (5, 49_920)
    family = declared(tmp_path, more | {"corpus": RECIPE["corpus"] | {"epochs": 4}})
    with pytest.raises(RequestError, match=r"in 4 epochs.*set recipe\.tokens: \d+ or .*corpus\.epochs: 5"):
        train_family(family, out=tmp_path / "other")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"validation_windows": 1000}, r"1,000 windows of 32 .*set recipe\.validation_windows: \d+, or ho"),
        ({"vocab_size": 5000}, r"vocab_size is 5,000, and a tokenizer .* Write vocab_size: \d+, or add text"),
        ({"tokenizer": "nowhere"}, r"recipe\.tokenizer: .*nowhere is no folder with a tokenizer"),
    ],
)  # fmt: skip
def test_what_the_text_cannot_give_is_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    write_texts(tmp_path / "texts")
    with pytest.raises(RequestError, match=rf"own\.yaml, line \d+.*{said}"):
        train_family(declared(tmp_path, RECIPE | changes), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_items_that_the_corpus_does_not_have_are_refused(tmp_path: Path) -> None:
    write_texts(tmp_path / "texts")
    family = declared(tmp_path, items={"mmlu": "own/quiz"})
    with pytest.raises(RequestError, match=r"no items for 'mmlu'\. It has items for: perplexity"):
        train_family(family, out=tmp_path / "out")


def test_a_document_that_holds_the_end_token_is_refused(tmp_path: Path) -> None:
    write_texts(tmp_path / "texts")
    for path in (tmp_path / "texts").iterdir():
        path.write_text(path.read_text() + "<|end|>more")
    with pytest.raises(RequestError, match=r"holds '<\|end\|>'.* name it with corpus\.separator"):
        train_family(declared(tmp_path), out=tmp_path / "out")
    cut = RECIPE | {"corpus": RECIPE["corpus"] | {"separator": "<|end|>"}}
    assert train_family(declared(tmp_path, cut), out=tmp_path / "out", members=["llama"])


def test_a_tokenizer_of_ones_own_is_used_and_copied(trained: Path, tmp_path: Path) -> None:
    write_texts(tmp_path / "texts", word="other")
    recipe = RECIPE | {"tokenizer": str(trained / "own/tokenizer")}
    train_family(declared(tmp_path, recipe), out=tmp_path / "out")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "out/own/tokenizer" / name).read_bytes() == (
            trained / "own/tokenizer" / name
        ).read_bytes()
    assert audit(tmp_path / "out").verdict == "matched"
    with pytest.raises(RequestError, match=r"vocab_size is 400, and the tokenizer has 300 .*vocab_size: 300"):
        train_family(declared(tmp_path, recipe | {"vocab_size": 400}), out=tmp_path / "other")


# The stream


def stream(lengths: list[int], length: int = 4, per_shard: int = 3) -> OrderedStream:
    documents = [Document(str(n), f"s{n % 2}", epoch=0) for n in range(len(lengths))]
    encoding = Encoding(lambda texts: [[int(t) + 1] * lengths[int(t)] for t in texts], 0, length)
    return OrderedStream(lambda: iter(documents), encoding, windows_per_shard=per_shard)


def test_no_token_is_lost_between_shards_and_reading_may_begin_anywhere() -> None:
    lengths = [3, 17, 1, 5, 40, 2, 2, 9]
    flat = [token for n, size in enumerate(lengths) for token in [*[n + 1] * size, 0]]
    number = len(flat) // 4
    whole = np.array(flat[: number * 4]).reshape(number, 4)
    for start in range(number):
        for count in range(1, number - start + 1):
            np.testing.assert_array_equal(stream(lengths).windows(start, count), whole[start : start + count])
    back = stream(lengths)
    np.testing.assert_array_equal(back.windows(number - 1, 1), whole[-1:])
    np.testing.assert_array_equal(back.windows(0, 2), whole[:2])
    assert back.length_of_all() == number
    with pytest.raises(TextEndedError):
        back.windows(number - 1, 2)


@pytest.mark.parametrize("first_read", [1, 12, 20])
def test_amounts_are_those_of_the_windows_read_whatever_was_read_first(first_read: int) -> None:
    lengths = [3, 17, 1, 5, 40, 2, 2, 9]
    sources = [f"s{n % 2}" for n, size in enumerate(lengths) for _ in range(size + 1)]
    for windows in range(1, 21):
        read = stream(lengths)
        read.windows(first_read - 1, 1)
        found = read.amounts(windows)
        part = sources[: windows * 4]
        assert {name: one.tokens for name, one in found.items()} == {
            name: part.count(name) for name in dict.fromkeys(part)
        }
        begun = sum(sum(size + 1 for size in lengths[:n]) < windows * 4 for n in range(len(lengths)))
        assert sum(one.documents for one in found.values()) == begun


# The microworld


def test_the_microworld_is_what_it_always_was_byte_for_byte(tmp_path: Path) -> None:
    """Digests of what version 0.1 made of the same recipe."""
    old = {"people": 24, "world_seed": 3, "stream_seed": 5, "short_first": 0.1}
    recipe = {"tokens": 1_400_000, "sequence_length": 64, "vocab_size": 512, "corpus": old}
    items = {
        "mmlu": "own/quiz", "phonebook": "own/names.txt", "ruler": "own/n.txt", "perplexity": "own/text.txt"
    }  # fmt: skip
    family = declared(tmp_path, recipe, items=items)
    corpus, stated = open_corpus(parse_recipe(recipe, "f.yaml"), family)
    material = prepare(stated, corpus, family)
    assert material.digest.startswith("617f089cf0ebbb3b")

    def digest(content: bytes) -> str:
        return hashlib.sha256(content).hexdigest()[:16]

    starts = {
        0: "37fa4ae9478af164", 1024: "af4e3bbb10f3d5ea", 2557: "a1f13799f882a64d"
    }  # fmt: skip
    for start, expected in starts.items():
        assert digest(material.training.windows(start, 8).tobytes()) == expected, start
    assert digest(material.validation.windows(0, 8).tobytes()) == "6b8c2bb172afe9b1"
    write_material(material, Places.of(family, tmp_path / "out"))
    files = {
        "names.txt": "1f9d355f49ffc76b", "n.txt": "1f9d355f49ffc76b", "quiz/dev.jsonl": "5c512aeeb83c57c6",
        "quiz/test.jsonl": "8dd59448903e8c03", "text.txt": "094f7a9cbe71dce1",
    }  # fmt: skip
    for name, expected in files.items():
        assert digest((tmp_path / "out/own" / name).read_bytes()) == expected, name
    assert tokenizer_digest(material.tokenizer) == material.digest


# The documentation


@pytest.mark.slow
def test_the_family_file_of_the_documentation_works_from_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs/training.md").read_text()
    block = page.split("```yaml\n", 1)[1].split("```", 1)[0]
    (tmp_path / "mine.yaml").write_text(block)
    for i in range(400):
        lines = [f"Line {j} holds {hashlib.sha256(bytes([i % 256, j])).hexdigest()}" for j in range(60)]
        path = tmp_path / "texts" / f"{i}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"Text {i}\n" + "\n".join(lines))
    monkeypatch.chdir(tmp_path)
    command = ["train", "mine", "--families", ".", "--out", "trained", "--tokens", "4096"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    found = families([tmp_path / "trained"])["mine"]
    files = {name: files_at_hand(found, name) for name in found.members}
    assert list(files) == ["transformer", "mamba"]
    assert audit_family(found, files, recipe=full_recipe(found)).verdict == "matched"
