"""Generate text without padding: exact for recurrent models, whose state a pad token would enter."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from archbench.engine.cache.corrections import exact_cache, exact_states
from archbench.engine.finite import check_logits
from archbench.engine.generation.sampling import check_choice, processors
from archbench.engine.generation.stopping import StopStrings
from archbench.engine.scoring.forward import PADDING
from archbench.engine.text import Codec
from archbench.models.endings import token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Job(NamedTuple):
    """One generation to make.

    Attributes:
        prompt: Token ids of the prompt.
        max_new: At most this many new tokens.
        stop: Strings that end it.
        options: Sampling settings as (name, value) pairs.
        seed: Seed of a sampled generation, None for a greedy one.
        skip_white_space: Whether stop strings count only from the first character on that is not white space.
    """

    prompt: tuple[int, ...]
    max_new: int
    stop: tuple[str, ...]
    options: tuple[tuple[str, Any], ...]
    seed: int | None
    skip_white_space: bool = False


class Generated(NamedTuple):
    """One generation.

    Attributes:
        text: The new text, special tokens left out; it may still hold a stop string.
        tokens: How many tokens were generated, up to and including the one that stopped it.
    """

    text: str
    tokens: int


class Generator:
    """Generates with `model.generate`, from what the request says and nothing else.

    A checkpoint's own `generation_config` (repetition penalties, sampling settings) is set aside except
    for its end-of-text tokens, so that two models are asked the same. Sampling without `top_k` or
    `top_p` is from the full distribution.

    Attributes:
        eos: Ids of the tokens that end a generation.
    """

    def __init__(self, model: PreTrainedModel, codec: Codec) -> None:
        self._model = model
        self._codec = codec
        own = model.generation_config.eos_token_id if model.generation_config else None
        where = f"generation_config.json of {model.name_or_path or 'the model'}: eos_token_id"
        self.eos = sorted({codec.eos_token_id, *token_ids(own, where)})

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new: int,
        stop: Sequence[str],
        options: Mapping[str, Any],
        seed: int | None = None,
        skip_white_space: bool = False,
        use_cache: bool = True,
    ) -> list[Generated]:
        """Continue prompts of one length.

        Args:
            prompts: Token ids, `[batch, length]`.
            max_new: At most this many new tokens.
            stop: Strings that end a generation.
            options: `do_sample`, and what changes logits (`archbench.engine.generation.sampling`).
            seed: Seed of the sampling; the global random state is left as it was.
            skip_white_space: As in a `Job`.
            use_cache: Whether to go on from the model's state after each token. Not where that state was not
                found to give what a plain forward pass gives; the whole text is then read at every token.

        Returns:
            One generation per prompt.

        Raises:
            NotFiniteError: Logits of a row that has not ended are not finite, or the settings make them so.
            RequestError: transformers takes no such setting.
        """
        input_ids = torch.tensor(prompts, dtype=torch.long, device=self._model.device)
        length = input_ids.shape[1]
        stopping = _StopRows(
            [StopStrings(self._codec, stop, skip_white_space=skip_white_space) for _ in prompts], length
        )
        going = _Going(stopping, self.eos, length)
        checked = LogitsProcessorList(
            [
                _Checked(going, lambda scores: check_logits(scores, self._model)),
                *processors(options),
                _Checked(going, lambda scores: check_choice(scores, options)),
            ]
        )
        # Settings that change logits are among the processors, so that what they make of them is checked too.
        sampling = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
        config = GenerationConfig(
            max_new_tokens=max_new,
            eos_token_id=self.eos,
            # Fed to rows that have ended; the tokenizer's own may be beyond the model's embedding.
            pad_token_id=PADDING,
            use_cache=use_cache,
            **(sampling if options.get("do_sample") else {"do_sample": False}),
        )
        with (
            _own_defaults_aside(self._model),
            exact_cache(self._model) if use_cache else _without_cache(self._model) as cache,
            _seeded(seed, self._model.device),
        ):
            output = self._model.generate(
                input_ids=input_ids,
                attention_mask=torch.ones_like(input_ids),
                generation_config=config,
                stopping_criteria=StoppingCriteriaList([stopping]),
                logits_processor=checked,
                **cache,
            )
        return [
            self._read(row, stopped)
            for row, stopped in zip(output[:, length:].tolist(), stopping.ends, strict=True)
        ]

    def _read(self, new: list[int], stopped: int | None) -> Generated:
        """Cut what follows the end of a row: rows that end early are filled up by `generate`."""
        end = len(new) if stopped is None else stopped
        end = next((i + 1 for i, token in enumerate(new[:end]) if token in self.eos), end)
        return Generated(self._codec.decode(new[:end]), end)


class _StopRows(StoppingCriteria):  # type: ignore[misc]
    """Stops each row at the first token that completes a stop string."""

    def __init__(self, rows: Sequence[StopStrings], prompt: int) -> None:
        self._rows = rows
        self._prompt = prompt
        self.ends: list[int | None] = [None] * len(rows)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        count = input_ids.shape[1] - self._prompt
        for i, (row, token) in enumerate(zip(self._rows, input_ids[:, -1].tolist(), strict=True)):
            if self.ends[i] is None and row.completed_by(token):
                self.ends[i] = count
        return torch.tensor([end is not None for end in self.ends], device=input_ids.device)


class _Going:
    """Which rows have not ended: the others go on with padding, and what comes of it is nobody's."""

    def __init__(self, stop: _StopRows, eos: Sequence[int], prompt: int) -> None:
        self._stop = stop
        self._eos = set(eos)
        self._prompt = prompt

    def __call__(self, input_ids: torch.Tensor) -> list[int]:
        written = input_ids[:, self._prompt :].tolist()
        return [
            i
            for i, new in enumerate(written)
            if self._stop.ends[i] is None and not self._eos.intersection(new)
        ]


class _Checked(LogitsProcessor):  # type: ignore[misc]
    """Leaves logits as they are, and has a look at those of rows that have not ended."""

    def __init__(self, going: _Going, check: Callable[[torch.Tensor], None]) -> None:
        self._going = going
        self._check = check

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._check(scores[self._going(input_ids)])
        return scores


@contextlib.contextmanager
def _without_cache(model: PreTrainedModel) -> Iterator[dict[str, Any]]:
    with exact_states(model):
        yield {}


@contextlib.contextmanager
def _own_defaults_aside(model: PreTrainedModel) -> Iterator[None]:
    own = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


@contextlib.contextmanager
def _seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """Seed torch inside the block and put its state back afterwards (`generate` takes no generator)."""
    if seed is None:
        yield
        return
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
