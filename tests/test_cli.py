"""The command line: what it prints where, its exit codes, and one paragraph for every wrong request."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from pydantic import BaseModel

from archbench.cli.describe import task_kind
from archbench.runner import cells
from archbench.tasks.entry import TaskEntry
from archbench.tasks.kinds import kinds as all_kinds
from tests.command import call
from tests.runner.tiny import LLAMA, save_model, save_shelf


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, questions, a family of the models, and a suite."""
    base = tmp_path_factory.mktemp("shelf")
    save_shelf(base)
    (base / "world.yaml").write_text(
        "name: world\ntitle: Two\nmembers:\n  a: {path: llama}\n  b: {path: mamba}\nitems: {mmlu: mmlu}\n",
        encoding="utf-8",
    )
    (base / "bare.yaml").write_text(
        "name: bare\ntitle: No items\nmembers: {a: {path: llama}}\n", encoding="utf-8"
    )
    return base


def quick(shelf: Path, *more: str) -> list[str]:
    """Arguments of a run of one member in one variant."""
    sets = [f"mmlu.data={shelf}/mmlu", "mmlu.formats=[cloze]", "mmlu.shots=[0]", "engine.device=cpu", *more]
    return ["run", "mmlu", *(part for text in sets for part in ("--set", text))]


def test_run_and_report_on_it(shelf: Path, here: Path) -> None:
    done = call(*quick(shelf, f"members.mine={shelf}/llama"))
    assert done.exit_code == 0, done.output
    assert "mine" in done.stdout
    assert done.stdout.rstrip().endswith("archbench report results/mmlu")
    assert "[1/1] mine · mmlu · cloze-0shot: acc_norm" in done.stderr
    assert (here / "results/mmlu/manifest.json").is_file()
    page = call("report", "results/mmlu", "--json")
    assert page.exit_code == 0, page.output
    assert Path(json.loads(page.stdout)["page"]).is_file()
    assert call("report", "results/mmlu").stdout.startswith("results/mmlu/report/report.md: ")


def test_json_is_all_there_is_on_stdout(shelf: Path, here: Path) -> None:
    done = call(*quick(shelf, f"members.mine={shelf}/llama"), "--json", "--out", "here")
    document = json.loads(done.stdout)
    assert document["run"] == "here"
    assert [(cell["member"], cell["status"], cell["items"]) for cell in document["cells"]] == [
        ("mine", "complete", 12)
    ]
    assert 0 <= document["scores"][0]["score"] <= 1


