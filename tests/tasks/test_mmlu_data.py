"""Reading question sets: the same from any kind of file, stable ids, and errors that say what to do."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archbench.errors import RequestError
from archbench.tasks.mmlu.data import Questions, load
from archbench.tasks.mmlu.entry import MmluEntry, notes
from archbench.tasks.mmlu.subjects import CATEGORIES, CATEGORY_OF

GOOD: dict[str, Any] = {
    "subject": "anatomy",
    "question": "Which?",
    "choices": ["a", "b", "c", "d"],
    "answer": 1,
}


TWO = [GOOD, {**GOOD, "subject": "virology"}]


def renamed(column: str, name: str) -> dict[str, Any]:
    return {name if key == column else key: value for key, value in GOOD.items()}


def jsonl(folder: Path, split: str, *rows: Any) -> Path:
    path = folder / f"{split}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def rows_of(folder: Path, split: str) -> list[dict[str, Any]]:
    lines = (folder / f"{split}.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


def write_csv(path: Path, header: list[str], rows: list[list[Any]], encoding: str = "utf-8") -> None:
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows([header, *rows])


def as_parquet(rows: list[dict[str, Any]], path: Path) -> None:
    table = pa.Table.from_pylist(rows)
    pq.write_table(table.set_column(3, "answer", table["answer"].cast(pa.int8())), path)


def as_csv_with_json(rows: list[dict[str, Any]], path: Path) -> None:
    header = ["question", "choices", "answer", "subject"]
    cells = [[r["question"], json.dumps(r["choices"]), r["answer"], r["subject"]] for r in rows]
    write_csv(path, header, cells, encoding="utf-8-sig")


def as_jsonl_with_mark(rows: list[dict[str, Any]], path: Path) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8-sig")


def as_csv_with_letters(rows: list[dict[str, Any]], path: Path) -> None:
    header = ["subject", "question", "A", "B", "C", "D", "answer", "unused"]
    write_csv(
        path, header, [[r["subject"], r["question"], *r["choices"], "ABCD"[r["answer"]], ""] for r in rows]
    )


@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        ("parquet", as_parquet),
        ("csv", as_csv_with_json),
        ("csv", as_csv_with_letters),
        ("jsonl", as_jsonl_with_mark),
    ],
    ids=["parquet", "csv-json", "csv-letters", "jsonl-mark"],
)
def test_kind_of_file_does_not_matter(
    suffix: str, write: Callable[[list[dict[str, Any]], Path], None], tricky: Path, tmp_path: Path
) -> None:
    for split in ("test", "dev"):
        write(rows_of(tricky, split), tmp_path / f"{split}.{suffix}")
    reference, questions = load(str(tricky)), load(str(tmp_path))
    assert questions.test == reference.test
    assert questions.dev == reference.dev
    assert questions.digest() == reference.digest()


def test_one_file_may_be_of_another_kind(tricky: Path, tmp_path: Path) -> None:
    as_parquet(rows_of(tricky, "test"), tmp_path / "test.parquet")
    as_csv_with_json(rows_of(tricky, "dev"), tmp_path / "dev.csv")
    assert load(str(tmp_path)).digest() == load(str(tricky)).digest()


def test_texts_that_look_like_missing_values_stay_texts(tmp_path: Path) -> None:
    header = ["subject", "question", "A", "B", "C", "D", "answer"]
    write_csv(tmp_path / "test.csv", header, [["anatomy", "NaN", "None", "NA", "null", "1e5", " C "]])
    (item,) = load(str(tmp_path)).test
    assert (item.question, item.choices, item.answer) == ("NaN", ("None", "NA", "null", "1e5"), 2)


def test_ids_are_stable_and_distinct_even_for_duplicates(tmp_path: Path) -> None:
    other = {**GOOD, "subject": "virology"}
    jsonl(tmp_path, "test", GOOD, other, GOOD, {**GOOD, "question": "What?"})
    ids = [item.id for item in load(str(tmp_path)).test]
    assert ids[0].startswith("anatomy/0-")
    assert ids[2] == ids[0].replace("/0-", "/1-")
    assert ids[1] == ids[0].replace("anatomy", "virology")
    assert len(set(ids)) == 4
    assert [item.id for item in load(str(tmp_path), subjects=["virology"]).test] == [ids[1]]
    assert [item.id for item in load(str(tmp_path), limit=1).test] == ids[:2]
    jsonl(tmp_path, "test", {**GOOD, "answer": 2})
    assert load(str(tmp_path)).test[0].id != ids[0]


def test_own_ids_and_categories_win(tmp_path: Path) -> None:
    jsonl(
        tmp_path,
        "test",
        {**GOOD, "id": 7, "category": "mine"},
        {**GOOD, "id": "q8", "category": None},
        {**GOOD, "subject": "alchemy"},
    )
    questions = load(str(tmp_path))
    assert [(i.id, i.category) for i in questions.test[:2]] == [("7", "mine"), ("q8", "STEM")]
    assert questions.test[2].category == "unlisted"
    assert any("1 subject is not among MMLU's 57" in note and "alchemy" in note for note in notes(questions))


def test_columns_that_contradict_each_other(tmp_path: Path) -> None:
    same = {**GOOD, "A": "a", "B": "b", "C": "c", "D": "d"}
    jsonl(tmp_path, "test", same, {**GOOD, "A": None, "B": "", "C": None, "D": None})
    assert len(load(str(tmp_path)).test) == 2
    jsonl(tmp_path, "test", same, {**same, "C": "x"})
    fails(tmp_path, "line 2", "column 'C'", "'x'", "option C of column 'choices'", "'c'")


@pytest.mark.parametrize("letters", ["A", "AB", "BD", "ABC"])
def test_some_of_the_option_columns_beside_choices(letters: str, tmp_path: Path) -> None:
    some = {letter: letter.lower() for letter in letters}
    jsonl(tmp_path, "test", {**GOOD, **some})
    assert load(str(tmp_path)).test[0].choices == ("a", "b", "c", "d")
    last = letters[-1]
    jsonl(tmp_path, "test", {**GOOD, **some, last: "x"})
    fails(tmp_path, "line 1", f"column '{last}'", "'x'", f"option {last} of column 'choices'")
    jsonl(tmp_path, "test", {key: value for key, value in {**GOOD, **some}.items() if key != "choices"})
    fails(tmp_path, "line 1", "no column 'choices'")


def test_a_fifth_option_beside_choices_alone(tmp_path: Path) -> None:
    jsonl(tmp_path, "test", {**GOOD, "E": "e"})
    fails(tmp_path, "line 1", "column 'E'", "4 options")


@pytest.mark.parametrize("choices", [True, False])
def test_a_fifth_option_is_not_passed_over(choices: bool, tmp_path: Path) -> None:
    row = {key: value for key, value in GOOD.items() if choices or key != "choices"}
    jsonl(tmp_path, "test", {**row, "A": "a", "B": "b", "C": "c", "D": "d", "E": "e"})
    fails(tmp_path, "line 1", "column 'E'", "4 options")


def answers(folder: Path, *values: Any, split: str = "test") -> None:
    rows = [{**GOOD, "question": f"{split} {at}?", "answer": value} for at, value in enumerate(values)]
    jsonl(folder, split, *rows)


def read(folder: Path, base: Literal[0, 1] | None = None) -> list[int]:
    return [item.answer for item in load(str(folder), answer_base=base).test]


def test_answers_that_are_letters_and_numbers_need_a_base(tmp_path: Path) -> None:
    answers(tmp_path, "A", 1, "2")
    fails(tmp_path, "line 2 has the number 1", "line 1 has the letter 'A'", "answer_base=0 or 1")
    assert read(tmp_path, 0) == [0, 1, 2]
    assert read(tmp_path, 1) == [0, 0, 1]


@pytest.mark.parametrize("kind", [int, str])
def test_answers_that_may_be_counted_from_one_are_reported(kind: type, tmp_path: Path) -> None:
    answers(tmp_path, *map(kind, (1, 3, 2)))
    assert read(tmp_path) == [1, 3, 2]
    (note,) = notes(load(str(tmp_path)))
    assert "All 3 answers are numbers from 1 to 3" in note
    assert "read as counted from 0" in note
    assert "--set ENTRY.answer_base=1" in note
    assert read(tmp_path, 1) == [0, 2, 1]
    for base in (0, 1):
        assert not notes(load(str(tmp_path), answer_base=base))


@pytest.mark.parametrize("values", [(0, 1, 2), ("0", "3"), ("A", "B")])
def test_answers_that_are_sure_need_no_words(values: tuple[Any, ...], tmp_path: Path) -> None:
    answers(tmp_path, *values)
    assert not notes(load(str(tmp_path)))
    answers(tmp_path, 1, 2)
    answers(tmp_path, *values, split="dev")
    assert bool(notes(load(str(tmp_path)))) is (values[0] == "A"), "both splits are counted alike"


def test_answers_that_fit_neither_base(tmp_path: Path) -> None:
    answers(tmp_path, 1, 4)
    fails(tmp_path, "line 2", "from 0 to 3", "int 4", "counted from 1", "--set ENTRY.answer_base=1")
    assert read(tmp_path, 1) == [0, 3]
    fails(tmp_path, "line 2", "from 0 to 3", answer_base=0)
    answers(tmp_path, 0)
    fails(tmp_path, "line 1", "from 1 to 4", "int 0", answer_base=1)


def test_the_base_counts_in_the_key_where_it_changes_answers(tmp_path: Path) -> None:
    answers(tmp_path, 1, 2)
    plain, zero, one = (
        MmluEntry(data=str(tmp_path), shots=[0], answer_base=base).digest() for base in (None, 0, 1)
    )
    assert plain == zero != one


def test_examples_that_are_the_questions(tmp_path: Path) -> None:
    two = [GOOD, {**GOOD, "question": "What?"}]
    jsonl(jsonl(tmp_path, "test", *two), "dev", *reversed(two))
    fails(tmp_path, "dev.jsonl holds the same questions", "test.jsonl")
    moved = {**GOOD, "question": " Which?", "choices": ["b", "a", "c", "d"], "answer": 0}
    jsonl(tmp_path, "dev", {**GOOD, "question": "Else?"}, moved)
    questions = load(str(tmp_path), answer_base=0)
    assert not notes(questions, 1), "the second example is not shown"
    (note,) = notes(questions, 2)
    assert f"1 of 2 evaluated questions are also among the examples of {tmp_path / 'dev.jsonl'}" in note
    assert questions.test[0].id in note


def test_examples_that_are_the_questions_but_for_white_space_and_case(tmp_path: Path) -> None:
    one = {**GOOD, "question": "Which  one\nis it?", "choices": ["A b", "c", "d", "e"]}
    other = {**GOOD, "question": "which one is it? ", "choices": ["a  B", "C", "d", "e"]}
    jsonl(jsonl(tmp_path, "test", one), "dev", other)
    fails(tmp_path, "dev.jsonl holds the same questions", "test.jsonl")
    jsonl(tmp_path, "dev", {**GOOD, "question": "Else?"})
    jsonl(tmp_path, "test", one, other)
    assert [item.question for item in load(str(tmp_path)).test] == [one["question"], other["question"]]
    (note,) = notes(load(str(tmp_path), answer_base=0))
    assert note.startswith("1 of 2 evaluated questions are copies of others")
    assert "differ in the right answer" not in note


def test_copies_among_the_examples_are_counted(tmp_path: Path) -> None:
    jsonl(tmp_path, "test", {**GOOD, "question": "Asked?"})
    elsewhere = {**GOOD, "subject": "virology"}
    jsonl(tmp_path, "dev", GOOD, elsewhere, {**GOOD, "question": "Else?"}, {**GOOD, "question": "which? "})
    questions = load(str(tmp_path), answer_base=0)
    assert not notes(questions, 2), "the copy is not shown"
    (note,) = notes(questions, 3)
    assert note.startswith(f"1 of 3 examples of {tmp_path / 'dev.jsonl'} are copies of others")
    assert "the first: anatomy/0-" in note
    assert "differ in the right answer" not in note
    jsonl(tmp_path, "dev", GOOD, {**GOOD, "answer": 0})
    assert "Copies of 1 differ in the right answer" in notes(load(str(tmp_path), answer_base=0), 2)[0]


def test_copies_among_the_questions_are_counted(tmp_path: Path) -> None:
    jsonl(tmp_path, "test", GOOD, {**GOOD, "answer": 0}, {**GOOD, "question": "Other?"}, GOOD)
    questions = load(str(tmp_path))
    (note,) = notes(questions)
    assert note.startswith("2 of 4 evaluated questions are copies of others (the first: anatomy/0-")
    assert "not independent" in note
    assert "Copies of 1 differ in the right answer" in note
    assert len(questions.test) == 4


def test_limit_and_subjects_keep_data_order(plain_set: Path) -> None:
    questions = load(str(plain_set), subjects=["virology", "sociology"], limit=2)
    expected = [(s, n) for n in range(2) for s in ("virology", "sociology")]
    assert [(i.subject, int(i.id.split("/")[1].split("-")[0])) for i in questions.test] == expected
    assert set(questions.dev) == {"virology", "sociology"}


def test_equal_options_are_kept_and_counted(tmp_path: Path) -> None:
    first, second, lost = ["x", "x", "y", "z"], ["a", "b", "b", "c"], ["p", "q", "r", "q"]
    jsonl(
        tmp_path,
        "test",
        {**GOOD, "choices": first, "answer": 0},
        {**GOOD, "choices": second, "answer": 0},
        {**GOOD, "choices": lost, "answer": 3},
        GOOD,
    )
    questions = load(str(tmp_path))
    assert len(questions.test) == 4
    (note,) = notes(questions)
    assert note.startswith("3 of 4 items have two options with the same text, the right one among them in 2")
    assert note.endswith("so 1 cannot be answered correctly.")


def test_subject_table_is_lm_evals() -> None:
    import lm_eval.tasks

    folder = Path(lm_eval.tasks.__file__).parent / "mmlu" / "default"
    theirs = {}
    for path in folder.glob("mmlu_*.yaml"):
        text = path.read_text(encoding="utf-8")
        (tag,) = [c for c in CATEGORIES if f"mmlu_{c.lower().replace(' ', '_')}_tasks" in text]
        theirs[path.stem.removeprefix("mmlu_")] = tag
    assert theirs == CATEGORY_OF
    assert len(theirs) == 57


def fails(data: Path | str, *expected: str, **options: Any) -> None:
    with pytest.raises(RequestError) as caught:
        load(str(data), **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in expected:
        assert part in message, message


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({**GOOD, "choices": ["a", "b", "c"]}, ["line 2", "'choices'", "list of 4", "3 options"]),
        ({**GOOD, "choices": ["a", "b", "c", "d", "e"]}, ["5 options"]),
        ({**GOOD, "choices": "a, b, c, d"}, ["JSON list of four texts"]),
        ({**GOOD, "choices": {"a": 1}}, ["list of 4", "dict"]),
        ({**GOOD, "choices": None}, ["list of 4", "NoneType"]),
        ({**GOOD, "choices": ["a", "b", "c", 4]}, ["option D", "text is expected", "int 4"]),
        ({**GOOD, "choices": ["a", " ", "c", "d"]}, ["option B", "empty"]),
        ({**GOOD, "answer": 4}, ["'answer'", "0 to 3", "A to D", "int 4"]),
        ({**GOOD, "answer": -1}, ["0 to 3", "-1"]),
        ({**GOOD, "answer": "E"}, ["A to D", "'E'"]),
        ({**GOOD, "answer": True}, ["bool True"]),
        ({**GOOD, "answer": 1.0}, ["float 1.0"]),
        ({**GOOD, "answer": None}, ["NoneType"]),
        ({**GOOD, "question": "  "}, ["'question'", "empty"]),
        ({**GOOD, "question": 3}, ["'question'", "text is expected"]),
        ({**GOOD, "question": "\ud800"}, ["'question'", "Unicode"]),
        ({**GOOD, "subject": ""}, ["'subject'", "empty"]),
        ({**GOOD, "id": "same"}, []),
        (
            {k: v for k, v in GOOD.items() if k != "answer"} | {"anwser": 1},
            ["no column 'answer'", "'anwser'?"],
        ),
        (
            {k: v for k, v in GOOD.items() if k != "choices"} | {"choice": []},
            ["no column 'choices'", "'choice'?"],
        ),
        ([GOOD], ["JSON object", "list"]),
    ],
)
def test_wrong_row(row: Any, expected: list[str], tmp_path: Path) -> None:
    jsonl(tmp_path, "test", GOOD, row)
    if expected:
        fails(tmp_path, "test.jsonl, line 2", *expected)
    else:
        assert len(load(str(tmp_path)).test) == 2


def test_wrong_row_in_dev_counts_too(tmp_path: Path) -> None:
    jsonl(jsonl(tmp_path, "test", GOOD), "dev", {**GOOD, "answer": "?"})
    fails(tmp_path, "dev.jsonl, line 1", "'answer'")


def test_ids_must_be_unique(tmp_path: Path) -> None:
    jsonl(tmp_path, "test", {**GOOD, "id": "q"}, GOOD, {**GOOD, "id": "q"})
    fails(tmp_path, "line 3", "id 'q'", "line 1", "unique")


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    fails(tmp_path / "nowhere", "nowhere", "no such folder", "parquet, CSV or JSONL")


def test_file_instead_of_folder(tmp_path: Path) -> None:
    jsonl(tmp_path, "test", GOOD)
    fails(tmp_path / "test.jsonl", "is a file", f"'{tmp_path}'")


def test_folder_without_test(tmp_path: Path) -> None:
    jsonl(tmp_path, "dev", GOOD)
    fails(tmp_path, "no test split", "test.parquet, test.csv or test.jsonl", "It holds dev.jsonl.")


def test_two_files_for_a_split(tmp_path: Path) -> None:
    jsonl(tmp_path, "test", GOOD)
    as_parquet([GOOD], tmp_path / "test.parquet")
    fails(tmp_path, "test.parquet and test.jsonl", "which one", "Keep one")


@pytest.mark.parametrize("name", ["test.parquet", "test.csv", "test.jsonl"])
def test_empty_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    fails(tmp_path, name, "is empty")


def test_file_without_rows(tmp_path: Path) -> None:
    write_csv(tmp_path / "test.csv", ["subject", "question", "choices", "answer"], [])
    fails(tmp_path, "test.csv", "is empty")


@pytest.mark.parametrize("name", ["test.parquet", "test.csv", "test.jsonl"])
def test_corrupt_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b'PAR1\xff\xfe"not a,\x00table')
    fails(tmp_path, name)


def test_truncated_parquet(tmp_path: Path) -> None:
    as_parquet([GOOD] * 50, tmp_path / "test.parquet")
    content = (tmp_path / "test.parquet").read_bytes()
    (tmp_path / "test.parquet").write_bytes(content[: len(content) // 2])
    fails(tmp_path, "test.parquet", "cannot be read as parquet")


def test_csv_row_with_too_many_cells(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("subject,question,A,B,C,D,answer\nanatomy,Is it a, b?,a,b,c,d,A\n")
    fails(tmp_path, "test.csv, line 2", "8 cells", "7 columns", "quoted")


def test_csv_quote_that_never_closes(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text('subject,question,A,B,C,D,answer\nanatomy,Why?,a,b,c,d,"A\n')
    fails(tmp_path, "test.csv cannot be read as csv", "unexpected end")


def test_unknown_subject(plain_set: Path) -> None:
    fails(plain_set, "test.jsonl", "'anatmy'", "Did you mean 'anatomy'?", subjects=["anatmy"])


def test_too_few_shots_names_the_subject(plain_set: Path) -> None:
    with pytest.raises(RequestError, match=r"6 shots .* subject 'anatomy' has 5 in the dev split"):
        load(str(plain_set)).require_shots([0, 6])


def test_a_mistyped_folder_is_no_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(RequestError, match=r"'\./dta': there is no such folder.* Did you mean \./data\?"):
        load("./dta")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """cais/mmlu as the hub serves it: configuration `all`, four splits, the answer as a class label."""
    calls = []
    features = datasets.Features(
        {
            "question": datasets.Value("string"),
            "subject": datasets.Value("string"),
            "choices": datasets.List(datasets.Value("string")),
            "answer": datasets.ClassLabel(names=["A", "B", "C", "D"]),
        }
    )
    rows = {split: [{**row, "question": f"{split}?"} for row in TWO] for split in ("test", "dev", "train")}
    sets = {split: datasets.Dataset.from_list(some, features=features) for split, some in rows.items()}
    sets |= {"auxiliary_train": sets["train"], "validation": sets["train"]}

    def load_dataset(*args: str) -> datasets.DatasetDict:
        calls.append(args)
        if args[0] != "cais/mmlu":
            raise ConnectionError("Couldn't reach the Hub.")
        splits = ("auxiliary_train", "test", "validation", "dev") if args[1] == "all" else ("train",)
        return datasets.DatasetDict({split: sets[split] for split in splits})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return calls


def test_hub_data_set(hub: list[tuple[str, ...]], tmp_path: Path) -> None:
    questions: Questions = load("cais/mmlu")
    assert hub == [("cais/mmlu", "all")]
    for split in ("test", "dev"):
        jsonl(tmp_path, split, *({**row, "question": f"{split}?"} for row in TWO))
    assert questions.digest() == load(str(tmp_path)).digest()


def test_hub_columns_that_look_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = datasets.Dataset.from_list([{**GOOD, "answer ": 2}])
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: datasets.DatasetDict({"test": twice}))
    fails("someone/mmlu", "split test) has the columns 'answer' and 'answer '")


def test_hub_data_set_without_test(hub: list[tuple[str, ...]]) -> None:
    fails("cais/mmlu:other", "no split `test`", "it has train")
    assert hub == [("cais/mmlu", "other")]


@pytest.mark.usefixtures("hub")
def test_hub_out_of_reach() -> None:
    fails(
        "someone/mmlu",
        "no such folder",
        "'all'",
        "ConnectionError: Couldn't reach the Hub)",
        "offline",
        "to_parquet",
    )
