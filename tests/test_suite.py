"""Suites: what is read, where it is looked for, and what is said about a wrong one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from archbench.errors import RequestError
from archbench.suite import Suite, find_suite, load_suite, suites

GOOD = """\
name: mine
description: two models, one task
families:
  - world
  - {name: other, members: [a]}
members:
  local: ./model
  hub: owner/model
  full:
    hub: owner/other
    revision: main
    tokenizer: owner/tokens
tasks:
  quiz:
    kind: mmlu
    data: questions
    shots: [0]
  stock:
    kind: lm_eval
    tasks: [piqa]
engine:
  dtype: float32
seed: 7
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path / "cwd"


def write(folder: Path, text: str, name: str = "suite.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_suite_is_read(here: Path) -> None:
    (here / "model").mkdir()
    suite = load_suite(write(here, GOOD))
    assert [(one.name, one.members) for one in suite.families] == [("world", None), ("other", ["a"])]
    assert suite.members["local"].path == str(here / "model")
    assert suite.members["hub"].hub == "owner/model"
    assert suite.members["full"].tokenizer == "owner/tokens"
    assert [type(entry).__name__ for entry in suite.tasks.values()] == ["MmluEntry", "LmEvalEntry"]
    assert (suite.engine.dtype, suite.engine.batch_tokens, suite.seed) == ("float32", 8192, 7)


def test_a_suite_from_python(here: Path) -> None:
    (here / "model").mkdir()
    content = {"name": "p", "members": {"m": here / "model"}, "tasks": {"q": {"kind": "mmlu", "data": "d"}}}
    suite = load_suite(content, ["seed=3"])
    assert (suite.seed, suite.members["m"].path) == (3, str(here / "model"))
    assert content["members"] == {"m": here / "model"}, "the caller's own mapping is left alone"
    with pytest.raises(RequestError, match=r"^suite: 'tasks' is missing"):
        load_suite({"name": "p"})


def test_relative_folders_are_those_of_the_current_directory_then_of_the_file(here: Path) -> None:
    beside = here.parent / "elsewhere"
    (beside / "model").mkdir(parents=True)
    (beside / "questions").mkdir()
    suite = load_suite(write(beside, GOOD))
    assert suite.members["local"].path == str(beside / "model")
    assert suite.find("questions") == beside / "questions"
    (here / "model").mkdir()
    assert load_suite(beside / "suite.yaml").members["local"].path == str(here / "model")
    assert suite.find("nothing") is None


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("seed=3", ("seed",), 3),
        ("quiz.shots=[0, 5]", ("tasks", "quiz", "shots"), [0, 5]),
        ("tasks.quiz.shots=[1]", ("tasks", "quiz", "shots"), [1]),
        ("quiz.limit=null", ("tasks", "quiz", "limit"), None),
        ("engine.max_length=128", ("engine", "max_length"), 128),
        ("quiz.data=a=b", ("tasks", "quiz", "data"), "a=b"),
        ("description=x: y", ("description",), "x: y"),
        ("description=[x]", ("description",), "[x]"),
        ("description.x=y", None, None),
        ("families=[]", ("families",), []),
    ],
)
def test_overrides(here: Path, override: str, path: tuple[str, ...] | None, value: object) -> None:
    (here / "model").mkdir()
    file = write(here, GOOD)
    if path is None:
        with pytest.raises(RequestError, match="has no keys to set"):
            load_suite(file, [override])
        return
    found: object = load_suite(file, [override]).model_dump()
    for key in path:
        assert isinstance(found, dict)
        found = found[key]
    assert found == value


def test_a_member_given_by_name_alone_can_be_completed(here: Path) -> None:
    (here / "model").mkdir()
    suite = load_suite(write(here, GOOD), ["members.local.tokenizer=owner/t", "members.new=./model"])
    assert (suite.members["local"].path, suite.members["local"].tokenizer) == (str(here / "model"), "owner/t")
    assert suite.members["new"].path == str(here / "model")


