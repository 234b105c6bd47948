"""Odd values in a model's folder: whatever its files hold, one paragraph names file and key."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archbench.errors import RequestError
from archbench.models.checks.fields import check_tokenizer_fields
from archbench.models.load import load_model, load_tokenizer
from archbench.registry.family import Member
from archbench.registry.sources import check_model_folder
from archbench.registry.weights import Files, member_config
from archbench.results.store import Store
from archbench.runner.plan import make_plan
from archbench.suite import load_suite
from tests.runner.tiny import LLAMA, save_model, save_questions

DEEP = "[" * 900 + "]" * 900
SETTINGS = [
    *(
        "model_max_length",
        "bos_token",
        "additional_special_tokens",
        "extra_special_tokens",
        "tokenizer_class",
    ),
    *("added_tokens_decoder", "chat_template", "padding_side", "add_bos_token", "split_special_tokens"),
]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("shelf") / "llama", LLAMA)


@pytest.fixture
def folder(shelf: Path, tmp_path: Path) -> Path:
    shutil.copytree(shelf, tmp_path / "m")
    return tmp_path / "m"


def put(path: Path, key: str, value: str) -> None:
    """Write JSON text as the value of a key."""
    fields = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(fields | {key: "@@"}).replace('"@@"', value))


def rewrite(file: Path, header: Any) -> None:
    """Give a safetensors file another header."""
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


def header_of(file: Path) -> dict[str, Any]:
    content = file.read_bytes()
    found: dict[str, Any] = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return found


def plan(folder: Path) -> None:
    data = save_questions(folder.parent / "mmlu")
    tasks = {"mmlu": {"kind": "mmlu", "data": str(data), "shots": [0]}}
    suite = {"name": "x", "members": {"one": {"path": str(folder)}}, "tasks": tasks}
    make_plan(load_suite(suite), Store(folder.parent / "out"))


def test_the_folder_is_fine_as_it_is(folder: Path) -> None:
    plan(folder)


@pytest.mark.parametrize(
    ("file", "key", "value", "part"),
    [
        ("tokenizer_config.json", "model_max_length", '"x"', "model_max_length is 'x'; expected a number"),
        ("tokenizer_config.json", "model_max_length", "-1", "expected a number of tokens above 0"),
        ("tokenizer_config.json", "add_bos_token", '"false"', "'false'; expected true or false"),
        ("tokenizer_config.json", "chat_template", "[1]", "a list of objects with name and template"),
        ("tokenizer_config.json", "any", DEEP, "more than 64 levels deep"),
        ("tokenizer.json", "any", DEEP, "more than 64 levels deep"),
        ("tokenizer.json", "model", "5", "cannot be read as a tokenizer"),
        ("tokenizer.json", "added_tokens", '[{"id": 1e30}]', "cannot be read as a tokenizer"),
        ("special_tokens_map.json", "eos_token", "{}", "eos_token is {}; expected a text"),
        ("special_tokens_map.json", "additional_special_tokens", '"x"', "expected a list of tokens"),
        ("special_tokens_map.json", "any", DEEP, "more than 64 levels deep"),
        ("added_tokens.json", "<a>", '"x"', "<a> is 'x'; expected a token id"),
        ("added_tokens.json", "<a>", "1" + "0" * 30, "expected a token id"),
        ("added_tokens.json", "any", DEEP, "more than 64 levels deep"),
        ("generation_config.json", "eos_token_id", "1" + "0" * 30, "expected a token id or a list"),
        ("generation_config.json", "pad_token_id", '"x"', "pad_token_id is 'x'; expected a token id"),
        ("generation_config.json", "any", DEEP, "more than 64 levels deep"),
        ("config.json", "eos_token_id", "1" + "0" * 30, "expected a token id or a list"),
    ],
)
def test_an_odd_value_is_named_with_the_plan(
    folder: Path, file: str, key: str, value: str, part: str
) -> None:
    put(folder / file, key, value)
    with pytest.raises(RequestError) as error:
        plan(folder)
    assert part in str(error.value)
    assert str(folder / file) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "file",
    [
        *("tokenizer_config.json", "tokenizer.json", "special_tokens_map.json", "added_tokens.json"),
        *("generation_config.json", "config.json"),
    ],
)
@pytest.mark.parametrize("text", ["[1]", '"x"', "7", "{", '{"a": NaN}', '{"a": 1, "a": 2}', "\x00"])
def test_a_file_that_holds_no_settings_is_named_with_the_plan(folder: Path, file: str, text: str) -> None:
    (folder / file).write_text(text)
    with pytest.raises(RequestError) as error:
        plan(folder)
    assert str(folder / file) in str(error.value)
    assert "\n" not in str(error.value)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(SETTINGS),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-3, 10**30)
        | st.floats(allow_nan=False)
        | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        max_leaves=4,
    ),
)
def test_a_tokenizer_with_any_setting_encodes_or_is_refused(folder: Path, key: str, value: Any) -> None:
    file = folder / "tokenizer_config.json"
    before = file.read_text()
    file.write_text(json.dumps(json.loads(before) | {key: value}))
    try:
        tokenizer = load_tokenizer(folder)
        assert len(tokenizer("a text")["input_ids"]) >= 6
    except RequestError as error:
        told = str(error)
    else:
        told = str(folder)
    file.write_text(before)
    assert str(folder) in told
    assert "\n" not in told


def test_what_tokenizers_are_saved_with_is_accepted(folder: Path) -> None:
    token = {"__type": "AddedToken", "content": "<|end|>", "lstrip": False}
    file = folder / "tokenizer_config.json"
    odd = {
        "model_max_length": 1e30,
        "bos_token": None,
        "eos_token": token,
        "added_tokens_decoder": {"0": {"content": "<|end|>", "special": True}},
        "chat_template": [{"name": "default", "template": "{{ messages }}"}],
        "additional_special_tokens": ["<|end|>"],
    }
    file.write_text(json.dumps(json.loads(file.read_text()) | odd))
    check_tokenizer_fields(folder)
    assert load_tokenizer(folder).eos_token == "<|end|>"


def test_an_audit_says_which_tokenizer_cannot_be_read(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    member = Member(init="random", architecture=LLAMA)
    config, wrong = member_config(member, Files(tokenizer=folder), None)
    assert config is None
    assert str(folder / "tokenizer.json") in str(wrong)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"shape": [-1, 16]}, r"has the shape \[-1, 16\]; a list of sizes"),
        ({"shape": "16"}, "has the shape '16'; a list of sizes"),
        ({"shape": [10**30]}, "has the shape"),
        ({"shape": [2**40, 2**40]}, "has the shape"),
        ({"shape": [True]}, r"has the shape \[True\]"),
        ({"shape": None}, "has the shape None"),
        ({"data_offsets": [0, 10**12]}, r"has data_offsets \[0, 1000000000000\]; its begin and end among"),
        ({"data_offsets": [8, 0]}, "has data_offsets"),
        ({"data_offsets": [0]}, "has data_offsets"),
        ({"data_offsets": [-4, 0]}, "has data_offsets"),
        ({"dtype": "F99"}, "cannot be read as a safetensors file"),
        ({"dtype": None}, "cannot be read as a safetensors file"),
    ],
)
@pytest.mark.parametrize("sharded", [False, True])
def test_an_odd_header_names_file_and_tensor(
    folder: Path, change: dict[str, Any], part: str, sharded: bool
) -> None:
    file = folder / "model.safetensors"
    if sharded:
        file = file.rename(folder / "model-00001-of-00001.safetensors")
        weight_map = dict.fromkeys((name for name in header_of(file) if name != "__metadata__"), file.name)
        index = {"metadata": {}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    header = header_of(file)
    header["model.norm.weight"] |= change
    rewrite(file, header)
    for check in (lambda: check_model_folder(folder, "suite, line 3"), lambda: load_model(folder)):
        with pytest.raises(RequestError, match=part) as error:
            check()
        assert str(file) in str(error.value)
        assert "model.norm.weight" in str(error.value) or "dtype" in change
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("header", [[], 5, {"a": 5}, {"a": []}, {"a": {}}, {"__metadata__": 5}, {"a": DEEP}])
def test_a_header_that_describes_nothing_is_refused(folder: Path, header: Any) -> None:
    rewrite(folder / "model.safetensors", header)
    with pytest.raises(RequestError, match=r"model\.safetensors"):
        check_model_folder(folder, "suite, line 3")


def test_a_file_cut_short_is_refused_with_the_plan(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(RequestError, match=r"data_offsets .* cut short"):
        plan(folder)
