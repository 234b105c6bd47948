"""What all members of a family share: text, tokenizer, the two streams, what they are evaluated on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from archbench.checkpoint import has_tokenizer, tokenizer_files
from archbench.data.corpus import Corpus, Opening
from archbench.data.ordered import OrderedStream
from archbench.data.stream import WINDOWS_PER_SHARD, Encoding, TextEndedError, Windows
from archbench.data.tokenizer import save_tokenizer, train_tokenizer
from archbench.errors import RequestError, did_you_mean
from archbench.identity import tokenizer_rules
from archbench.models.load import load_tokenizer
from archbench.paths import expanded
from archbench.registry import Family
from archbench.training.places import Places
from archbench.training.recipe import Recipe


@dataclass(frozen=True)
class Material:
    """What all members share.

    Attributes:
        corpus: The text.
        tokenizer: What encodes it.
        given: The tokenizer's folder, where it was not trained here.
        digest: Digest of the tokenizer.
        training: Windows to train on.
        validation: Windows for the validation loss.
    """

    corpus: Corpus
    tokenizer: PreTrainedTokenizerFast
    given: Path | None
    digest: str
    training: Windows
    validation: Windows

    @property
    def record(self) -> dict[str, Any]:
        """What a member's record says of the text."""
        return {"digest": self.corpus.digest, "description": self.corpus.description}


def open_corpus(recipe: Recipe, family: Family) -> tuple[Corpus, Recipe]:
    """Read the text that a recipe names; nothing is written.

    Returns:
        The text, and the recipe as records state it, with the digest of the text.

    Raises:
        RequestError: The text cannot be used, or has no items of a kind that the family names.
    """
    shards = recipe.tokens / (recipe.sequence_length * WINDOWS_PER_SHARD)
    where = f"{family.where('recipe', 'corpus')}: recipe.corpus"
    corpus = recipe.corpus.open(Opening(family.folder, where, shards))
    for kind in family.items:
        if kind not in corpus.offers:
            hint = did_you_mean(kind, corpus.offers, label="It has items for")
            raise RequestError(
                f"{family.where('items', kind)}: the corpus of the recipe has no items for '{kind}'. {hint} "
                "Leave the key out, and name data for such tasks in the suite."
            )
    return corpus, recipe.model_copy(update={"corpus": corpus.settings})


def prepare(recipe: Recipe, corpus: Corpus, family: Family) -> Material:
    """Make what all members share; nothing is written.

    Raises:
        RequestError: The tokenizer cannot be used, or there is less text than the recipe reads.
    """
    given = None
    if recipe.tokenizer is not None:
        given = family.folder / expanded(recipe.tokenizer)
        tokenizer = _given_tokenizer(given, family.where("recipe", "tokenizer"))
    else:
        tokenizer = train_tokenizer(corpus.tokenizer_texts(), recipe.vocab_size)
    if len(tokenizer) != recipe.vocab_size:
        why = "the tokenizer" if given else "a tokenizer trained on this text"
        more = "" if given else ", or add text"
        raise RequestError(
            f"{family.where('recipe', 'vocab_size')}: recipe.vocab_size is {recipe.vocab_size:,}, and {why} "
            f"has {len(tokenizer):,} entries. Write vocab_size: {len(tokenizer)}{more}."
        )
    end: int = tokenizer.eos_token_id

    def encode(texts: list[str]) -> list[list[int]]:
        found: list[list[int]] = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        for text, ids in zip(texts, found, strict=True):
            if end in ids:
                raise RequestError(
                    f"{family.where('recipe', 'corpus')}: a document of the corpus holds "
                    f"'{tokenizer.eos_token}', which the tokenizer takes for the end of a document: "
                    f"{text[:60]!r}… Remove it, or where it parts documents in text files, name it with "
                    "corpus.separator."
                )
        return found

    encoding = Encoding(encode, end, recipe.sequence_length)
    training, validation = corpus.stream("train", encoding), corpus.stream("validation", encoding)
    where = family.where("recipe")
    windows = recipe.steps * recipe.batch_sequences
    _check_enough(training, windows, partial(_too_little, wanted=windows, recipe=recipe, where=where))
    _check_enough(
        validation, recipe.validation_windows, partial(_too_little_held_out, recipe=recipe, where=where)
    )
    return Material(corpus, tokenizer, given, tokenizer_digest(tokenizer), training, validation)


