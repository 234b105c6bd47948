"""What is read of a tokenizer's folder is part of its identity, and gives the same ids each time."""

from __future__ import annotations

import contextlib
import copy
import json
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import Unigram, WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES as MAPPING

from archbench.checkpoint import has_tokenizer
from archbench.engine import load_lm
from archbench.engine.backends import _check_endings
from archbench.errors import RequestError, RunError
from archbench.identity import digest, tokenizer_contents
from archbench.models.checks.remarks import tokenizer_remarks
from archbench.models.load import load_tokenizer
from archbench.tasks.lengths import TokenCounter, token_counter
from archbench.tokens import Encoder
from tests.engine.tiny import SENTENCES, make_model, make_tokenizer, rolling
from tests.runner.tiny import save_tokenizer


def tokenizer_identity(folder: Path) -> str:
    return digest(tokenizer_contents(folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tokenizer(tmp_path / "words")


def edit(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def add_version(folder: Path, name: str, normalizer: dict[str, Any] | None) -> None:
    """Have another file than tokenizer.json read."""
    rules = json.loads((folder / "tokenizer.json").read_text())
    (folder / name).write_text(json.dumps(rules | {"normalizer": normalizer}))
    edit(folder / "tokenizer_config.json", fast_tokenizer_files=[name])


parts = st.text("x._-", max_size=3)
names = st.builds(
    lambda before, version, after: f"{before}tokenizer.{version}.json{after}",
    parts,
    st.sampled_from(["4", "4.0", "4.0.0", "v", "99"]),
    st.sampled_from(["", ".bak", ".json", "x"]),
)


@given(name=names)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_version_of_a_tokenizer_that_is_read_is_part_of_its_identity(folder: Path, name: str) -> None:
    """transformers takes any name with `tokenizer.VERSION.json` somewhere in it."""
    found = []
    for normalizer in (None, {"type": "Lowercase"}):
        with tempfile.TemporaryDirectory() as place:
            other = Path(shutil.copytree(folder, Path(place, "words")))
            add_version(other, name, normalizer)
            with contextlib.suppress(RequestError):
                found.append((load_tokenizer(other)("THE")["input_ids"], tokenizer_identity(other)))
    assert len(found) in (0, 2)
    if found:
        (first, one), (second, another) = found
        assert first == second or one != another


@pytest.mark.parametrize(
    "name",
    ["x-tokenizer.4.0.0.json", "mytokenizer.4.0.json", ".tokenizer.4.0.json", "tokenizer.4.json.bak"],
)
def test_a_version_that_is_no_part_of_the_identity_is_refused(folder: Path, name: str) -> None:
    add_version(folder, name, {"type": "Lowercase"})
    for use in (load_tokenizer, tokenizer_identity):
        with pytest.raises(
            RequestError, match=f"fast_tokenizer_files names '{name}', which transformers may"
        ):
            use(folder)


def test_a_version_that_does_not_exist_is_refused(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", fast_tokenizer_files=["tokenizer.json", "tokenizer.4.0.0.json"])
    with pytest.raises(RequestError, match=r"names 'tokenizer.4.0.0.json', which does not exist"):
        load_tokenizer(folder)
    shutil.copy(folder / "tokenizer.json", folder / "tokenizer.4.0.0.json")
    assert load_tokenizer(folder)("a")["input_ids"]


@pytest.mark.parametrize("dropout", [0.01, 1.0])
def test_dropout_of_merges_is_switched_off_and_stated(tmp_path: Path, dropout: float) -> None:
    make_tokenizer().save_pretrained(tmp_path)
    text = " ".join(SENTENCES)
    plain = load_tokenizer(tmp_path)(text)["input_ids"]
    assert tokenizer_remarks(tmp_path) == []
    rules = json.loads((tmp_path / "tokenizer.json").read_text())
    edit(tmp_path / "tokenizer.json", model=rules["model"] | {"dropout": dropout})
    tokenizer = load_tokenizer(tmp_path)
    assert all(tokenizer(text)["input_ids"] == plain for _ in range(20))
    token_counter.cache_clear()
    assert token_counter(str(tmp_path))(text) == len(plain)
    (remark,) = tokenizer_remarks(tmp_path)
    assert f"tokenizer.json sets dropout {dropout}" in remark
    assert "switched off" in remark


def test_a_word_of_a_vocabulary_is_no_setting(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    rules = json.loads((tmp_path / "tokenizer.json").read_text())
    rules["model"]["vocab"]["dropout"] = len(rules["model"]["vocab"])
    (tmp_path / "tokenizer.json").write_text(json.dumps(rules))
    assert tokenizer_remarks(tmp_path) == []


def test_a_tokenizer_object_that_draws_ids_is_refused_and_left_alone() -> None:
    tokenizer = copy.deepcopy(make_tokenizer())
    tokenizer.backend_tokenizer.model.dropout = 0.01
    for use in (lambda: load_lm(make_model("llama"), tokenizer), lambda: TokenCounter(tokenizer)):
        with pytest.raises(RequestError, match=r"draws token ids at random \(dropout 0.01"):
            use()
    assert tokenizer.backend_tokenizer.model.dropout == pytest.approx(0.01)
    unigram = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(Unigram([("a", -1.0)], 0)), eos_token="a")
    unigram.backend_tokenizer.model.nbest_size = 4
    with pytest.raises(RequestError, match=r"nbest_size 4.*model.nbest_size = None"):
        Encoder(unigram)


def test_a_backend_of_lm_eval_whose_tokenizer_draws_ids_is_refused() -> None:
    tokenizer = copy.deepcopy(make_tokenizer())
    tokenizer.backend_tokenizer.model.dropout = 0.01
    double = SimpleNamespace(tokenizer=tokenizer, tok_encode=None)
    with pytest.raises(RequestError, match=r"The tokenizer of m draws token ids at random"):
        _check_endings(cast("Any", double), backend="hf", name="m")


def test_sampling_of_sentencepiece_is_refused() -> None:
    tokenizer = copy.deepcopy(make_tokenizer())
    tokenizer.sp_model_kwargs = {"enable_sampling": True, "alpha": 0.1}
    with pytest.raises(RequestError, match=r"set enable_sampling to false"):
        Encoder(tokenizer)


CLASSES = [f"{one}Tokenizer" for one in ("Llama", "GPT2", "Qwen2", "T5", "Bert", "Gemma")]


@pytest.mark.parametrize("name", CLASSES)
def test_a_tokenizer_without_a_vocabulary_is_refused(folder: Path, name: str) -> None:
    """transformers makes an empty one of the class that tokenizer_config.json names."""
    edit(folder / "tokenizer_config.json", tokenizer_class=name)
    (folder / "tokenizer.json").unlink()
    (folder / "special_tokens_map.json").write_text("{}")
    (folder / "added_tokens.json").write_text("{}")
    assert not has_tokenizer(folder)
    with pytest.raises(RequestError, match="holds no tokenizer with a vocabulary"):
        load_tokenizer(folder)
    # A vocabulary of another class is no vocabulary either.
    (folder / "dict.txt").write_text("a 1\n")
    assert has_tokenizer(folder)
    tokenizer = load_tokenizer(folder)
    for use in (lambda: load_lm(make_model("llama"), tokenizer), lambda: TokenCounter(tokenizer)):
        with pytest.raises(RequestError, match=r"gives texts no tokens but unknown ones|has no eos_token"):
            use()


def test_lm_evals_backends_are_checked_for_a_vocabulary(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", tokenizer_class="LlamaTokenizer")
    (folder / "tokenizer.json").rename(folder / "dict.txt")
    double = SimpleNamespace(tokenizer=load_tokenizer(folder), tok_encode=None)
    with pytest.raises(RequestError, match=r"The tokenizer of m .* gives texts no tokens"):
        _check_endings(cast("Any", double), backend="hf", name="m")


def test_classes_without_files_need_no_vocabulary(tmp_path: Path) -> None:
    config = tmp_path / "tokenizer_config.json"
    needless = set()
    for module in MAPPING.values():
        for name in module if isinstance(module, tuple) else (module,):
            # Classes whose packages are not installed cannot be asked; they read files of those packages.
            with contextlib.suppress(ImportError, AttributeError):
                if name and getattr(transformers, name).vocab_files_names == {}:
                    needless.add(name.removesuffix("Fast"))
    assert "ByT5Tokenizer" in needless
    for name in sorted(needless):
        config.write_text(json.dumps({"tokenizer_class": name}))
        assert has_tokenizer(tmp_path), f"add {name} to _NEED_NO_VOCABULARY"
        assert Encoder(load_tokenizer(tmp_path)).plain(["The cat"])[0]


@pytest.mark.parametrize("border", ["exact", "lm_eval"])
def test_a_text_without_tokens_has_no_log_likelihood(border: str) -> None:
    words = Tokenizer(WordLevel({"</s>": 0, "a": 1}, unk_token="</s>"))
    words.pre_tokenizer = Whitespace()
    lm = load_lm(
        make_model("llama"), PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>"), border=border
    )
    assert lm.loglikelihood_rolling(rolling("", "a")) == [0.0, pytest.approx(-5.77, abs=1)]
    with pytest.raises(RunError, match=r"The text ' \\n ' has no token of its own"):
        lm.loglikelihood_rolling(rolling("a", " \n "))
