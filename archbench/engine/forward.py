"""Run one forward pass over a batch of rows and read off the log-probabilities that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from archbench.engine.batching import Row
from archbench.errors import RunError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Rows of logits that are turned to float32 at once: at a vocabulary of 128k, 0.25 GiB.
_CHUNK = 512

# Kinds of rotary embedding whose frequencies change with the length of the input as padded.
_WIDTH_DEPENDENT_ROPE = frozenset({"dynamic", "longrope"})


class Score(NamedTuple):
    """What a model thinks of one target.

    Attributes:
        logprob: Natural log of its probability, computed in float32.
        greedy: Whether no other token is more likely (of equally likely ones, the first counts).
    """

    logprob: float
    greedy: bool


class Scorer:
    """Scores rows with a model, putting only the positions asked for through its output head.

    Rows are padded on the right and no attention mask is passed: in a causal model nothing on the
    right of a position reaches it, and left padding would enter the state of a recurrent one.

    A hook on the output head gathers the hidden states to be scored, so the full `[batch, length, vocab]`
    logits never exist, while whatever the model does to its logits afterwards (soft-capping, scaling)
    still happens.

    Attributes:
        vocab: Number of logits per position.
        depends_on_width: Whether rotary angles go with the longest row of a batch, so that rows of different
            lengths must not share one.
    """

    def __init__(self, model: PreTrainedModel, *, pad_token_id: int) -> None:
        """Wrap a model.

        Args:
            model: A causal language model in eval mode.
            pad_token_id: Any valid token id; what it is does not matter.

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
        self.vocab = int(config.vocab_size)
        rope = getattr(config, "rope_parameters", None) or {}
        self.depends_on_width = rope.get("rope_type") in _WIDTH_DEPENDENT_ROPE
        self._model = model
        self._head = head
        self._pad = pad_token_id

    @torch.inference_mode()
    def score(self, rows: Sequence[Row]) -> list[list[Score]]:
        """Forward a batch of rows.

        Args:
            rows: The batch; padded to its longest row.

        Returns:
            For each row the scores of its targets, in their order.

        Raises:
            RunError: The model's forward pass does not go through its output head as expected.
        """
        width = max(len(row.tokens) for row in rows)
        input_ids = torch.full((len(rows), width), self._pad, dtype=torch.long)
        for i, row in enumerate(rows):
            input_ids[i, : len(row.tokens)] = torch.tensor(row.tokens)

        # Distinct (row, position) pairs, and for each target which of them it belongs to.
        place: dict[tuple[int, int], int] = {}
        owner = [
            place.setdefault((i, target.position), len(place))
            for i, row in enumerate(rows)
            for target in row.targets
        ]
        tokens = [target.token for row in rows for target in row.targets]
        logits = self._logits(input_ids, torch.tensor(list(place)))
        logprobs, greedy = _read(logits, owner, tokens)

        scores = iter(map(Score, logprobs, greedy))
        return [[next(scores) for _ in row.targets] for row in rows]

    def _logits(self, input_ids: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Logits at the given places only.

        Args:
            input_ids: `[batch, length]`.
            places: `[places, 2]`, row and position of each.

        Returns:
            `[places, vocab]`, in the dtype that the model gives.
        """
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
            logits = self._model(input_ids=input_ids.to(self._model.device), use_cache=False).logits
        finally:
            handle.remove()
        if [shape[:2] for shape in seen] != [input_ids.shape] or logits.shape[:2] != (1, len(places)):
            raise RunError(
                f"archbench cannot score with {type(self._model).__name__}, which does not put its hidden "
                "states through its output head once and in full: for inputs of shape "
                f"{tuple(input_ids.shape)} the head saw {[tuple(shape) for shape in seen]}."
            )
        return logits[0]  # type: ignore[no-any-return]


def _read(logits: torch.Tensor, owner: list[int], tokens: list[int]) -> tuple[list[float], list[bool]]:
    """Log-probability of each token under its owner's `[places, vocab]` logits, and whether it is greedy."""
    norms, best = [], []
    for start in range(0, len(logits), _CHUNK):
        exact = logits[start : start + _CHUNK].float()
        norms.append(exact.logsumexp(dim=-1))
        best.append(exact.argmax(dim=-1))
    rows = torch.tensor(owner, device=logits.device)
    columns = torch.tensor(tokens, device=logits.device)
    logprobs = logits[rows, columns].float() - torch.cat(norms)[rows]
    return logprobs.tolist(), (torch.cat(best)[rows] == columns).tolist()