def write_material(material: Material, places: Places) -> None:
    """Write the tokenizer, and what the members are evaluated on.

    Raises:
        OSError: It cannot be written.
    """
    if material.given is None:
        save_tokenizer(material.tokenizer, places.tokenizer)
    else:
        places.tokenizer.mkdir(parents=True, exist_ok=True)
        for file in tokenizer_files(material.given):
            _write(places.tokenizer / file.name, file.read_bytes())
    for kind, place in places.items.items():
        for name, text in material.corpus.items(kind, str(material.tokenizer.eos_token)).items():
            file = place / name if name else place
            file.parent.mkdir(parents=True, exist_ok=True)
            _write(file, text.encode())


def tokenizer_digest(tokenizer: PreTrainedTokenizerFast) -> str:
    """Digest of everything that decides how a text is encoded (sha256, hex)."""
    rules = tokenizer_rules(tokenizer)
    assert rules is not None, "a fast tokenizer shows its rules"
    return rules


def _given_tokenizer(folder: Path, where: str) -> PreTrainedTokenizerFast:
    if not folder.is_dir() or not has_tokenizer(folder):
        raise RequestError(
            f"{where}: recipe.tokenizer: {folder} is no folder with a tokenizer (tokenizer.json). A "
            "relative one starts from the family file; one of the hub is brought here by hf download ID "
            "--local-dir DIR."
        )
    tokenizer = load_tokenizer(folder)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise RequestError(
            f"{where}: recipe.tokenizer: the tokenizer in {folder} runs in Python alone; one with a "
            "tokenizer.json is expected."
        )
    if tokenizer.eos_token_id is None:
        raise RequestError(
            f"{where}: recipe.tokenizer: the tokenizer in {folder} has no end-of-text token (eos_token) to "
            "put between documents. Set one and save the tokenizer again."
        )
    return tokenizer


def _check_enough(stream: Windows, wanted: int, message: Callable[[int, str, int], str]) -> None:
    """Refuse a stream that ends before so many windows; endless ones are not read for it."""
    if not isinstance(stream, OrderedStream):
        return
    try:
        stream.windows(wanted - 1, 1)
    except TextEndedError as end:
        found = stream.length_of_all()
        epochs = max((one.epochs for one in stream.amounts(found).values()), default=1)
        raise RequestError(message(found, end.source, epochs)) from None


def _too_little(found: int, source: str, epochs: int, *, wanted: int, recipe: Recipe, where: str) -> str:
    length = recipe.sequence_length
    part = f", of which the part '{source}' ends first" if source else ""
    fitting = found // recipe.batch_sequences * recipe.batch_sequences * length
    ways = ["Add text", *([f"set recipe.tokens: {fitting}"] if fitting else [])]
    key = f"parts.{source.replace('/', '.corpus.parts.')}.corpus.epochs" if source else "epochs"
    if found:
        needed = math.ceil(epochs * wanted / found)
        ways.append(f"have it read again with recipe.corpus.{key}: {needed}")
    return (
        f"{where}: the recipe trains on {wanted * length:,} tokens, and the text of the corpus that is not "
        f"held out gives {found * length:,} in {epochs} epoch{'s' if epochs > 1 else ''}{part}. "
        f"{', '.join(ways[:-1])}{' or ' if ways[1:] else ''}{ways[-1]}."
    )


def _too_little_held_out(found: int, source: str, epochs: int, *, recipe: Recipe, where: str) -> str:
    part = f", of which the part '{source}' ends first" if source else ""
    fewer = f"set recipe.validation_windows: {found}, " if found else ""
    return (
        f"{where}: the validation loss is taken over {recipe.validation_windows:,} windows of "
        f"{recipe.sequence_length:,} tokens, and the text held out for it fills {found:,}{part}. Add text, "
        f"{fewer}or hold out more with `held_out` of the corpus; held-out text is never read twice."
    )


def _write(file: Path, content: bytes) -> None:
    part = file.with_name(f"{file.name}.part")
    part.write_bytes(content)
    part.replace(file)
