"""The tokens that end generations are those that a model's files name, or the folder is refused."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import GenerationConfig

from archbench.engine import load_lm
from archbench.errors import RequestError
from archbench.models.checks.endings import check_ends_loaded
from archbench.models.load import load_model
from archbench.registry.sources import check_model_folder
from tests.engine.tiny import make_model, make_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy.deepcopy(make_model("llama")).save_pretrained(tmp_path / "m")
    make_tokenizer().save_pretrained(tmp_path / "m")
    return tmp_path / "m"


def refused(folder: Path, match: str) -> None:
    """Refused on loading, and before anything is loaded, in one paragraph."""
    with pytest.raises(RequestError, match=match) as loading:
        load_model(folder)
    with pytest.raises(RequestError, match=rf"suite, line 3: .*{match}"):
        check_model_folder(folder, "suite, line 3")
    assert "\n" not in str(loading.value)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ('{"eos_token_id": [0, 5],}', r"generation_config.json cannot be read"),
        ("", r"generation_config.json cannot be read"),
        ('{"eos_token_id": 5, "eos_token_id": 0}', r"cannot be read: the key 'eos_token_id' comes twice"),
        ('\ufeff{"eos_token_id": [0, 5]}', r"generation_config.json begins with a byte-order mark"),
        ("[1]", r"generation_config.json holds \[1\]"),
        ("null", r"generation_config.json holds None"),
    ],
)
def test_a_damaged_file_is_not_passed_over(folder: Path, content: str, match: str) -> None:
    (folder / "generation_config.json").write_text(content, encoding="utf-8")
    refused(folder, match)


odd = st.sampled_from([-1, 10**30, 2**31, True, False, 1.5, "5", [5], {"a": 1}]) | st.lists(
    st.integers(0, 4), min_size=1
).map(lambda ids: [ids])


@given(value=odd | st.lists(odd, min_size=1, max_size=2).map(lambda some: [0, *some]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_are_no_ids_is_refused_with_file_and_key(folder: Path, value: Any) -> None:
    if value == [5]:
        value = [[5]]
    path = folder / "generation_config.json"
    kept = json.loads((folder / "config.json").read_text()) | {"eos_token_id": 0}
    (folder / "config.json").write_text(json.dumps(kept))
    path.write_text(json.dumps({"eos_token_id": value}))
    refused(folder, r"generation_config.json: eos_token_id is .*; expected a token id")
    path.unlink()
    for fields in ({"eos_token_id": value}, {"text_config": {"eos_token_id": value}}):
        (folder / "config.json").write_text(json.dumps(kept | fields))
        refused(folder, r"config.json: (text_config.)?eos_token_id is .*; expected a token id")
    (folder / "config.json").write_text(json.dumps(kept))


@given(value=st.none() | st.integers(0, 400) | st.lists(st.integers(0, 400), max_size=4))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_ids_used_are_those_of_the_file(folder: Path, value: Any) -> None:
    named = value if isinstance(value, list) else [] if value is None else [value]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": value, "num_beams": 4}))
    lm = load_lm(folder)
    assert lm._generator.eos == sorted({lm.eot_token_id, *named})


def test_a_loader_that_uses_others_is_refused(folder: Path) -> None:
    (folder / "generation_config.json").write_text('{"eos_token_id": [0, 5]}')
    check_ends_loaded(folder, [5, 0])
    with pytest.raises(RequestError, match=r"eos_token_id is \[0, 5\], but transformers made 0 of it"):
        check_ends_loaded(folder, 0)
    shutil.rmtree(folder)
    check_ends_loaded(folder, 0)


@pytest.mark.parametrize("value", [-1, True, 10**30, [[0]]])
def test_a_model_in_memory_is_held_to_the_same(value: Any) -> None:
    model = copy.deepcopy(make_model("llama"))
    model.generation_config = GenerationConfig()
    model.generation_config.eos_token_id = value
    with pytest.raises(RequestError, match=r"eos_token_id is .*; expected a token id"):
        load_lm(model, make_tokenizer())
