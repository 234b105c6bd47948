"""Generate text without padding: exact for recurrent models, whose state a pad token would enter."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from archbench.engine.cache.corrections import counting_cache
from archbench.engine.generation.jobs import Generated, Job
from archbench.engine.generation.sampling import check_choice, processors
from archbench.engine.generation.stopping import StopStrings
from archbench.engine.scoring.finite import check_logits
from archbench.engine.scoring.forward import PADDING
from archbench.engine.text import Codec
from archbench.models.checks.endings import token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Generator:
    """Generates with `model.generate`, from the request's settings and nothing else.

    A checkpoint's own `generation_config` (repetition penalties, sampling settings) is set aside except
    for its end-of-text tokens, so that two models are put to the same. Sampling without `top_k` or
    `top_p` is from the full distribution.

    Attributes:
        codec: The tokenizer.
        eos: Ids of the tokens that end a generation.
    """

    def __init__(self, model: PreTrainedModel, codec: Codec) -> None:
        """Generate with a model.

        Args:
            model: The model.
            codec: The tokenizer.

        Raises:
            RequestError: The model's own end-of-text tokens are no token ids.
        """
        self._model = model
        self.codec = codec
        own = model.generation_config.eos_token_id if model.generation_config else None
        where = f"generation_config.json of {model.name_or_path or 'the model'}: eos_token_id"
        self.eos = sorted({codec.eos_token_id, *token_ids(own, where)})

    def generate(self, jobs: Sequence[Job], *, use_cache: bool = True) -> list[Generated]:
        """Continue prompts of one length.

        The corrections of `cache.corrections.exact_states` have to be in force.

        Args:
            jobs: What to generate; they differ in their prompts alone, and a sampled one is on its own.
            use_cache: Whether to go on from the model's state after each token. Not where that state was not
                found to give what a plain forward pass gives; the whole text is then read at every token.

        Returns:
            One generation per job. The global random state is left as it was.

        Raises:
            NotFiniteError: Logits of a row that has not ended are not finite, or the settings make them so.
            RequestError: transformers takes no such setting.
        """
        first, options = jobs[0], dict(jobs[0].options)
        input_ids = torch.tensor([job.prompt for job in jobs], dtype=torch.long, device=self._model.device)
        length = input_ids.shape[1]
        stopping = _StopRows(
            [StopStrings(self.codec, job.stop, skip_white_space=job.skip_white_space) for job in jobs], length
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
            max_new_tokens=first.max_new,
            eos_token_id=self.eos,
            # Fed to rows that have ended; the tokenizer's own may be beyond the model's embedding.
            pad_token_id=PADDING,
            use_cache=use_cache,
            **(sampling if options.get("do_sample") else {"do_sample": False}),
        )
        state: contextlib.AbstractContextManager[dict[str, Any]] = contextlib.nullcontext({})
        if use_cache:
            state = counting_cache(self._model)
        with (
            _own_defaults_aside(self._model),
            state as cache,
            _seeded(first.seed, self._model.device),
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
        return Generated(self.codec.decode(new[:end]), end)


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
