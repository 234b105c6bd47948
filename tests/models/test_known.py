"""Model types from outside: what packages register is known, and only what the user named is imported."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import CONFIG_MAPPING, GPTNeoXForCausalLM, LlamaConfig

from archbench.efficiency.sizes import architecture_sizes
from archbench.errors import RequestError
from archbench.models import known
from archbench.models.build import build_config, build_model
from archbench.models.known import check_known, import_packages, imported_packages, known_types
from archbench.models.load import load_model
from archbench.models.meta import meta_model
from tests.models.outside import package


@pytest.fixture
def fresh() -> Iterator[None]:
    """Entry points are looked up anew, before and after."""
    known._register.cache_clear()
    yield
    known._register.cache_clear()


def test_a_package_brings_an_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    architecture = {"model_type": "leaky_one", "vocab_size": 40, "hidden_size": 8}
    with package(tmp_path, monkeypatch, name="leaky_one_package", model_type="leaky_one") as name:
        with pytest.raises(RequestError, match=r"no causal language model.*imports: \[PACKAGE\]"):
            build_config(architecture)
        assert name not in sys.modules
        import_packages([name], "suite.yaml:2: imports")
        model = build_model(architecture, seed=0)
        folder = tmp_path / "model"
        model.save_pretrained(folder)
        loaded = load_model(folder)
    assert type(loaded) is type(model)
    assert imported_packages()[name] == "unknown"
    with pytest.raises(RequestError, match=r"'leaky_one' has no field 'leek'\. Did you mean 'leak'"):
        build_config(architecture | {"leek": 1})
    sizes = architecture_sizes(architecture)
    assert sizes.unknown == ()
    assert (sizes.layers, sizes.state_bytes(), sizes.kv_bytes(10)) == ({"leaky": 2}, 2 * 8 * 2, 0)


def test_every_type_that_is_known_has_a_configuration() -> None:
    assert known_types() - set(CONFIG_MAPPING.keys()) == set()
    assert {"llama", "mamba", "delta_rule"} <= known_types()


def test_a_type_means_the_same_whatever_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # flash-linear-attention registers classes for `mamba`, among others, in place of transformers'.
    more = (
        "\nclass Other(LeakyConfig):\n    model_type = 'llama'\n"
        "class OtherForCausalLM(LeakyForCausalLM):\n    config_class = Other\n"
        "AutoConfig.register('llama', Other, exist_ok=True)\n"
        "from transformers import GPTNeoXConfig, GPTNeoXForCausalLM\n"
        "class Mine(GPTNeoXForCausalLM):\n    pass\n"
        "AutoModelForCausalLM.register(GPTNeoXConfig, Mine, exist_ok=True)\n"
        "class Third(LeakyConfig):\n    model_type = 'delta_rule'\n"
        "AutoConfig.register('delta_rule', Third, exist_ok=True)\n"
        "AutoModelForCausalLM.register(Other, OtherForCausalLM, exist_ok=True)\n"
    )
    with (
        package(tmp_path, monkeypatch, name="greedy", model_type="leaky_two", more=more) as name,
        caplog.at_level(logging.WARNING),
    ):
        import_packages([name], "suite.yaml:2: imports")
    assert (
        "greedy registers classes of its own for delta_rule, gpt_neox, llama, which were there" in caplog.text
    )
    assert type(build_config({"model_type": "llama"})) is LlamaConfig
    assert type(meta_model(build_config({"model_type": "gpt_neox"}))) is GPTNeoXForCausalLM
    assert build_config({"model_type": "delta_rule"}).num_heads == 4
    assert "leaky_two" in known_types()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "absent_here",
            None,
            r"'absent_here' is not installed for this Python\. Install it \(pip install absent-here\)",
        ),
        ("needy", "import absent_there", "because it needs 'absent_there'.*pip install absent-there"),
        ("broken", "raise OSError('no device')", r"cannot be imported \(OSError: no device\)"),
        ("quits", "import sys; sys.exit(3)", r"cannot be imported \(SystemExit: 3\)"),
        ("broken.inner", "", "the package 'broken' has no module 'broken.inner'|is not a package"),
        ("./folder", None, "is not a package's name"),
        ("", None, "is not a package's name"),
        ("a..b", None, "is not a package's name"),
    ],
)
def test_an_import_that_fails_says_what_to_do(
    name: str, text: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if text is not None:
        (tmp_path / f"{name.partition('.')[0]}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RequestError, match=message) as caught:
        import_packages([name], "mine.yaml:3: imports")
    assert str(caught.value).startswith("mine.yaml:3: imports: ")
    assert "\n" not in str(caught.value)


def test_fla_is_installed_under_another_name() -> None:
    if "fla" not in sys.modules:
        with pytest.raises(RequestError, match="pip install flash-linear-attention"):
            import_packages(["fla"], "mine.yaml:3: imports")


@pytest.mark.usefixtures("fresh")
def test_entry_points_are_imported_before_models_are_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with package(tmp_path, monkeypatch, name="leaky_three_package", model_type="leaky_three") as name:
        points = [
            EntryPoint("broken", "package_that_is_gone", known.ENTRY_POINTS),
            EntryPoint("mine", f"{name}:anything", known.ENTRY_POINTS),
        ]
        monkeypatch.setattr(known.metadata, "entry_points", lambda group: points)
        check_known("leaky_three", "mine.yaml:3")
    assert "entry point 'broken' of archbench.models" in caplog.text
    with pytest.raises(
        RequestError, match=r"'leaky_tree'\. Did you mean 'leaky_three'.*package_that_is_gone"
    ):
        check_known("leaky_tree", "mine.yaml:3")


def test_code_in_a_model_folder_is_never_run(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "modeling_mine.py").write_text("raise SystemExit('was run')")
    fields = {"model_type": "mine_alone", "auto_map": {"AutoModelForCausalLM": "modeling_mine.Mine"}}
    (folder / "config.json").write_text(json.dumps(fields | {"imports": ["modeling_mine"]}))
    save_file({"weight": torch.zeros(2)}, folder / "model.safetensors")
    with pytest.raises(RequestError, match=r"Code of its own \(auto_map\) is never run"):
        load_model(folder)
    assert "modeling_mine" not in sys.modules
