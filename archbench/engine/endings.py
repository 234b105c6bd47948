"""No special tokens behind texts on lm-eval's own model classes, which would score after them."""

from __future__ import annotations

from lm_eval.api.model import LM
from transformers import PreTrainedTokenizerBase

from archbench.errors import RequestError
from archbench.random_tokens import check_not_random
from archbench.tokens import check_knows_texts, find_surroundings, texts_of_vocabulary


def check_endings(lm: LM, *, backend: str, name: str) -> None:
    """Make sure that a class puts no special tokens behind texts, if its tokenizer is of transformers.

    Args:
        lm: The class's object, which has a tokenizer.
        backend: Its name in lm-eval.
        name: How messages call the model.

    Raises:
        RequestError: It does, or what it puts around texts is not regular; or its ids are random,
            or it knows no text.
    """
    tokenizer = lm.tokenizer
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        return
    check_not_random(tokenizer, f"The tokenizer of {name}")
    check_knows_texts(tokenizer, f"The tokenizer of {name}")
    found = find_surroundings(
        lm.tok_encode,
        lambda text: list(lm.tok_encode(text, add_special_tokens=False)),
        name=f"The tokenizer of {name}",
        more=lambda: texts_of_vocabulary(tokenizer),
    )
    if found.after:
        shown = ", ".join(map(str, tokenizer.convert_ids_to_tokens(list(found.after))))
        raise RequestError(
            f"The tokenizer of {name} puts special tokens ({shown}) behind every text, and lm-eval's model "
            f"class '{backend}' scores options and generates after them, so that all options get the same "
            "log-likelihood. Leave `backend` out (archbench's engine leaves those tokens out), or correct "
            "post_processor in tokenizer.json."
        )
