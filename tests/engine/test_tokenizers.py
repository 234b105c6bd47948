"""Any tokenizer: codec, token counter and plain forward pass agree; nothing is cut, filled up or lost."""

from __future__ import annotations

import functools
import json
import math
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from archbench.engine import load_lm
from archbench.engine.text import Codec
from archbench.errors import RunError
from archbench.models.load import load_tokenizer
from archbench.tasks.lengths import TokenCounter
from tests.engine.tiny import SENTENCES, VOCAB, make_model, rolling, scored

SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "[CLS]", "[SEP]"]
UNK, BOS, EOS, PAD, CLS, SEP = range(6)
TEXTS = [
    *(
        "The baker",
        " of Elmford",
        "Question",
        ":",
        " ",
        "  ",
        "\n",
        "Answer",
        "A",
        " B",
        "BC",
        "ada",
        " 12",
        "é",
    ),
    *("日本", ".", "</s>", "<s>", "kettles", " copper", "zz", "\u2581", "\t"),
]


class Setting(NamedTuple):
    """What a tokenizer's files say."""

    kind: str
    model: dict[str, Any]
    processor: str
    prefix_space: bool
    normalizer: str | None
    before: tuple[int, ...]
    after: tuple[int, ...]
    truncation: dict[str, Any] | None
    padding: dict[str, Any] | None
    added: tuple[dict[str, Any], ...]
    config: dict[str, Any]

    @property
    def around(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Special tokens before and behind every text."""
        fixed = {"bert": ((CLS,), (SEP,)), "roberta": ((BOS,), (EOS,))}
        return fixed.get(self.processor, (self.before, self.after))


@functools.cache
def trained(kind: str) -> str:
    """A tokenizer's vocabulary, as JSON of a whole tokenizer."""
    size = {"vocab_size": VOCAB - 8, "special_tokens": SPECIAL, "show_progress": False}
    if kind == "bytes":
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer: Any = trainers.BpeTrainer(initial_alphabet=alphabet, **size)
    elif kind == "words":
        made = Tokenizer(models.WordLevel(unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.WordLevelTrainer(**size)
    elif kind == "pieces":
        made = Tokenizer(models.WordPiece(unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        made.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(**size)
    elif kind == "subwords":
        affixes = {"continuing_subword_prefix": "##", "end_of_word_suffix": "</w>"}
        made = Tokenizer(models.BPE(unk_token="<unk>", **affixes))
        made.pre_tokenizer = pre_tokenizers.Whitespace()
        made.decoder = decoders.BPEDecoder()
        trainer = trainers.BpeTrainer(**affixes, **size)
    elif kind == "unigram":
        made = Tokenizer(models.Unigram())
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        made.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(unk_token="<unk>", **size)
    else:
        made = Tokenizer(models.BPE(unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        made.decoder = decoders.Metaspace()
        trainer = trainers.BpeTrainer(**size)
    made.train_from_iterator(SENTENCES, trainer)
    return str(made.to_str())


NORMALIZERS = {
    "nfkc": normalizers.NFKC(),
    "lower": normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()]),
    "strip": normalizers.Strip(left=True, right=False),
    "llama": normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]),
}


def processor(setting: Setting) -> Any:
    """What puts special tokens around texts."""
    if setting.processor == "bert":
        return processors.BertProcessing(("[SEP]", SEP), ("[CLS]", CLS))
    if setting.processor == "roberta":
        return processors.RobertaProcessing(
            ("</s>", EOS), ("<s>", BOS), add_prefix_space=setting.prefix_space
        )
    before, after = setting.before, setting.after
    template = processors.TemplateProcessing(
        single=" ".join([*(SPECIAL[i] for i in before), "$A", *(SPECIAL[i] for i in after)]),
        special_tokens=[(SPECIAL[i], i) for i in sorted({*before, *after})],
    )
    if setting.processor == "sequence":
        return processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return template if before or after else None


def written(setting: Setting, folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of some settings, by way of its files."""
    made = Tokenizer.from_str(trained(setting.kind))
    if setting.kind == "bytes":
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=setting.prefix_space)
    elif setting.kind in ("metaspace", "unigram"):
        scheme = "always" if setting.prefix_space else "never"
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    if setting.normalizer:
        made.normalizer = NORMALIZERS[setting.normalizer]
    made.post_processor = processor(setting)
    if setting.truncation:
        made.enable_truncation(**setting.truncation)
    if setting.padding:
        made.enable_padding(**setting.padding)
    content = json.loads(made.to_str())
    content["model"] |= {key: one for key, one in setting.model.items() if key in content["model"]}
    content["added_tokens"] += [
        {"id": made.get_vocab_size() + i, **token} for i, token in enumerate(setting.added)
    ]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", **setting.config}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return load_tokenizer(folder)


def added_tokens() -> st.SearchStrategy[dict[str, Any]]:
    flags = {name: st.booleans() for name in ("lstrip", "rstrip", "single_word", "normalized", "special")}
    return st.fixed_dictionaries({"content": st.sampled_from(["baker", ":", "zz"]), **flags})


truncations = st.fixed_dictionaries(
    {"max_length": st.integers(3, 6), "direction": st.sampled_from(["left", "right"])}
)
paddings = st.fixed_dictionaries(
    {
        "length": st.sampled_from([None, 24]),
        "direction": st.sampled_from(["left", "right"]),
        "pad_id": st.just(PAD),
        "pad_token": st.just("<pad>"),
    }
)
configs = st.fixed_dictionaries(
    {},
    optional={
        "bos_token": st.just("<s>"),
        "pad_token": st.sampled_from(["<pad>", "</s>"]),
        "model_max_length": st.integers(2, 6),
        "clean_up_tokenization_spaces": st.booleans(),
        "padding_side": st.sampled_from(["left", "right"]),
        "truncation_side": st.sampled_from(["left", "right"]),
        "chat_template": st.just("{{ bos_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}"),
        "add_prefix_space": st.booleans(),
        "split_special_tokens": st.booleans(),
    },
)
tokens_around = st.lists(st.sampled_from([BOS, EOS, CLS, SEP]), max_size=2).map(tuple)
# Each counts where the model of the kind has it.
of_models = st.fixed_dictionaries(
    {},
    optional={
        "dropout": st.sampled_from([0.0, 0.02, 0.5, 1.0]),
        "byte_fallback": st.booleans(),
        "ignore_merges": st.booleans(),
        "fuse_unk": st.booleans(),
        "max_input_chars_per_word": st.integers(1, 4),
    },
)
tokenizers = st.builds(
    Setting,
    kind=st.sampled_from(["bytes", "metaspace", "words", "unigram", "pieces", "subwords"]),
    model=of_models,
    processor=st.sampled_from(["template", "bert", "roberta", "sequence"]),
    prefix_space=st.booleans(),
    normalizer=st.sampled_from([None, *NORMALIZERS]),
    before=tokens_around,
    after=tokens_around,
    truncation=st.none() | truncations,
    padding=st.none() | paddings,
    added=st.lists(added_tokens(), max_size=2, unique_by=lambda token: token["content"]).map(tuple),
    config=configs,
)
fragments = st.lists(st.sampled_from(TEXTS), max_size=5).map("".join)


class Plain:
    """What a tokenizer makes of a text alone, from the library below transformers, with nothing around it."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, before: tuple[int, ...]) -> None:
        content = json.loads(tokenizer.backend_tokenizer.to_str())
        content |= {"truncation": None, "padding": None, "post_processor": None}
        if content["model"].get("dropout") is not None:
            content["model"]["dropout"] = None
        self._tokenizer = Tokenizer.from_str(json.dumps(content))
        self._tokenizer.encode_special_tokens = tokenizer.split_special_tokens
        self.prefix = EOS if tokenizer.bos_token is None else BOS
        self._before = list(before)

    def bare(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text).ids)

    def __call__(self, text: str) -> list[int]:
        before = [] if text.startswith(SPECIAL[self.prefix]) else self._before
        return before + self.bare(text)


def log_likelihood(ids: list[int], start: int) -> float:
    """Of the tokens from a place on, by one forward pass of transformers' own."""
    with torch.inference_mode():
        logprobs = make_model("llama")(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return math.fsum(float(logprobs[i - 1, ids[i]]) for i in range(start, len(ids)))


def expected(plain: Plain, context: str, options: list[str]) -> list[float] | None:
    """Log-likelihood of each option by the definition; None where one has no token."""
    wholes = [plain(context + option) if context else plain.bare(option) for option in options]
    if not context:
        wholes = [ids[1:] if ids[:1] == [plain.prefix] else ids for ids in wholes]
        if not all(wholes):
            return None
        return [log_likelihood([plain.prefix, *ids], 1) for ids in wholes]
    alone = plain(context.rstrip())
    values = []
    for ids in wholes:
        same = [a == b for a, b in zip(alone, ids, strict=False)]
        common = same.index(False) if False in same else len(same)
        if common == len(ids):
            return None
        before = [] if common else [plain.prefix]
        value, part = (log_likelihood([*before, *one], max(common, 1)) for one in (ids, alone))
        values.append(value - part)
    return values


@given(
    setting=tokenizers,
    context=fragments,
    options=st.lists(fragments, min_size=2, max_size=3, unique=True),
)
@settings(max_examples=60, deadline=None)
def test_codec_counter_and_forward_pass_agree(setting: Setting, context: str, options: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = written(setting, Path(folder))
    plain = Plain(tokenizer, setting.around[0])
    codec, count = Codec(tokenizer), TokenCounter(tokenizer)
    texts = [context, *options, *(context + option for option in options)]
    for text in texts:
        assert codec.encode(text) == plain(text)
        assert count(text) == len(plain(text))
        assert codec.encode_prompt(text) == (plain(text) or [plain.prefix])
    with codec.primed(texts):
        assert [codec.encode(text) for text in texts] == [plain(text) for text in texts]
    assert count.pieces(texts) == [len(plain.bare(text)) for text in texts]

    lm = load_lm(make_model("llama"), tokenizer)
    requests = scored(*((context, option) for option in options))
    right = expected(plain, context, options)
    if right is None:
        with pytest.raises(RunError, match="has no token of its own"):
            lm.loglikelihood(requests)
    else:
        assert [value for value, _ in lm.loglikelihood(requests)] == pytest.approx(right, abs=2e-4)
    own = plain.bare(context)
    if own[:1] == [plain.prefix] and context.startswith(SPECIAL[plain.prefix]):
        own = own[1:]
    if context and not own:
        with pytest.raises(RunError, match="has no token of its own"):
            lm.loglikelihood_rolling(rolling(context))
        return
    (value,) = lm.loglikelihood_rolling(rolling(context))
    assert value == pytest.approx(log_likelihood([plain.prefix, *own], 1), abs=2e-4)


def test_a_text_of_other_tokens_after_a_context_is_seen_though_their_number_is_the_same() -> None:
    made = Tokenizer(
        models.BPE(vocab={c: i for i, c in enumerate(["<s>", "a", "b", "c", "ab", "bc"])}, merges=[])
    )
    made = Tokenizer.from_str(made.to_str().replace('"merges":[]', '"merges":[["a","b"],["b","c"]]'))
    count = TokenCounter(PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<s>"))
    # a + bc alone, ab + c together: two tokens each.
    assert count("abc") - count("a") == count.pieces(["bc"])[0]
    assert count.tokens_after("a", "bc") is None
    assert count.tokens_after("b", "bc") == 1
    assert count.tokens_after("", "bc") == 1
