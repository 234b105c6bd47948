"""RULER: what is in the texts, how long they are, what they depend on, and how answers are scored."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archbench.draw import Draw
from archbench.errors import RequestError
from archbench.tasks.lengths import TokenCounter
from archbench.tasks.ruler import haystacks, scoring, vocabulary
from archbench.tasks.ruler.counting import zeta_counts
from archbench.tasks.ruler.entry import RulerEntry
from archbench.tasks.ruler.fitting import answer_room
from archbench.tasks.ruler.haystacks import ESSAYS, NOISE, essay_sentences
from archbench.tasks.ruler.qa_data import read_qa_file
from archbench.tasks.ruler.report import lengths
from archbench.tasks.ruler.subtasks import TASKS, Sources, items
from tests.tasks.ruler_files import documents, holds, read, write_hotpotqa, write_squad


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    folder = tmp_path_factory.mktemp("qa")
    return Sources(None, write_squad(folder / "squad.json"), write_hotpotqa(folder / "hotpotqa.json"))


def digest(made: list[dict[str, Any]]) -> str:
    text = json.dumps([[item[key] for key in ("id", "prompt", "answers", "details")] for item in made])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("length", [1024, 4096])
def test_items_hold_and_fit(task: Any, length: int, sources: Sources, counter: TokenCounter) -> None:
    made = list(items(task, 3, length, 6, sources, counter))
    assert [item["id"] for item in made] == [f"{task}-{length}/{at}" for at in range(6)]
    assert len({item["prompt"] for item in made}) == 6
    for item in made:
        holds(item)
        assert 0.9 * length < counter(item["prompt"]) + item["room"] <= length
        assert scoring.process_results(item, [read(item["prompt"])])["string_match"] == 1
        assert (item["subject"], item["category"]) == (task, TASKS[task].category)
        assert item["room"] >= TASKS[task].room
        # Without the context there is nothing to know: the end of the prompt does not give the answer away.
        if task not in ("qa_1", "qa_2"):
            question = re.split(r"Question:|\n", item["prompt"])[-1]
            assert not any(answer in question for answer in item["answers"])


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_ten_thousand_items_hold(task: Any, tmp_path: Path, counter: TokenCounter) -> None:
    files = Sources(None, write_squad(tmp_path / "s", 1700), write_hotpotqa(tmp_path / "h", 10_000))
    for item in items(task, 11, 1024, 10_000, files, counter):
        holds(item)
        assert 0.9 * 1024 < counter(item["prompt"]) + item["room"] <= 1024


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([one for one in TASKS if "qa" not in one]),
    st.integers(700, 3000),
)
def test_any_seed_and_length_holds(counter: TokenCounter, seed: int, task: Any, length: int) -> None:
    for item in items(task, seed, length, 2, Sources(), counter):
        holds(item)
        # One sentence of an essay may be more than a tenth of a text shorter than any published.
        least = 0.9 if length >= 1024 else 0.85
        assert least * length < counter(item["prompt"]) + item["room"] <= length


def test_an_item_hangs_on_nothing_but_its_own_key(sources: Sources, counter: TokenCounter) -> None:
    alone = {task: list(items(task, 5, 1024, 3, sources, counter)) for task in TASKS}
    for task in reversed(TASKS):
        list(items(task, 6, 1024, 1, sources, counter))
        assert list(items(task, 5, 1024, 2, sources, counter)) == alone[task][:2]
        assert next(items(task, 5, 2048, 1, sources, counter))["prompt"] != alone[task][0]["prompt"]


def test_bytes_are_pinned(byte_counter: TokenCounter) -> None:
    """The same on every machine; a change here is a new VERSION."""
    found = {
        task: digest(list(items(task, 0, 2048, 2, Sources(), byte_counter)))  # type: ignore[arg-type]
        for task in ("niah_single_2", "niah_multikey_3", "niah_multiquery", "vt", "cwe", "fwe")
    }
    assert found == PINNED


PINNED = {
    "niah_single_2": "07e55b05621627d6",
    "niah_multikey_3": "d3daf3418ac552b4",
    "niah_multiquery": "309a7e83c01e9b0b",
    "vt": "5dae0b8fc2f8a9d5",
    "cwe": "bd6fbe9a3f9fcdfd",
    "fwe": "b02793aea09eb050",
}


def test_depths_are_spread_over_the_haystack(counter: TokenCounter) -> None:
    for task in ("niah_single_1", "niah_multikey_1", "niah_multikey_2"):
        made = list(items(task, 0, 2048, 60, Sources(), counter))  # type: ignore[arg-type]
        found = [item["details"]["depth"] for item in made]
        assert min(found) <= 5
        assert max(found) >= 95
        assert len(set(found)) > 20
        for item in made[:5]:
            at = item["prompt"].index(item["answers"][0]) / len(item["prompt"])
            assert abs(100 * at - item["details"]["depth"]) < 12


def test_haystacks(tmp_path: Path, counter: TokenCounter) -> None:
    sentences = essay_sentences(ESSAYS)
    assert len(" ".join(sentences).split()) > 4000
    assert all(one[-1] in ".!?" and "magic" not in one for one in sentences)
    (noise,) = items("niah_single_1", 0, 1024, 1, Sources(), counter)
    assert " ".join(NOISE) in noise["prompt"]
    (tmp_path / "b.txt").write_text("Third one!\n\nIs this   the fourth?", encoding="utf-8")
    (tmp_path / "a.txt").write_text('First, e.g.\nthis. "Second." ', encoding="utf-8")
    assert essay_sentences(tmp_path)[-2:] == ("Third one!", "Is this the fourth?")
    (essay,) = items("niah_single_2", 0, 512, 1, Sources(str(tmp_path)), counter)
    assert essay["prompt"].count("Third one!") > 3
    with pytest.raises(RequestError, match="folder of texts"):
        essay_sentences(tmp_path / "none")
    (tmp_path / "c.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(RequestError, match=r"c\.txt is UTF-16 text, and UTF-8 is expected"):
        essay_sentences(tmp_path)


ENDINGS = ("ra", "ba", "so", "li", "na", "vo", "ti", "po", "ga", "he")


@pytest.mark.parametrize("task", ["niah_single_1", "niah_multikey_2", "niah_multiquery"])
def test_needles_of_ones_own_names_and_shorter_numbers(
    task: Any, tmp_path: Path, counter: TokenCounter
) -> None:
    names = [
        a + b
        for a in ("Mi", "Ta", "Du", "Ke", "Zo", "Ru")
        for b in ("ra", "ba", "so", "li", "na", "vo", "ti", "po", "ga", "he")
    ]
    (tmp_path / "names.txt").write_text("\n".join(names), encoding="utf-8")
    own = Sources(data=str(tmp_path / "names.txt"), digits=2)
    for item in items(task, 0, 512, 10, own, counter):
        hidden = re.findall(r"number for (\w+) is (\d+)\.", item["prompt"])
        assert {key for key, _ in hidden} <= set(names)
        assert len({value for _, value in hidden}) == len(hidden)
        assert all(len(value) == 2 for _, value in hidden)
        assert set(item["answers"]) <= {value for _, value in hidden}
        assert item["prompt"].count(f" {item['answers'][0]}.") == 1
        assert item["room"] < 40, "in a long answer, numbers at random would hit a short one"
    (tmp_path / "rooms.txt").write_text("Room 10\nRoom 11", encoding="utf-8")
    with pytest.raises(RequestError, match="'Room 10' has a digit in it"):
        next(items(task, 0, 512, 1, Sources(data=str(tmp_path / "rooms.txt"), digits=2), counter))
    # Keys of cells stay what they were without them.
    assert Sources().digest("niah_single_1") is None
    assert own.digest("niah_single_1") != Sources(digits=2).digest("niah_single_1") is not None
    with pytest.raises(
        RequestError, match=r"names\.txt: there are 60 names .* about \d+ names at this length"
    ):
        list(items("niah_multikey_2", 0, 4096, 1, Sources(data=own.data), counter))
    with pytest.raises(RequestError, match="2 digits"):
        list(items("niah_multikey_2", 0, 4096, 1, Sources(digits=2), counter))


@pytest.mark.parametrize(
    ("task", "needed"), [("niah_multikey_1", 4), ("niah_multiquery", 4), ("niah_multikey_2", 2)]
)
def test_too_few_names_are_reported_with_their_file(
    task: Any, needed: int, tmp_path: Path, counter: TokenCounter
) -> None:
    file = tmp_path / "few.txt"
    file.write_text("\n".join(["Mira", "Taba", "Kelo"][: needed - 1]), encoding="utf-8")
    there = "is 1 name" if needed == 2 else f"are {needed - 1} names"
    said = rf"few\.txt: there {there} in it \(`data`\), and {task} needs {needed} names, .* add"
    with pytest.raises(RequestError, match=said) as caught:
        next(items(task, 0, 1024, 1, Sources(data=str(file)), counter))
    assert "shorter" not in str(caught.value)


def test_essays_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    loaded: list[tuple[str, str | None]] = []

    def load(name: str, configuration: str | None, split: str) -> Any:
        loaded.append((name, configuration))
        assert split == "train"
        if name == "some/broken":
            raise ConnectionError("no network")
        column = "content" if name == "some/other" else "text"
        return datasets.Dataset.from_dict({column: ["One here. Two here.", "Three here."]})

    haystacks._hub_texts.cache_clear()
    monkeypatch.setattr(datasets, "load_dataset", load)
    assert essay_sentences("some/essays:en") == ("One here.", "Two here.", "Three here.")
    assert haystacks.essays_digest("some/essays:en") == haystacks.essays_digest("some/essays:en")
    assert loaded == [("some/essays", "en")], "read once"
    with pytest.raises(RequestError, match="no column `text`; it has content"):
        essay_sentences("some/other")
    with pytest.raises(RequestError, match=r"ConnectionError: no network\). Without a network"):
        essay_sentences("some/broken")


def test_words_are_plain_and_many() -> None:
    for pool in (vocabulary.ADJECTIVES, vocabulary.NOUNS):
        assert len(set(pool)) == len(pool)
        assert all(re.fullmatch("[a-z]+", word) for word in pool)
    assert vocabulary.KEYS > 100_000
    with pytest.raises(RequestError, match="different keys"):
        vocabulary.draw_keys(Draw(0), vocabulary.MOST_KEYS + 1)
    with pytest.raises(RequestError, match="different words"):
        vocabulary.draw_words(Draw(0), 10, vocabulary.MOST_WORDS)


@pytest.mark.parametrize("others", [0, 30, 500, 3000])
def test_special_words_are_in_no_other(others: int) -> None:
    special, rest = vocabulary.draw_words(Draw(1), 10, others)
    assert len({*special, *rest}) == 10 + others
    assert not any(one in other for one in special for other in [*special, *rest] if one != other)


@given(st.integers(20, 100_000), st.integers(5, 3000))
def test_the_queried_words_are_the_most_frequent(total: int, ranks: int) -> None:
    counts = zeta_counts(total, ranks)
    assert counts[0] >= counts[1] > counts[2] > counts[3] > max(counts[4:])
    assert sum(counts) <= total + ranks


def test_frequencies_are_as_published() -> None:
    counts = zeta_counts(10_000, 81)
    assert [round(10_000 / count) for count in counts[:4]] == [2, 7, 15, 26]  # 1/zeta(2), /4, /9, /16


def test_the_room_is_as_published_unless_more_is_needed(
    counter: TokenCounter, byte_counter: TokenCounter
) -> None:
    assert answer_room(128, ["1234567"], 4096, counter) == 128
    assert answer_room(30, ["QHBZX, JWKUD, RYOEL, VMTAC, XGNFP"], 4096, byte_counter) == 46
    assert answer_room(128, ["1234567"], 512, byte_counter) == 14


def test_documents_come_with_their_own_first(sources: Sources, counter: TokenCounter) -> None:
    for task, own in (("qa_1", 6), ("qa_2", 10)):
        for item in items(task, 0, 4096, 5, sources, counter):  # type: ignore[arg-type]
            number = int(re.findall(r"house (\d+)", item["prompt"])[-1])
            companions = {number // own * own + at for at in range(own)}
            shown = {
                int(found) for one in documents(item["prompt"]) for found in re.findall(r"House (\d+) k", one)
            }
            assert companions <= shown
            assert len(shown) > own
    questions = [
        re.findall(r"house (\d+)", item["prompt"])[-1]
        for item in items("qa_1", 0, 1024, 120, sources, counter)
    ]
    assert len(set(questions)) == 120


@pytest.mark.parametrize("task", ["qa_1", "qa_2"])
def test_documents_fill_what_is_left_of_a_length(task: Any, tmp_path: Path, counter: TokenCounter) -> None:
    files = Sources(None, write_squad(tmp_path / "s", 100), write_hotpotqa(tmp_path / "h", 300))
    made = list(items(task, 11, 1024, 150, files, counter))
    for item in made:
        holds(item)
        assert 0.9 * 1024 < counter(item["prompt"]) + item["room"] <= 1024
    assert list(items(task, 11, 1024, 3, files, counter)) == made[:3]


def test_files_that_will_not_do(sources: Sources, tmp_path: Path, counter: TokenCounter) -> None:
    with pytest.raises(RequestError, match=r"120 of its 120 questions .* set `samples` to at most 120"):
        next(items("qa_1", 0, 1024, 121, sources, counter))
    with pytest.raises(
        RequestError, match=r"0 of its 60 questions .* leave it out, or choose a length of \d+ tokens"
    ):
        next(items("qa_2", 0, 128, 1, sources, counter))
    with pytest.raises(RequestError, match=r"120 documents fill no more than [\d,]+ of the 65,536 tokens"):
        next(items("qa_1", 0, 65536, 1, sources, counter))
    said = r"qa_1 needs a file of SQuAD .* --set ENTRY\.squad=FILE, or leave qa_1 out"
    with pytest.raises(RequestError, match=said):
        read_qa_file("squad", None)
    with pytest.raises(RequestError, match="cannot be read"):
        read_qa_file("hotpotqa", str(tmp_path / "none.json"))
    for text in ("nothing", "[1]", '{"data": [{}]}'):
        (tmp_path / "wrong.json").write_text(text)
        with pytest.raises(RequestError, match=r"wrong\.json is not in the format of SQuAD"):
            read_qa_file("squad", str(tmp_path / "wrong.json"))
    (tmp_path / "empty.json").write_text("[]")
    with pytest.raises(RequestError, match="no question with an answer"):
        read_qa_file("hotpotqa", str(tmp_path / "empty.json"))


@pytest.mark.parametrize(
    ("tasks", "setting", "value", "one"),
    [
        (["vt"], "data", "/nope", "niah_single_1"),
        (["niah_multikey_3", "cwe"], "data", "/nope", "niah_multikey_2"),
        (["niah_single_3", "fwe"], "digits", 3, "niah_single_1"),
        (["niah_single_1"], "essays", "/nope", "niah_single_2"),
        (["qa_2"], "squad", "/nope", "qa_1"),
        (["qa_1"], "hotpotqa", "/nope", "qa_2"),
    ],
)
def test_a_setting_that_no_task_uses_is_refused(tasks: list[Any], setting: str, value: Any, one: str) -> None:
    said = rf"none of the entry's tasks \({', '.join(tasks)}\) uses {setting}: take it out.*{one}"
    with pytest.raises(ValueError, match=said):
        RulerEntry(tasks=tasks, **{setting: value})
    assert RulerEntry(tasks=[*tasks, one], **{setting: value})  # type: ignore[list-item]
    assert RulerEntry(tasks=tasks, digits=7)


@pytest.mark.parametrize(
    ("response", "answers", "every", "part"),
    [
        (" 1234567.", ["1234567"], 1, 1),
        ("It is 7654321, 1111111 and 1234567", ["1234567", "7654321"], 1, 1),
        ("only 1234567", ["1234567", "7654321", "1111111", "2222222"], 0.25, 1),
        ("QUIET lantern", ["Lantern", "quiet"], 1, 1),
        ("12345678", ["1234567"], 1, 1),  # a substring is enough, as published
        ("123456", ["1234567"], 0, 0),
        ("", ["a"], 0, 0),
        ("The Beatles\nand more", ["beatles", "the rolling stones"], 0.5, 1),
    ],
)
def test_scores_are_as_published(response: str, answers: list[str], every: float, part: float) -> None:
    found = scoring.process_results({"answers": answers, "part": False}, [response])
    published = {"string_match": every, "string_match_all": every, "string_match_part": part}
    assert {name: found[name] for name in published} == published
    assert scoring.process_results({"answers": answers, "part": True}, [response])["string_match"] == part


@pytest.mark.parametrize(
    ("response", "answers", "line", "first"),
    [
        (" 1234567.", ["1234567"], 1, 1),
        ("\n\n1234567. The special magic number for x is 7654321.", ["1234567"], 1, 1),
        ("7654321, and not 1234567", ["1234567"], 1, 0),
        ("7654321\n1234567", ["1234567"], 0, 0),
        ("12345678", ["1234567"], 1, 0),
        ("1: 1234567, 2: 7654321", ["1234567", "7654321"], 1, 1),
        ("1234567, 7654321, 1", ["7654321", "1234567"], 1, 1),
        ("ABCDE, FGHIJ and KLMNO", ["ABCDE", "KLMNO"], 1, 0.5),
        ("river lantern", ["lantern", "river"], 1, 1),
        ("the river, lantern", ["lantern", "river"], 1, 0.5),
        (":\n1. 1234567\n2. 7654321", ["1234567", "7654321"], 0, 0),
        ("1. 1234567 2. 7654321", ["1234567", "7654321"], 1, 1),
        ("A) river B) lantern", ["lantern", "river"], 1, 1),
        ("", ["river"], 0, 0),
    ],
)
def test_what_stands_in_the_first_line(response: str, answers: list[str], line: float, first: float) -> None:
    found = scoring.process_results({"answers": answers, "part": False}, [response])
    assert (found["in_line"], found["first_in_line"]) == (line, first)


@pytest.mark.parametrize(
    ("response", "line", "first"),
    [
        ("The Beatles.", 1, 1),
        (" 'beatles' of course", 1, 1),
        ("I think the Beatles", 1, 0),
        ("Who?\nThe Beatles", 0, 0),
    ],
)
def test_what_a_question_is_answered_with(response: str, line: float, first: float) -> None:
    found = scoring.process_results({"answers": ["Beatles", "The Rolling Stones"], "part": True}, [response])
    assert (found["in_line"], found["first_in_line"]) == (line, first)


def test_the_form_of_an_answer() -> None:
    number = {"answers": ["1234567"], "part": False}
    given = {
        "12": "other",
        "1. 1. 2. 3.": "other",
        "0000000": "answer",
        " \n": "empty",
        "not there": "other",
        "It is 7654321": "answer",
        "a1b": "other",
    }
    assert {one: scoring.answer_form(number, one) for one in given} == given
    chain = {"answers": ["ABCDE", "FGHIJ"], "part": False}
    assert scoring.answer_form(chain, "the variables") == "other"
    assert scoring.answer_form(chain, "VAR XYZ") == "answer"
    assert scoring.answer_form({"answers": ["1994"], "part": True}, "in spring") == "answer"
    assert scoring.answer_form({"answers": ["1994"], "part": True}, "...") == "other"


def test_weights_and_effective_length() -> None:
    assert lengths.length_weights(6, increasing=True) == pytest.approx([at / 21 for at in range(1, 7)])
    assert lengths.length_weights(2, increasing=False) == pytest.approx([2 / 3, 1 / 3])
    assert lengths.effective_length({4096: 0.9, 8192: 0.856, 16384: 0.86}) == 16384
    assert lengths.effective_length({4096: 0.856}) is None


def test_entry_unfolds_into_lengths(sources: Sources, tokenizer_folder: Callable[[str], str]) -> None:
    entry = RulerEntry(
        lengths=[1024, 2048], samples=30, limit=4, tokenizer=tokenizer_folder("bpe"), squad="x"
    )
    assert [(one.name, one.labels) for one in entry.variants()] == [
        ("1024tokens", {"length": 1024}),
        ("2048tokens", {"length": 2048}),
    ]
    (variant, _) = entry.variants()
    assert variant.work.tasks == [f"archbench_ruler_{task}" for task in TASKS]
    assert (variant.metric, variant.chance, variant.work.metadata["samples"]) == ("string_match", None, 4)
    with pytest.raises(RequestError, match="`squad`: x cannot be read"):
        entry.check()
    with pytest.raises(RequestError, match="`squad`: x cannot be read"):
        entry.digest()
    with pytest.raises(ValueError, match="listed more than once"):
        RulerEntry(tasks=["vt", "vt"])
    whole = entry.model_copy(update={"squad": sources.squad, "hotpotqa": sources.hotpotqa})
    whole.check()
    assert whole.digest() != whole.model_copy(update={"seed": 1}).digest()
    assert whole.digest() == whole.model_copy(update={"limit": None, "samples": 4}).digest()
    assert whole.digest() == whole.model_copy(update={"lengths": [4096]}).digest()
    short = RulerEntry(tasks=["niah_multikey_3"], lengths=[64], tokenizer=tokenizer_folder("bpe"))
    with pytest.raises(RequestError, match="niah_multikey_3 at 64 tokens"):
        short.check()
    several = whole.model_copy(update={"lengths": [64, 1024]})
    with pytest.raises(RequestError, match="RULER at 64 tokens: too short") as caught:
        several.check()
    enough = dict(re.findall(r"(\w+) \(enough: (\d+)\)", str(caught.value)))
    assert list(enough) == list(TASKS)
    assert f"Use {max(map(int, enough.values()))} tokens" in str(caught.value)
    with pytest.raises(RequestError, match="need a tokenizer to count with"):
        RulerEntry().check()
