"""Run one forward pass over a batch of rows and read off log-probabilities at chosen positions."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from archbench.engine.cache.cascade import attending_to_prefixes
from archbench.engine.cache.corrections import CountingCache, cache_argument
from archbench.engine.cache.states import fork, new_cache, release
from archbench.engine.scoring.finite import check_logits
from archbench.engine.scoring.rows import Ids, Score, Segment
from archbench.errors import RunError

if TYPE_CHECKING:
    from transformers import DynamicCache, PreTrainedModel

PADDING = 0
"""What rows are filled up with: an id that every model has. It never reaches anything."""

# Rows of logits that are turned to float32 at once: at a vocabulary of 128k, 0.25 GiB.
_CHUNK = 512

# Kinds of rotary embedding whose frequencies change with the length of the input as padded.
_WIDTH_DEPENDENT_ROPE = frozenset({"dynamic", "longrope"})


class Past(NamedTuple):
    """What the rows of a batch go on from.

    Attributes:
        cache: State of some rows after the same number of tokens.
        depth: That number.
        rows: For each row of the batch the row of the cache that it follows.
    """

    cache: DynamicCache
    depth: int
    rows: Sequence[int]


class Scorer:
    """Scores rows with a model, putting only the scored positions through its output head.

    Rows are padded on the right and no attention mask is passed: in a causal model nothing on the
    right of a position reaches it, and left padding would enter the state of a recurrent one.

    A hook on the output head gathers the hidden states to be scored, so the full `[batch, length, vocab]`
    logits never exist, while whatever the model does to its logits afterwards (soft-capping, scaling)
    still happens.

    Corrections of the model's states (`cache.corrections.exact_states`) have to be in force while it works.

    Attributes:
        model: The model.
        name: The model's name, for messages.
        limit: Longest input in tokens; None where there is none.
        vocab: Number of logits per position.
        depends_on_width: Whether rotary angles go with the longest row of a batch, so that rows of different
            lengths must not share one.
        takes_positions: Whether the model takes the positions of its tokens as an argument.
        passes: Forward passes so far.
    """

    def __init__(self, model: PreTrainedModel, limit: int | None = None) -> None:
        """Wrap a model.

        Args:
            model: A causal language model in eval mode.
            limit: Longest input in tokens; None where there is none.

        Raises:
            RunError: The model has no output head to hook.
        """
        head = model.get_output_embeddings()
        if not isinstance(head, nn.Module) or head is model.get_input_embeddings():
            raise RunError(
                f"{type(model).__name__} has no output head of its own (get_output_embeddings() gives "
                f"{type(head).__name__}), so archbench cannot score with it. Give it an lm_head module."
            )
        config = model.config.get_text_config()
        self.passes = 0
        self.vocab = int(config.vocab_size)
        rope = getattr(config, "rope_parameters", None) or {}
        # Some models have parameters for each type of layer.
        kinds = [one.get("rope_type") for one in (rope, *rope.values()) if isinstance(one, dict)]
        self.depends_on_width = any(kind in _WIDTH_DEPENDENT_ROPE for kind in kinds)
        self.model = model
        self.name = model.name_or_path or f"this {model.config.model_type} model"
        self.limit = limit
        self._head = head
        # Some models (bamba) take the positions after a cached prefix wrongly unless they are given.
        self.takes_positions = "position_ids" in inspect.signature(type(model).forward).parameters

    def score(
        self,
        segments: Sequence[Segment],
        *,
        past: Past | None = None,
        keep: bool = False,
        stepwise: bool = False,
        in_place: bool = False,
    ) -> tuple[list[list[Score]], DynamicCache | None]:
        """Forward a batch of segments.

        Args:
            segments: The batch; padded to its longest segment.
            past: What they go on from; the beginning where None.
            keep: Whether to return the state after the segments, which then must be equally long.
            stepwise: Whether to feed what follows a past token by token.
            in_place: Whether rows that go on from one row of a past may attend to it where it is held.

        Returns:
            For each segment the scores of its targets, in their order; and the state, or None.

        Raises:
            RunError: The model's forward pass does not go through its output head as expected.
        """
        # Distinct (row, position) pairs, and for each target which of them it belongs to.
        place: dict[tuple[int, int], int] = {}
        owner = [
            place.setdefault((i, target.position), len(place))
            for i, segment in enumerate(segments)
            for target in segment.targets
        ]
        tokens = [target.token for segment in segments for target in segment.targets]
        logits, cache = self.logits(
            [segment.tokens for segment in segments],
            list(place),
            past=past,
            keep=keep,
            stepwise=stepwise,
            in_place=in_place,
        )
        scores = iter(map(Score, *_read(logits, owner, tokens)))
        return [[next(scores) for _ in segment.targets] for segment in segments], cache

    @torch.inference_mode()
    def logits(
        self,
        rows: Sequence[Ids],
        places: Sequence[tuple[int, int]],
        *,
        past: Past | None = None,
        keep: bool = False,
        stepwise: bool = False,
        in_place: bool = False,
    ) -> tuple[torch.Tensor, DynamicCache | None]:
        """Logits at some places of a batch, and the state behind it if it is kept.

        Args:
            rows: Token ids of each row.
            places: Row and position (in the row's own tokens) of each.
            past: As for `score`.
            keep: As for `score`.
            stepwise: As for `score`.
            in_place: As for `score`.

        Returns:
            `[places, vocab]` in the dtype that the model gives; and the state, or None.

        Raises:
            RunError: The model's forward pass does not go through its output head as expected.
        """
        width = max(map(len, rows))
        input_ids = torch.full((len(rows), width), PADDING, dtype=torch.long)
        for i, row in enumerate(rows):
            input_ids[i, : len(row)] = torch.from_numpy(row)
        stepwise = stepwise and past is not None
        cache, depth = None, 0
        if past is not None:
            # What is kept gets keys and values of its own, so that what it came from can be thrown away.
            in_place = in_place and not keep and not stepwise
            cache = fork(past.cache, torch.tensor(past.rows), keep=keep or stepwise, in_place=in_place)
            depth = past.depth
        elif keep:
            cache = new_cache(self.model)
        wanted = torch.tensor(places, dtype=torch.long).reshape(-1, 2)
        try:
            if not stepwise:
                with attending_to_prefixes() if in_place and past is not None else contextlib.nullcontext():
                    return self.forward(input_ids, wanted, cache, depth), cache if keep else None
            # Every step gives the logits of its places; `order` puts them back into the order of `places`.
            order = torch.argsort(wanted[:, 1], stable=True)
            found = []
            for step in range(width):
                here = wanted[wanted[:, 1] == step]
                here = torch.stack([here[:, 0], torch.zeros_like(here[:, 0])], dim=1)
                found.append(self.forward(input_ids[:, step : step + 1], here, cache, depth + step))
            logits = torch.cat(found)[torch.argsort(order).to(found[0].device)]
            return logits, cache if keep else None
        finally:
            if cache is not None and not keep:
                release(cache)

    def forward(
        self, input_ids: torch.Tensor, places: torch.Tensor, cache: DynamicCache | None, depth: int
    ) -> torch.Tensor:
        """One forward pass.

        Args:
            input_ids: Token ids, `[batch, length]`.
            places: Row and position of each place, `[places, 2]`.
            cache: State that the rows go on from, row by row, moved on by the pass; None starts afresh.
            depth: Tokens in it.

        Returns:
            Logits, `[places, vocab]`.

        Raises:
            NotFiniteError: Logits are not finite.
            RunError: The model's forward pass does not go through its output head as expected.
        """
        model = self.model
        self.passes += 1
        arguments: dict[str, Any] = {"use_cache": cache is not None}
        if cache is not None:
            name = cache_argument(model)
            assert name is not None, "a model that takes no cache has none"
            arguments[name] = cache
            if self.takes_positions:
                positions = torch.arange(depth, depth + input_ids.shape[1], device=model.device)
                arguments["position_ids"] = positions.expand(input_ids.shape)
        seen: list[torch.Size] = []

        def gather(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            hidden = args[0]
            seen.append(hidden.shape)
            if hidden.shape[:2] != input_ids.shape:
                return args
            row, position = places.to(hidden.device).unbind(1)
            return (hidden[row, position].unsqueeze(0), *args[1:])

        handle = self._head.register_forward_pre_hook(gather)
        try:
            logits = model(input_ids=input_ids.to(model.device), **arguments).logits
        finally:
            handle.remove()
        if [shape[:2] for shape in seen] != [input_ids.shape] or logits.shape[:2] != (1, len(places)):
            raise RunError(
                f"archbench cannot score with {type(model).__name__}, which does not put its hidden "
                "states through its output head once and in full: for inputs of shape "
                f"{tuple(input_ids.shape)} the head saw {[tuple(shape) for shape in seen]}."
            )
        if isinstance(cache, CountingCache):
            cache.seen += input_ids.shape[1]
        check_logits(logits[0], model)
        return logits[0]  # type: ignore[no-any-return]


def _read(logits: torch.Tensor, owner: list[int], tokens: list[int]) -> tuple[list[float], list[bool]]:
    """Log-probability of each token under its owner's `[places, vocab]` logits, and whether it is greedy."""
    if not tokens:
        return [], []
    norms, best = [], []
    for start in range(0, len(logits), _CHUNK):
        exact = logits[start : start + _CHUNK].float()
        norms.append(exact.logsumexp(dim=-1))
        best.append(exact.argmax(dim=-1))
    rows = torch.tensor(owner, device=logits.device)
    columns = torch.tensor(tokens, device=logits.device)
    logprobs = logits[rows, columns].float() - torch.cat(norms)[rows]
    return logprobs.tolist(), (torch.cat(best)[rows] == columns).tolist()