def test_names_with_dots_can_be_set(here: Path) -> None:
    (here / "model").mkdir()
    file = write(here, GOOD.replace("  stock:", "  arc.easy:").replace("  full:", "  full-1.4b:"))
    sets = [
        "members.mamba-2.8b=./model",
        "members.mamba-2.8b.tokenizer=owner/t",
        "members.rwkv-0.4b.hub=owner/rwkv",
        "members.made.v1.5.architecture.model_type=llama",
        "members.made.v1.5.init=random",
        "members.full-1.4b.revision=other",
        "arc.easy.limit=3",
        "tasks.arc.hard.kind=lm_eval",
        "arc.hard.tasks=[arc_challenge]",
    ]
    suite = load_suite(file, sets)
    added = [name for name in suite.members if name not in ("local", "hub")]
    assert added == ["full-1.4b", "mamba-2.8b", "rwkv-0.4b", "made.v1.5"]
    mamba = suite.members["mamba-2.8b"]
    assert (mamba.path, mamba.tokenizer) == (str(here / "model"), "owner/t")
    assert suite.members["made.v1.5"].architecture == {"model_type": "llama"}
    assert suite.members["full-1.4b"].revision == "other"
    assert list(suite.tasks) == ["quiz", "arc.easy", "arc.hard"]
    assert suite.tasks["arc.easy"].limit == 3


@pytest.mark.parametrize("text", ["members.local=./model", "members.local.path=./model", "members={}"])
def test_a_wrong_folder_can_be_set_right(here: Path, text: str) -> None:
    (here / "model").mkdir()
    file = write(here, GOOD.replace("./model", "./modl"))
    members = load_suite(file, [text]).members
    assert not members or members["local"].path == str(here / "model")
    with pytest.raises(RequestError, match=r"line 7: there is no model folder \./modl"):
        load_suite(file, ["seed=1"])


def test_entries_can_be_added_and_taken_away(here: Path) -> None:
    (here / "model").mkdir()
    file = write(here, GOOD)
    suite = load_suite(file, ["tasks.more.kind=mmlu", "more.data=x"])
    assert list(suite.tasks) == ["quiz", "stock", "more"]
    assert list(load_suite(file, ["tasks={q: {kind: mmlu, data: d}}"]).tasks) == ["q"]


def test_shipped_suites_are_whole(here: Path) -> None:
    known = suites()
    assert "mmlu" in known
    for name, path in known.items():
        suite = load_suite(name)
        assert suite.name == name == path.stem
        assert suite.description


