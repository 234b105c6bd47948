"""Text that UTF-8 has no bytes for is refused before anything is done with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from archbench.errors import RequestError
from archbench.results.store import Store
from tests.command import call

SUITE = 'name: s\ntasks:\n  m: {kind: mmlu, data: "\\ud83d"}\n'


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "run\udcff"],
        ["report", "run", "--out", "r\udcff"],
        ["run", "quick", "--out", "r\udcff"],
        ["run", "quick", "--set", "phonebook.perturb=\udcff"],
        ["run", "mmlu", "--set", 'mmlu.question_prefix=["\\udcff"]'],
        ["run", "suite.yaml"],
    ],
)
def test_what_is_typed_or_written_in_a_suite(here: Path, arguments: list[str]) -> None:
    (here / "suite.yaml").write_text(SUITE, encoding="utf-8")
    done = call(*arguments)
    assert done.exit_code == 2
    assert re.fullmatch(r"Error: .*U\+(DCFF|D83D), a surrogate.*\n", done.stderr)
    assert [one.name for one in here.iterdir()] == ["suite.yaml"]


def test_a_results_folder_given_from_python(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"cannot be used: in the name .* U\+DCFF, a surrogate") as error:
        Store(tmp_path / "run\udcff")
    str(error.value).encode()
