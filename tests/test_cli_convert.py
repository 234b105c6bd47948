"""`archbench convert`: from mamba_ssm's layout to a model that a suite runs on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from archbench.errors import RequestError
from archbench.models.load import load_model, load_tokenizer
from tests.command import call
from tests.models.test_original import MAMBA, MAMBA2, publish
from tests.runner.tiny import save_questions, save_tokenizer


def test_a_converted_model_runs(here: Path) -> None:
    save_tokenizer(here / "words")
    size = len(load_tokenizer(here / "words"))
    model = publish(here / "theirs", MAMBA2 | {"vocab_size": size})
    done = call("convert", "theirs", "--out", "deep/ours", "--tokenizer", "words")
    assert done.exit_code == 0, done.output
    assert "deep/ours: mamba2, " in done.stdout
    assert "--set members.mine=deep/ours" in done.stdout
    assert sorted(path.name for path in (here / "deep").iterdir()) == ["ours"]
    ids = torch.arange(8).reshape(1, 8)
    with torch.no_grad():
        ours = load_model(here / "deep" / "ours", device="cpu")
        assert torch.equal(ours(input_ids=ids).logits, model(input_ids=ids).logits)
    assert ours.config.eos_token_id == load_tokenizer(here / "words").eos_token_id
    save_questions(here / "mmlu")
    sets = ["mmlu.data=./mmlu", "mmlu.formats=[cloze]", "mmlu.shots=[0]", "members.mine=deep/ours"]
    ran = call("run", "mmlu", *(part for text in sets for part in ("--set", text)))
    assert ran.exit_code == 0, ran.output


def test_without_a_tokenizer_it_says_that_one_is_needed(here: Path) -> None:
    publish(here / "theirs", MAMBA)
    done = call("convert", "theirs", "--out", "ours")
    assert "--set members.mine=ours --set members.mine.tokenizer=FOLDER_OR_HUB_ID" in done.stdout
    written = json.loads(call("convert", "theirs", "--out", "again", "--json").stdout)
    assert (written["folder"], written["model_type"], written["dtype"]) == ("again", "mamba", "float32")
    assert written["parameters"] > 5000
    assert written["tokenizer"] is None


def test_the_tokenizer_next_to_the_weights_is_copied(here: Path) -> None:
    save_tokenizer(here / "theirs")
    publish(here / "theirs", MAMBA | {"vocab_size": len(load_tokenizer(here / "theirs"))})
    done = call("convert", "theirs", "--out", "ours")
    assert done.exit_code == 0, done.output
    assert load_tokenizer(here / "ours").get_vocab() == load_tokenizer(here / "theirs").get_vocab()


def test_wrong_requests_write_nothing(here: Path) -> None:
    publish(here / "theirs", MAMBA | {"vocab_size": 8})
    save_tokenizer(here / "words")
    (here / "full").mkdir()
    (here / "full" / "keep").touch()
    publish(here / "mixed", MAMBA | {"attn_layer_idx": []})
    (here / "mixed" / "config.json").write_text(json.dumps(MAMBA | {"attn_layer_idx": [1]}))
    for arguments, part in (
        (["nowhere", "--out", "ours"], "no configuration of mamba_ssm"),
        (["theirs", "--out", "full"], "not empty"),
        (["theirs", "--out", "ours", "--tokenizer", "words"], "another model's"),
        (["mixed", "--out", "ours"], "attention or MLP layers"),
    ):
        done = call("convert", *arguments)
        assert (done.exit_code, done.stdout) == (2, ""), done.output
        assert part in done.stderr
        assert "Traceback" not in done.stderr
    assert sorted(path.name for path in here.iterdir()) == ["full", "mixed", "theirs", "words"]
    assert [path.name for path in (here / "full").iterdir()] == ["keep"]


def test_what_loads_models_says_how_to_convert(here: Path) -> None:
    publish(here / "theirs", MAMBA)
    with pytest.raises(RequestError, match=r"archbench convert .*theirs"):
        load_model(here / "theirs")
    sets = ["--set", "mmlu.data=./mmlu", "--set", "members.mine=./theirs"]
    done = call("run", "mmlu", *sets)
    assert done.exit_code == 2
    assert "archbench convert" in done.stderr