def test_suites_are_found_by_name_and_by_path(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = suites()["mmlu"]
    for asked in ("mmlu", "mmlu.yaml", "suites/mmlu.yaml", "suites/mmlu", Path("suites/mmlu.yaml")):
        assert find_suite(asked) == shipped
    (here / "suites").mkdir()
    own = write(here / "suites", GOOD, "mmlu.yaml")
    assert find_suite("suites/mmlu.yaml") == Path("suites/mmlu.yaml")
    assert find_suite("mmlu") == shipped
    home = here / "home"
    (home / "suites").mkdir(parents=True)
    theirs = write(home / "suites", GOOD, "mmlu.yaml")
    monkeypatch.setenv("ARCHBENCH_HOME", str(home))
    assert find_suite("mmlu") == theirs
    assert own.is_file()
    with pytest.raises(RequestError, match=r"no suite 'mmlu2'\. Did you mean 'mmlu'"):
        find_suite("mmlu2")
    with pytest.raises(RequestError, match="no suite"):
        find_suite("other/mmlu.yaml")


WRONG = [
    # (what is replaced, by what, line, parts of the message)
    ("seed: 7", "sed: 7", 23, ["'sed' is not a key", "Did you mean 'seed'?"]),
    ("seed: 7", "seed: seven", 23, ["'seed' is 'seven'", "expected a whole number"]),
    ("    shots: [0]", "    shotz: [0]", 17, ["'tasks.quiz.shotz'", "Did you mean 'shots'?"]),
    ("    shots: [0]", "    shots: [0, many]", 17, ["'tasks.quiz.shots[1]' is 'many'", "a whole number"]),
    ("    shots: [0]", "    shots: 5", 17, ["'tasks.quiz.shots' is 5", "expected a list"]),
    ("    shots: [0]", "    formats: [clozee]", 17, ["'clozee'", "Did you mean 'cloze'?"]),
    ("kind: mmlu", "kind: mmul", 15, ["'tasks.quiz.kind' is 'mmul'", "Did you mean 'mmlu'?"]),
    ("    kind: mmlu\n", "", 14, ["'tasks.quiz.kind' is missing", "lm_eval, mmlu"]),
    ("    data: questions\n", "", 14, ["'tasks.quiz.data' is missing"]),
    ("dtype: float32", "dtype: fp32", 22, ["'engine.dtype' is 'fp32'", "'float32'"]),
    ("dtype: float32", "dtyp: float32", 22, ["'engine.dtyp'", "Did you mean 'dtype'?"]),
    ("dtype: float32", "device: gpu", 22, ["'engine.device'", "no device 'gpu'", "cuda:N"]),
    ("dtype: float32", "device: cuda:x", 22, ["no device 'cuda:x'"]),
    ("seed: 7", "seed: -1", 23, ["'seed' is -1", "greater than or equal to 0"]),
    ("seed: 7", "seed: 4294967296", 23, ["'seed' is 4294967296", "less than 4294967296"]),
    ("engine:", "engine: [1]\nreport:", 21, ["'engine' is the list [1]", "a mapping"]),
    ("    revision: main", "    path: ./model", 9, ["either path (a folder) or hub"]),
    ("  full:", "  fu/ll:", 9, ["'members.fu/ll'", "letters, digits"]),
    ("  - world", "  - 3", 4, ["'families[0]"]),
    ("  quiz:", "  report:", 14, ["'tasks.report'", "a key of the suite itself"]),
    ("name: mine", "name: ../mine", 1, ["'name'", "letters, digits"]),
    ("name: mine\n", "", 1, ["'name' is missing"]),
    ("  local: ./model", "  local: ./modl", 7, ["no model folder ./modl"]),
    ("  local: ./model", "  local: ./model\n  local: ./model", 8, ["'members.local' is there twice"]),
    ("seed: 7", "seed: [7", 23, ["not valid YAML"]),
    ("seed: 7", "report: {confidense: 0.9}", 23, ["'report.confidense'", "Did you mean 'confidence'?"]),
]


@pytest.mark.parametrize(("old", "new", "line", "parts"), WRONG)
def test_a_wrong_suite_is_told_by_line_key_and_nearest_name(
    here: Path, old: str, new: str, line: int, parts: list[str]
) -> None:
    (here / "model").mkdir()
    assert old in GOOD
    file = write(here, GOOD.replace(old, new, 1))
    with pytest.raises(RequestError) as error:
        load_suite(file)
    message = str(error.value)
    assert f"{file}, line {line}: " in message
    assert "\n\n" not in message
    for part in parts:
        assert part in message
    assert error.value.exit_code == 2


def test_several_wrong_keys_are_listed_but_not_without_end(here: Path) -> None:
    keys = "".join(f"wrong{index}: 1\n" for index in range(9))
    with pytest.raises(RequestError) as error:
        load_suite(write(here, "name: x\ntasks: {q: {kind: mmlu, data: d}}\n" + keys))
    lines = str(error.value).splitlines()
    assert "9 things are wrong" in lines[0]
    assert len([line for line in lines if line.startswith("  - ")]) == 6
    assert lines[-1] == "  - and 4 more"


WRONG_SETS = [
    ("seed", "expected KEY=VALUE"),
    ("=3", "expected KEY=VALUE"),
    ("quiz..shots=1", "expected KEY=VALUE"),
    ("sed=3", "Did you mean 'seed'?"),
    ("quizz.shots=[0]", "Did you mean 'quiz'?"),
    ("quiz.shotz=[0]", "Did you mean 'shots'?"),
    ("quiz.shots=[0", "not valid YAML"),
    ("quiz.shots.more=1", "has no keys to set"),
    ("engine.dtype=float23", "Did you mean 'float32'?"),
    ("members.x=./nowhere", "no model folder ./nowhere"),
    ("members.x=./modle", "no model folder ./modle. Did you mean ./model?"),
    ("members.x=~/no/such/model", "The nearest that exists is "),
    ("members.x=some/where/else", "no model folder some/where/else"),
    ("members.x.tokeniser=./model", "'tokeniser' is not a key of 'members'. Did you mean 'tokenizer'?"),
    ("members.mamba-2.8b.tokeniser=./model", "Did you mean 'tokenizer'?"),
    ("members.full.tokeniser=./model", "Did you mean 'tokenizer'?"),
    ("members=3", "a mapping"),
    ("tasks={}", "at least 1"),
]


@pytest.mark.parametrize(("text", "part"), WRONG_SETS)
def test_a_wrong_set_is_told_by_the_option(here: Path, text: str, part: str) -> None:
    (here / "model").mkdir()
    with pytest.raises(RequestError) as error:
        load_suite(write(here, GOOD), [text])
    assert f"--set {text}: " in str(error.value)
    assert part in str(error.value)


def test_entry_kinds_are_told_apart_by_kind(here: Path) -> None:
    schema = Suite.model_json_schema()
    assert set(schema["properties"]["tasks"]["additionalProperties"]["discriminator"]["mapping"]) == {
        "mmlu",
        "phonebook",
        "ruler",
        "perplexity",
        "lm_eval",
    }


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("book.books=1000000000", "less than or equal to 10000"),
        ("engine.threads=true", "it is true; expected a whole number"),
        ("seed=true", "it is true; expected a whole number"),
        ("members.m={hub: a/b, hub: a/c}", "the key 'hub' is there twice"),
        ("quiz.shots=[&a [*a]]", "part of"),
        ("quiz.shots=[!!bool x]", "not valid YAML"),
        ("quiz." + "a." * 100 + "b=1", "expected KEY=VALUE"),
        ("quiz.limit=" + "9" * 101, "less than or equal to 1000000"),
        ("book.books=true", "it is true; expected a whole number"),
        ("book.entries=[1000000000]", "less than or equal to 1000000"),
        ("engine.threads=1000000000000000000000000000000", "less than or equal to 1024"),
        ("engine.batch_tokens=1:30", "expected a whole number"),
        ("engine.cache_bytes=1e30", "expected"),
        ("seed=9999999999", "less than 4294967296"),
        ("name=" + "x" * 100_000, "at most 100 characters"),
        ("quiz.data=" + "x" * 100_000, "'tasks.quiz.data' has 100,000 characters; expected at most 2000"),
        ("members.m.title=" + "x" * 201, "'members.m.title' has 201 characters; expected at most 200"),
        ("members.m.revision=" + "x/" * 5000, "'members.m.revision' has 10,000 characters"),
        ("members.m.path=" + "x/" * 5000, "is no path: it has 9,999 characters; expected at most 3,000"),
        ("members.m.notes=" + "x" * 10_001, "'members.m.notes' has a text of 10,001 characters ('xxx"),
        ("description=" + "x" * 10_001, "at most 10,000 characters"),
        ("engine.device=" + "x" * 10_001, "at most 10,000 characters"),
        ("quiz.subjects=[" + "x" * 10_001 + "]", "'tasks.quiz.subjects[0]' has a text of 10,001"),
        ("engine.max_length=1", "greater than or equal to 2"),
        ("engine={max_length: 8, rolling_stride: 9}", "expected a rolling_stride of at most max_length"),
        ("quiz.answer_base=true", "'tasks.quiz.answer_base': it is true; expected a whole number"),
        ("text.lengths=[63]", "a window of 63 tokens is shorter than one of the buckets"),
        ("text.target=1025", "expected are lengths of at least 1025 tokens"),
        ("families=[{name: microworld}, microworld]", "'microworld' is listed more than once"),
        ("families=[{name: microworld, members: [mamba, mamba]}]", "'mamba' is listed more than once"),
    ],
)
def test_nonsense_is_refused(here: Path, override: str, reason: str) -> None:
    suite = {
        "name": "one",
        "members": {"m": {"hub": "a/b"}},
        "tasks": {
            "book": {"kind": "phonebook", "entries": [4]},
            "quiz": {"kind": "mmlu", "data": "d"},
            "text": {"kind": "perplexity", "data": "d", "lengths": [1024]},
        },
    }
    with pytest.raises(RequestError, match=re.escape(reason)) as error:
        load_suite(suite, [override]).tasks["quiz"].check()
    assert len(str(error.value)) < 1000, "what is too long is not repeated"


@pytest.mark.parametrize("suite", [None, 5, []])
def test_what_is_no_suite_is_refused(suite: object) -> None:
    with pytest.raises(RequestError, match="a file, a name or a mapping was expected"):
        load_suite(suite)  # type: ignore[arg-type]


def test_long_names_in_a_suite_from_python_are_refused() -> None:
    tasks = {"quiz": {"kind": "mmlu", "data": "d"}}
    with pytest.raises(RequestError, match=r"'report\.published' has a text of 10,001 characters"):
        load_suite({"name": "x", "tasks": tasks, "report": {"published": {"x" * 10_001: "a/b"}}})


def test_a_suite_from_python_that_holds_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(RequestError, match="holds itself"):
        load_suite({"name": "x", "tasks": endless})