def test_a_plan_is_shown_and_nothing_is_written(shelf: Path, here: Path) -> None:
    done = call(*quick(shelf, "families=[world]"), "--families", shelf, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "2 cells, 2 to be run, into results/mmlu" in done.stdout
    assert "missing  a · mmlu · cloze-0shot" in done.stdout
    as_json = call(*quick(shelf, "families=[world]"), "--families", shelf, "--dry-run", "--json")
    assert [cell["state"] for cell in json.loads(as_json.stdout)["cells"]] == ["missing", "missing"]
    assert list(here.iterdir()) == []


def test_a_plan_says_what_would_be_downloaded(
    shelf: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = [f"members.mine={shelf}/llama", "members.theirs=nobody/plain"]
    sets += ["members.both={hub: nobody/plain, tokenizer: nobody/tokens}"]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    told = call(*quick(shelf, *sets), "--dry-run")
    assert told.exit_code == 0, told.output
    line = "To be downloaded first: theirs (nobody/plain); both (nobody/plain, nobody/tokens)"
    assert f"\n{line}\n" in told.stdout
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert f"\n{line}; but HF_HUB_OFFLINE is set" in call(*quick(shelf, *sets), "--dry-run").stdout
    document = json.loads(call(*quick(shelf, *sets), "--dry-run", "--json").stdout)
    assert document["downloads"] == {
        "theirs": ["nobody/plain"],
        "both": ["nobody/plain", "nobody/tokens"],
    }
    assert "downloaded" not in call(*quick(shelf, sets[0]), "--dry-run").stdout


def test_failed_cells_are_told_and_the_exit_code_says_so(
    shelf: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*args: Any, **more: Any) -> None:
        raise ValueError("no luck")

    monkeypatch.setattr(cells, "evaluate_variant", failing)
    done = call(*quick(shelf, f"members.mine={shelf}/llama"))
    assert done.exit_code == 1
    assert "1 cell failed; the same command tries it again" in done.stderr
    assert "ValueError: no luck" in done.stderr
    assert "Traceback" not in done.output


def test_ctrl_c_says_how_to_go_on(shelf: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*args: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cells, "evaluate_variant", stopped)
    done = call(*quick(shelf, f"members.mine={shelf}/llama"))
    assert done.exit_code == 130
    assert "the same command goes on from there" in done.stderr


def test_unexpected_errors_ask_to_be_reported(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import archbench.suite

    def broken(*args: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(archbench.suite, "load_suite", broken)
    done = call("run", "mmlu")
    assert done.exit_code == 1
    assert "ZeroDivisionError: a bug" in done.stderr
    assert "ARCHBENCH_DEBUG=1" in done.stderr
    monkeypatch.setenv("ARCHBENCH_DEBUG", "1")
    assert isinstance(call("run", "mmlu").exception, ZeroDivisionError)


def test_lists(shelf: Path, here: Path) -> None:
    everything = call("list", "--families", shelf)
    assert everything.exit_code == 0, everything.output
    for part in ("families", "world:a", "archbench_mmlu_cloze", "suites"):
        assert part in everything.stdout
    members = json.loads(call("list", "members", "--families", str(shelf), "--json").stdout)
    assert {one["name"]: one["weights"] for one in members}["world:b"] == "ready"
    kinds = {one["name"] for one in json.loads(call("list", "tasks", "--json").stdout)}
    assert {"mmlu", "lm_eval", "archbench_mmlu_standard"} <= kinds


def test_lists_are_not_broken_over_lines_where_nobody_reads_them_on_a_screen(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = here / ("long-" * 40) / "suites"
    deep.mkdir(parents=True)
    (deep / "own.yaml").write_text(f"name: own\ndescription: {'many words ' * 20}\n", encoding="utf-8")
    monkeypatch.setenv("ARCHBENCH_HOME", str(deep.parent))
    monkeypatch.setenv("COLUMNS", "80")
    (line,) = [one for one in call("list", "suites").stdout.splitlines() if one.startswith("own ")]
    assert line.rstrip().endswith(f"many words  {deep / 'own.yaml'}")


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("world", {"family"}),
        ("world:a", {"member"}),
        ("mmlu", {"task kind", "suite"}),
        ("lm_eval", {"task kind"}),
        ("archbench_mmlu_cloze", {"lm-eval task"}),
    ],
)
def test_show(shelf: Path, here: Path, name: str, kinds: set[str]) -> None:
    assert set(json.loads(call("show", name, "--families", shelf, "--json").stdout)) == kinds
    text = call("show", name, "--families", shelf)
    assert text.exit_code == 0
    assert name in text.stdout


@pytest.mark.parametrize("kind", ["mmlu", "perplexity", "phonebook", "ruler", "lm_eval"])
def test_show_tells_what_every_setting_of_a_kind_means_and_its_default(here: Path, kind: str) -> None:

    told = json.loads(call("show", kind, "--json").stdout)["task kind"]
    assert told["settings"].keys() == all_kinds()[kind].entry.model_fields.keys() - {"kind"}
    for one in told["settings"].values():
        assert one["meaning"]
        assert ("default" in one) != ("required" in one)
    text = call("show", kind).stdout
    assert "Attributes:" not in text
    assert "--set ENTRY.KEY=VALUE" in text
    for key in told["settings"]:
        assert f"\n  {key} " in text


def test_show_tells_the_prompt_and_the_files_of_a_task(here: Path) -> None:
    text = call("show", "archbench_mmlu_cloze").stdout
    assert "prompt:\n  {question_prefix}{question}\n  Answer:" in text
    assert "!function" not in text
    assert "kind: mmlu\nsettings: archbench show mmlu\n" in text
    assert "tasks/mmlu/cloze.yaml\n" in text
    assert "tasks/mmlu/_template_yaml\n" in text
    settings = json.loads(call("show", "mmlu", "--json").stdout)["task kind"]["settings"]
    assert settings["formats"]["values"] == ["standard", "choice_text", "cloze"]
    assert settings["formats"]["default"] == ["standard", "choice_text", "cloze"]
    assert settings["subjects"] == {"meaning": "Only these subjects; null for all.", "default": None}


def test_version() -> None:
    import archbench

    assert call("--version").stdout == f"archbench {archbench.__version__}\n"


# A request with nothing wrong in it, for what comes after to spoil.
RUN = ["run", "mmlu", "--set", "members.m={shelf}/llama"]
RUN += ["--set", "mmlu.data={shelf}/mmlu", "--set", "mmlu.shots=[0]"]
WRONG: list[tuple[list[str], int, list[str]]] = [
    (["run", "mmlux"], 2, ["no suite 'mmlux'", "Did you mean 'mmlu'?"]),
    (["run", "mmlu"], 2, ["names no models", "--set members.NAME=FOLDER"]),
    (["run", "{bad}/double.yaml"], 2, ["double.yaml, line 2", "'name' is there twice"]),
    (["run", "{bad}/broken.yaml"], 2, ["broken.yaml, line 1", "not valid YAML"]),
    (["run", "{bad}/empty.yaml"], 2, ["empty.yaml", "empty"]),
    (["run", "{bad}/key.yaml"], 2, ["key.yaml, line 5", "'tasks.q.shotz'", "Did you mean 'shots'?"]),
    (["run", "{bad}/kind.yaml"], 2, ["kind.yaml, line 3", "'mmul'", "Did you mean 'mmlu'?"]),
    (["run", "{bad}/family.yaml"], 2, ["family.yaml, line 2", "no family 'wrld'", "Did you mean 'world'?"]),
    (["run", "{bad}/member.yaml"], 2, ["member.yaml, line 2", "no member 'aa'", "Did you mean 'a'?"]),
    (["run", "{bad}/type.yaml"], 2, ["type.yaml, line 2", "'lamma'", "Did you mean 'llama'?"]),
    (["run", "mmlu", "--set", "mmlu.data={bad}"], 2, ["names no models"]),
    (["run", "mmlu", "--set", "members.m={bad}/weightless"], 2, ["weightless", "has no weights"]),
    (["run", "mmlu", "--set", "members.m={bad}/tokenless"], 2, ["no tokenizer", "save_pretrained"]),
    (["run", "mmlu", "--set", "members.m={bad}"], 2, ["has no config.json"]),
    (["run", "mmlu", "--set", "members.m=./nowhere"], 2, ["no model folder ./nowhere"]),
    ([*RUN, "--set", "mmlu.data={bad}"], 2, ["{bad} has no test split"]),
    ([*RUN, "--set", "mmlu.data=./nowhere"], 2, ["no such folder"]),
    ([*RUN, "--set", "mmlu.data=bare"], 2, ["brings no items for kind 'mmlu'"]),
    ([*RUN, "--set", "report.baseline=n"], 2, ["--set report.baseline=n", "Members: m"]),
    ([*RUN, "--out", "{bad}/key.yaml"], 2, ["key.yaml", "cannot be written"]),
    ([*RUN, "--out", "/proc/archbench"], 2, ["/proc/archbench", "cannot be written"]),
    (["run", "mmlu", "--set", "nonsense"], 2, ["--set nonsense", "KEY=VALUE"]),
    (["run", "mmlu", "--set", "mmlu.shots=[0"], 2, ["--set mmlu.shots=[0", "not valid YAML"]),
    (["run", "mmlu", "--set", "mmlu.shots=five"], 2, ["--set mmlu.shots=five", "is 'five'; expected a list"]),
    (["report", "{bad}"], 2, ["not an archbench run"]),
    (["report", "nowhere"], 2, ["nowhere"]),
    (["show", "wurld"], 2, ["Did you mean 'world'?"]),
    (["list", "suits"], 2, ["Did you mean 'suites'?"]),
    (["train", "wurld"], 2, ["Did you mean 'world'?"]),
    (["train", "world"], 2, ["no recipe"]),
]


@pytest.fixture(scope="module")
def bad(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files and folders with something wrong each."""
    base = tmp_path_factory.mktemp("bad")
    tasks = f"tasks:\n  q: {{kind: mmlu, data: {shelf}/mmlu, shots: [0]}}\n"
    files = {
        "double.yaml": "name: a\nname: b\n",
        "broken.yaml": "name: [a\n",
        "empty.yaml": "",
        "key.yaml": "name: x\ntasks:\n  q:\n    kind: mmlu\n    shotz: [0]\n    data: d\n",
        "kind.yaml": "name: x\ntasks:\n  q: {kind: mmul, data: d}\n",
        "family.yaml": f"name: x\nfamilies: [wrld]\n{tasks}",
        "member.yaml": f"name: x\nfamilies: [{{name: world, members: [aa]}}]\n{tasks}",
        "type.yaml": "name: x\nmembers: {m: {init: random, architecture: {model_type: lamma}, tokenizer: "
        f"{shelf}/llama}}}}\n{tasks}",
    }
    for name, text in files.items():
        (base / name).write_text(text, encoding="utf-8")
    for name in ("weightless", "tokenless"):
        save_model(base / name, LLAMA, tokenizer=name == "weightless")
    (base / "weightless/model.safetensors").unlink()
    return base


@pytest.mark.parametrize(("arguments", "code", "parts"), WRONG)
def test_every_wrong_request_is_one_paragraph(
    shelf: Path, bad: Path, here: Path, arguments: list[str], code: int, parts: list[str]
) -> None:
    filled = [part.format(shelf=shelf, bad=bad) if "{" in part else part for part in arguments]
    done = call(*filled, "--families", shelf) if arguments[0] != "report" else call(*filled)
    assert done.exit_code == code, done.output
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert "\n\n" not in done.stderr.strip()
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part.replace("{bad}", str(bad)) in done.stderr
    assert list(here.iterdir()) == [], "nothing may be left behind"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(shelf: Path, here: Path) -> None:
    (here / "locked").mkdir(mode=0o500)
    done = call(*quick(shelf, f"members.mine={shelf}/llama"), "--out", "locked/out")
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr


def test_help_loads_nothing_heavy() -> None:
    heavy = ["datasets", "lm_eval", "matplotlib", "pandas", "scipy", "torch", "transformers"]
    code = (
        "import sys; sys.argv[1:] = ['--help']\nfrom archbench.cli import main\n"
        f"try:\n    main()\nfinally:\n    print(sorted({set(heavy)} & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "archbench run quick" in done.stdout
    assert done.stderr == "[]\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope.yaml"],
        ["quick", "--set", "mmlu.shotz=[0]"],
        ["quick", "--set", "families=[microwurld]"],
        ["quick", "--set", "families=[{name: microworld, members: [mamba3]}]"],
    ],
)
def test_a_wrong_run_is_told_without_loading_what_runs_models(here: Path, arguments: list[str]) -> None:
    code = (
        "import sys\nfrom archbench.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print(sorted({'torch', 'transformers', 'lm_eval'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "[]\n"), done.stderr
    assert done.stderr.startswith("Error: ")


@pytest.mark.parametrize("command", ["run", "report", "list", "show", "train"])
def test_every_command_explains_itself(command: str) -> None:
    done = call(command, "--help")
    assert done.exit_code == 0
    assert f"archbench {command}" in done.stdout or "archbench show NAME" in done.stdout


def test_a_mistyped_results_folder_is_told_with_the_nearest(shelf: Path, here: Path) -> None:
    (here / "results" / "quick").mkdir(parents=True)
    outcome = call("report", "results/quik")
    assert outcome.exit_code == 2
    assert "There is no results folder results/quik. Did you mean ./results/quick?" in outcome.stderr
    outcome = call("list", "families", "--families", "result")
    assert outcome.exit_code == 2
    assert "--families result: there is no such folder. Did you mean ./results?" in outcome.stderr


def test_one_cell_is_no_cells(shelf: Path, here: Path) -> None:
    outcome = call(*quick(shelf, f"members.one={shelf / 'llama'}"), "--dry-run")
    assert "Suite mmlu: 1 cell, 1 to be run" in outcome.stdout


@pytest.mark.parametrize("kind", sorted(all_kinds()))
def test_settings_are_told_without_names_of_the_code(kind: str) -> None:
    entry = all_kinds()[kind].entry
    methods = {name for name in dir(TaskEntry) if name not in entry.model_fields} - set(dir(BaseModel))
    told = task_kind(kind, entry)["settings"].values()
    named = {word for one in told for word in re.findall(r"`([^`]+)`", one["meaning"])}
    assert not named & methods
