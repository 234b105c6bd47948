"""Corpora: which there are, what settings they take, in which order and shares documents come."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from archbench.data.catalogue import corpora
from archbench.data.corpus import SPLITS, Corpus, Opening, Split
from archbench.data.stream import Document, TextEndedError
from archbench.errors import RequestError
from archbench.registry import audit_family, families
from archbench.runner.match import files_at_hand, full_recipe
from archbench.training import train_family
from archbench.training.recipe import parse_recipe
from tests.training.test_train import LLAMA

SUMS = '''
from typing import ClassVar, Literal

from archbench.data.corpus import GeneratedSettings, Split
from archbench.draw import Draw


class Sums(GeneratedSettings):
    """Sums of two numbers."""

    about: ClassVar[str] = "sums"
    kind: Literal["sums"] = "sums"
    largest: int = 99

    def document(self, split: Split, shard: int, number: int, *, shards: float) -> str:
        draw = Draw(split, shard, number)
        one, other = draw.below(self.largest), draw.below(self.largest)
        return f"{one} and {other} make {one + other}."
'''


def install(folder: Path, group: str = "archbench.corpora", source: str = SUMS) -> None:
    """What pip leaves of a package with an entry point."""
    (folder / "sums_package.py").write_text(source)
    info = folder / "sums_package-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sums-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\nsums = sums_package:Sums\n")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that packages are found in."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(__import__("sys").modules, "sums_package", raising=False)
    corpora.cache_clear()
    yield folder
    corpora.cache_clear()


def opened(folder: Path, /, **settings: Any) -> Corpus:
    recipe = parse_recipe({"tokens": 1, "corpus": settings}, "f.yaml")
    return recipe.corpus.open(Opening(folder, "f.yaml, line 3: recipe.corpus"))


def texts(corpus: Corpus, split: Split, number: int | None = None) -> list[str]:
    return [one.text for one in islice(corpus.documents(split), number)]


def write_texts(folder: Path, number: int, *, start: int = 0, words: int = 20) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(start, start + number):
        (folder / f"{i}.txt").write_text(" ".join(f"word{i}x{j}" for j in range(words)))


# Which there are


def test_a_package_registers_a_corpus_by_an_entry_point(packages: Path) -> None:
    install(packages)
    one, again = opened(packages, kind="sums"), opened(packages, kind="sums")
    assert texts(one, "train", 50) == texts(again, "train", 50)
    assert not set(texts(one, "train", 3)) & set(texts(one, "validation", 3))
    assert one.settings.model_dump() == {"kind": "sums", "largest": 99, "digest": one.digest}
    assert opened(packages, kind="sums", largest=9).digest != one.digest


def test_members_train_on_a_corpus_of_a_package_and_are_matched(packages: Path, tmp_path: Path) -> None:
    install(packages)
    members = {name: {"path": f"f/{name}", "architecture": LLAMA} for name in ("a", "b")}
    recipe = {
        "corpus": {"kind": "sums"}, "vocab_size": 300, "tokens": 512, "sequence_length": 16,
        "validation_windows": 4,
    }  # fmt: skip
    family = {
        "name": "f", "title": "F", "tokenizer": "f/tokenizer", "recipe": recipe, "members": members,
        "items": {"perplexity": "f/text.txt"},
    }  # fmt: skip
    (tmp_path / "f.yaml").write_text(yaml.safe_dump(family))
    train_family(families([tmp_path])["f"], out=tmp_path / "out")
    found = families([tmp_path / "out"])["f"]
    files = {name: files_at_hand(found, name) for name in found.members}
    assert audit_family(found, files, recipe=full_recipe(found)).verdict == "matched"
    assert " and " in (tmp_path / "out/f/text.txt").read_text()


def test_the_digest_of_a_generator_changes_with_its_program(
    packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(packages)
    one = opened(packages, kind="sums")
    monkeypatch.setattr(corpora()["sums"], "document", lambda self, *place, shards: f"{place}")
    assert opened(packages, kind="sums").digest != one.digest
    with pytest.raises(RequestError, match=r"corpus\.digest: the recipe states .*another text"):
        opened(packages, kind="sums", digest=one.digest)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise ImportError('no compiler')", "ImportError: no compiler"),
        ("Sums = 3", "is no class of CorpusSettings"),
        (SUMS.replace('Literal["sums"] = "sums"', 'str = "sums"'), "kind: Literal"),
        (SUMS.replace('"sums"', '"files"'), "there is a corpus 'files' already"),
    ],
)
def test_a_broken_package_is_left_out_with_a_warning_and_keeps_nothing_from_working(
    packages: Path, source: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    install(packages, source=source)
    with pytest.raises(RequestError, match=r"no corpus 'sums'. There are: files, microworld, mix"):
        opened(packages, kind="sums")
    assert said in caplog.text


# What settings they take


def test_recipes_of_older_versions_are_read() -> None:
    old = parse_recipe({"tokens": 1, "corpus": {"generator": "microworld", "people": 80}}, "f.yaml")
    new = parse_recipe({"tokens": 1, "corpus": {"kind": "microworld", "people": 80}}, "f.yaml")
    bare = parse_recipe({"tokens": 1, "corpus": {"people": 80}}, "f.yaml")
    assert old == new == bare
    assert old.digest({}, "t") == new.digest({}, "t")
    written = new.model_dump(mode="json")
    assert written["corpus"] == {"generator": "microworld", "world_seed": 0, "people": 80, "stream_seed": 0}
    assert parse_recipe(written, "f.yaml") == new


@pytest.mark.parametrize(
    ("corpus", "said"),
    [
        ({"generator": "microworld", "kind": "files"}, r"corpus\.generator: is the older name of kind"),
        ({"kind": "file"}, r"corpus\.kind: there is no corpus 'file'. Did you mean 'files'"),
        ({"folder": "texts"}, r"corpus\.folder: extra .*without kind is of this one \(kind: files, micro"),
        ({"kind": "files"}, r"corpus\.folder: field required"),
        ({"kind": "files", "folder": "t", "held_ot": 0.2}, r"corpus\.held_ot: .* Did you mean 'held_out'"),
        ({"kind": "files", "folder": "t", "held_out": 0}, r"corpus\.held_out: .*greater than 0"),
        ("texts", r"corpus: "),
    ],
)
def test_a_wrong_block_names_the_key(corpus: Any, said: str) -> None:
    with pytest.raises(RequestError, match=rf"f\.yaml: .*{said}"):
        parse_recipe({"tokens": 1, "corpus": corpus}, "f.yaml")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"a": (0.5, {}), "b": (0.4, {})}, r"corpus\.parts: .*add up to 0\.9"),
        ({"a": (0.5, {}), "b": (0.5, {"short_first": 0.5})}, r"b\.corpus: short_first is of no use in a mix"),
        ({"a": (0.5, {}), "b": (0.5, {"peple": 3})}, r"corpus\.parts\.b\.corpus\.peple: .*'people'"),
        ({"a": (0.5, {})}, r"corpus\.parts: .*at least 2"),
    ],
)
def test_a_wrong_mix_names_the_part(parts: dict[str, tuple[float, dict[str, Any]]], said: str) -> None:
    block = {name: {"share": share, "corpus": corpus} for name, (share, corpus) in parts.items()}
    with pytest.raises(RequestError, match=said):
        parse_recipe({"tokens": 1, "corpus": {"kind": "mix", "parts": block}}, "f.yaml")


# Files


def test_every_document_is_in_one_split_and_read_once_an_epoch_in_another_order(tmp_path: Path) -> None:
    write_texts(tmp_path / "t", 100)
    corpus = opened(tmp_path, kind="files", folder="t", held_out=0.3, epochs=2)
    parts = {split: texts(corpus, split) for split in SPLITS}
    half = len(parts["train"]) // 2
    assert sorted(parts["train"][:half]) == sorted(parts["train"][half:]) == sorted(parts["tokenizer"])
    assert parts["train"][:half] != parts["train"][half:]
    assert [one.epoch for one in corpus.documents("train")] == [0] * half + [1] * half
    held = parts["validation"] + parts["evaluation"]
    assert sorted(parts["train"][:half] + held) == sorted(p.read_text() for p in (tmp_path / "t").iterdir())
    assert 15 < len(held) < 45


def test_names_places_and_kinds_of_files_make_no_difference_but_the_text_does(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet
    from datasets import Dataset, DatasetDict

    from archbench.formats.text import read_text

    write_texts(tmp_path / "t", 40)
    rows = [read_text(path) for path in sorted((tmp_path / "t").iterdir())]
    for name in ("cut", "lines", "table"):
        (tmp_path / name / "inner").mkdir(parents=True)
    (tmp_path / "cut/inner/all.md").write_text("\n---\n".join(reversed(rows)))
    lines = [f'{{"n": {i}, "body": "{row}"}}\n' for i, row in enumerate([*rows, " "])]
    (tmp_path / "lines/a.jsonl").write_text("".join(lines[:7]))
    (tmp_path / "lines/inner/b.jsonl").write_text("".join(lines[7:]))
    pyarrow.parquet.write_table(pyarrow.table({"text": rows}), tmp_path / "table/x.parquet")
    (tmp_path / "table/README.md").write_text("What this is.")
    Dataset.from_dict({"text": rows}).save_to_disk(tmp_path / "saved")
    DatasetDict({"train": Dataset.from_dict({"text": rows})}).save_to_disk(tmp_path / "splits")
    same = [
        opened(tmp_path, kind="files", held_out=0.3, **settings)
        for settings in (
            {"folder": "t"},
            {"folder": "cut", "separator": "\n---\n"},
            {"folder": "lines", "column": "body"},
            {"folder": "table", "files": "*.parquet"},
            {"folder": "saved"},
            {"folder": "splits", "dataset_split": "train"},
        )
    ]
    for one in same[1:]:
        assert one.digest == same[0].digest
        assert one.settings.model_dump() == same[0].settings.model_dump()
        assert texts(one, "train") == texts(same[0], "train")
    assert "1 rows without text left out" in same[2].description
    (tmp_path / "t/0.txt").write_text("something else")
    changed = opened(tmp_path, kind="files", folder="t", held_out=0.3)
    assert changed.digest != same[0].digest
    assert set(texts(changed, "validation")) ^ set(texts(same[0], "validation")) <= {
        "something else", rows[0],
    }  # fmt: skip


def test_copies_lie_on_one_side_and_are_stated(tmp_path: Path) -> None:
    write_texts(tmp_path / "t", 50)
    for path in list((tmp_path / "t").iterdir()):
        (tmp_path / "t" / f"copy-{path.name}").write_bytes(path.read_bytes())
    corpus = opened(tmp_path, kind="files", folder="t", held_out=0.4)
    held = set(texts(corpus, "validation") + texts(corpus, "evaluation"))
    assert not held & set(texts(corpus, "train"))
    assert "50 of them copies of others" in corpus.description


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, r"t does not exist. .*starts from the family file"),
        (lambda folder: folder.write_text("x"), r"t is a file, and a folder is expected"),
        (lambda folder: folder.mkdir(), r"holds no file. Put text in UTF-8 there"),
        (lambda folder: put(folder, "a.pdf", b"x"), r"a\.pdf. Convert them or move them away, or .*`files`"),
        (lambda folder: put(folder, "a.txt", b""), r"a\.txt is empty"),
        (lambda folder: put(folder, "a.txt", b" \n"), r"a\.txt holds nothing but white space"),
        (lambda folder: put(folder, "a.txt", "ä".encode("latin-1")), r"a\.txt is not UTF-8 text: line 1"),
        (lambda folder: put(folder, "a.txt", "a".encode("utf-16")), r"a\.txt is UTF-16"),
        (lambda folder: put(folder, "a.md", b"a\0b"), r"a\.md holds NUL bytes"),
        (lambda folder: put(folder, "a.jsonl", b'{"txt": "a"}'), r"no column 'text'. Did you mean 'txt'"),
        (lambda folder: put(folder, "a.jsonl", b'{"text": 3}'), r"line 1: 'text' holds 3, and text is exp"),
        (lambda folder: put(folder, "a.jsonl", b'{"text": "a"'), r"line 1 is not JSON"),
        (lambda folder: put(folder, "a.jsonl", b"[1]"), r"line 1: a JSON object is expected"),
        (lambda folder: put(folder, "a.jsonl", rb'{"text": "\ud800"}'), r"half of a character"),
        (lambda folder: put(folder, "a.jsonl", b'{"text": ""}'), r"hold no text, all 1 of them"),
        (lambda folder: put(folder, "a.parquet", b"PAR"), r"a\.parquet cannot be read as parquet"),
        (lambda folder: put(folder, "state.json", b"{}"), r"cannot be loaded"),
        (lambda folder: put(put(folder, "a.txt", b"x"), "b.jsonl", b'{"text": "a"}'), r"next to files"),
        (lambda folder: put(folder, "a.txt", b"one document"), r"of the 1 documents .* none is left for"),
    ],
)  # fmt: skip
def test_odd_folders_are_refused_with_what_to_do(tmp_path: Path, make: Any, said: str) -> None:
    make(tmp_path / "t")
    with pytest.raises(RequestError, match=said) as refused:
        opened(tmp_path, kind="files", folder="t")
    assert "\n" not in str(refused.value)


def put(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return folder


# Mixes


def read_all(documents: Iterator[Document], into: list[Document]) -> None:
    for one in documents:
        into.append(one)


@settings(max_examples=8, deadline=None)
@given(share=st.floats(0.05, 0.95), seed=st.integers(0, 5))
def test_the_shares_of_a_mix_hold_from_the_beginning_whatever_documents_are_long(
    share: float, seed: int
) -> None:
    block = {
        "short": {"share": share, "corpus": {"people": 24}},
        "long": {"share": 1 - share, "corpus": {"people": 24, "world_seed": 1}},
    }
    corpus = opened(Path(), kind="mix", parts=block, stream_seed=seed)
    given_bytes = {"short": 0, "long": 0}
    for one in islice(corpus.documents("train"), 1500):
        given_bytes[one.source] += len(one.text.encode())
    total = sum(given_bytes.values())
    assert abs(given_bytes["short"] - share * total) < 2**16 + 4096


def test_a_mix_reads_each_part_in_its_own_order_and_ends_with_the_first_that_ends(tmp_path: Path) -> None:
    write_texts(tmp_path / "t", 60)
    own = {"kind": "files", "folder": "t"}
    block = {"own": {"share": 0.5, "corpus": own}, "world": {"share": 0.5, "corpus": {"people": 24}}}
    corpus, again = (opened(tmp_path, kind="mix", parts=block) for _ in range(2))
    read: list[Document] = []
    with pytest.raises(TextEndedError) as end:
        read_all(corpus.documents("train"), read)
    assert end.value.source == "own"
    parts = {name: [one.text for one in read if one.source == name] for name in block}
    assert parts["own"] == texts(opened(tmp_path, **own), "train")
    assert parts["world"] == texts(opened(tmp_path, people=24), "train", len(parts["world"]))
    assert [one.text for one in read] == texts(again, "train", len(read))
    assert [one.source for one in read] != sorted(one.source for one in read)
    other = opened(tmp_path, kind="mix", parts=block, stream_seed=1)
    assert texts(other, "train", 30) != texts(corpus, "train", 30)
    assert len({corpus.digest, other.digest}) == 2
    assert corpus.digest == again.digest
