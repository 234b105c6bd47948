"""Models on one of lm-eval's own classes (vLLM, an API, ...), with nothing cut quietly there either."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lm_eval.api.model import LM
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import normalize_gen_kwargs

from archbench.answers import SKIP, answer_of
from archbench.engine.admission import Admission
from archbench.engine.scoring.finite import NotFiniteError
from archbench.engine.sharing.exactness import Sharing
from archbench.engine.usage import Meter, Report, Usage, collect, reporting

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

# Requests put to the class at a time: enough for it to sort and batch, few enough for a bar to move.
_CHUNK = 1024

# Tokens that classes other than `hf` may keep back from their stated length before they begin to cut.
_RESERVE = 2


class BackendLM(LM):  # type: ignore[misc]
    """One of lm-eval's classes, watched: it never gets an input that it would cut. Made by `load_backend`.

    Prefixes are not shared, exactness is not measured and answers are not stored: how it computes is the
    class's own affair. Lengths are those of the class's own tokenizer; where it has none in this process
    (some APIs), they are unknown and cannot be checked.

    Attributes:
        lm: The class's object.
        backend: Its name in lm-eval.
        name: How messages call the model.
        counts_tokens: Whether the class has a tokenizer in this process.
        border: What its log-likelihoods are of (docs/engine.md): always lm-eval's.
    """

    border = "lm_eval"

    def __init__(self, lm: LM, *, backend: str, name: str, too_long: str, progress: bool | Report) -> None:
        """Watch an object; see `load_backend`."""
        super().__init__()
        self.lm = lm
        self.backend = backend
        self.name = name
        # What is unknown limits nothing: the class has no length, or no tokenizer to count with.
        limit = getattr(lm, "max_length", None)
        self.counts_tokens = hasattr(lm, "_encode_pair") and getattr(lm, "tokenizer", None) is not None
        reserve = 0 if isinstance(lm, HFLM) else _RESERVE
        self._admission = Admission(
            name=name,
            limit=int(limit) - reserve if isinstance(limit, int) and self.counts_tokens else None,
            vocab=None,
            tokenizer="",
            rule=too_long,
        )
        self._progress = progress
        self._meter = Meter()

    @property
    def usage(self) -> Usage:
        """Work done so far; tokens forwarded are not known and stay 0."""
        return self._meter.usage

    @property
    def sharing(self) -> Sharing:
        """No prefixes are shared: how requests are computed is the class's own affair."""
        return Sharing("none", unshared_backend(self.backend))

    @property
    def tokenizer_name(self) -> str:
        """Name of the tokenizer, fit for a file name."""
        return str(self.lm.tokenizer_name)

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A chat as the class makes a prompt of it."""
        return str(self.lm.apply_chat_template(chat_history, add_generation_prompt=add_generation_prompt))

    def describe(self) -> dict[str, Any]:
        """What is known of the model, for a manifest."""
        limit = self._admission.limit
        unknown = "not known here, so lengths are not checked"
        known = {"backend": self.backend, "longest_input": unknown if limit is None else limit}
        model = getattr(self.lm, "model", None)
        if model is not None and hasattr(model, "parameters"):
            known["parameters"] = sum(parameter.numel() for parameter in model.parameters())
            known |= {"dtype": str(model.dtype).removeprefix("torch."), "device": str(self.lm.device)}
        return known

    def tok_encode(self, string: str) -> list[int] | None:
        """Token ids of a text; None where the class has no tokenizer here."""
        return list(self.lm.tok_encode(string)) if self.counts_tokens else None

    def token_counts(self, context: str, continuation: str) -> tuple[int, int] | None:
        """How many tokens the context and the continuation of a scored pair have; None where not known."""
        return self._admission.lengths((context, continuation))

    def excluded(self, arguments: Sequence[Any]) -> bool:
        """Whether a request with these arguments was too long for the model and was not put to it."""
        return self._admission.is_excluded(arguments)

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Log-likelihood (nats) of each continuation after its context, and whether it is the greedy one.

        Raises:
            TooLongError: A pair is longer than the class takes and such are not excluded.
        """

        def admit(index: int, arguments: tuple[str, str]) -> bool:
            if not self.counts_tokens:
                return True
            context, continuation = arguments
            lengths = self._pair_lengths(context, continuation)
            self._meter.count(pairs=1)
            self._admission.remember(arguments, lengths)
            self._meter.count(tokens_requested=sum(lengths) - 1)
            return self._admission.admit(f"Request {index}", (0,), sum(lengths) - 1)

        return self._put("loglikelihood", "Scoring", requests, (math.nan, False), admit)

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Log-likelihood (nats) of each text, cut into windows as the class does it."""
        return self._put("loglikelihood_rolling", "Scoring texts", requests, math.nan, lambda *_: True)

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Text that the model writes after each prompt.

        No class of lm-eval skips white space before an answer. A request with that setting is put without
        stop strings, and its text is cut afterwards.

        Raises:
            TooLongError: A prompt and its `max_gen_toks` are longer than the class takes and such are not
                excluded.
        """

        def admit(index: int, arguments: tuple[str, dict[str, Any]]) -> bool:
            prompt, settings = arguments[:2]
            tokens = self.tok_encode(prompt)
            if tokens is None:
                return True
            # Under whatever name lm-eval takes it.
            default = int(getattr(self.lm, "max_gen_toks", 256))
            new = normalize_gen_kwargs(dict(settings), default)["max_gen_toks"]
            self._meter.count(tokens_requested=len(tokens))
            what = f"Request {index} (prompt and max_gen_toks {new})"
            return self._admission.admit(what, (0,), len(tokens) + int(new))

        texts = self._put("generate_until", "Generating", requests, "", admit, _without_skipping)
        return [
            answer_of(text, _stops(request), skip_white_space=True) if request.args[1].get(SKIP) else text
            for text, request in zip(texts, requests, strict=True)
        ]

    def _put(
        self,
        method: str,
        description: str,
        requests: Sequence[Instance],
        nothing: Any,
        admit: Callable[[int, Any], bool],
        as_put: Callable[[Instance], Instance] = lambda request: request,
    ) -> list[Any]:
        """Answers of the requests that are admitted, and `nothing` for the others."""
        # Their bars would stand in ours.
        call = getattr(self.lm, method)
        quiet = {"disable_tqdm": True} if "disable_tqdm" in parameter_names([call]) else {}

        def batches() -> Iterator[dict[int, Any]]:
            admitted = [index for index, request in enumerate(requests) if admit(index, request.args)]
            excluded = set(range(len(requests))).difference(admitted)
            for index in excluded:
                self._admission.exclude(requests[index].args)
            yield dict.fromkeys(excluded, nothing)
            for first in range(0, len(admitted), _CHUNK):
                chunk = admitted[first : first + _CHUNK]
                found = call([as_put(requests[index]) for index in chunk], **quiet)
                finished = dict(zip(chunk, found, strict=True))
                for index, answer in finished.items():
                    self._check_finite(index, answer)
                yield finished

        with self._meter.clock(), reporting(self._progress, description) as report:
            answers = collect(batches(), len(requests), report)
            self._meter.count(requests=len(requests))
        return answers

    def _check_finite(self, index: int, answer: Any) -> None:
        """Refuse a log-likelihood that is no number; texts are taken as they come."""
        value = answer[0] if isinstance(answer, tuple | list) else answer
        if not isinstance(value, str | None) and not math.isfinite(value):
            raise NotFiniteError(
                f"The log-likelihood of request {index} under {self.name} (lm-eval's model class "
                f"'{self.backend}') is {value}: the model diverged, its dtype overflows, or the class does "
                "not report this token. Check its weights and settings, or use a wider dtype."
            )

    def _pair_lengths(self, context: str, continuation: str) -> tuple[int, int]:
        if not context:
            return 1, len(self.lm.tok_encode(continuation, add_special_tokens=False))
        first, second = self.lm._encode_pair(context, continuation)
        # As in `_encode_pair`, the spaces at the end of a context go with the continuation.
        spans = list(self.lm.tok_encode(context + continuation)) != [*first, *second]
        self._meter.count(pairs_spanned=int(spans))
        return len(first), len(second)


def unshared_backend(backend: str) -> str:
    """Why a member on one of lm-eval's classes shares no prefixes."""
    return f"prefixes are not shared by archbench: requests go to lm-eval's model class '{backend}'"


def _without_skipping(request: Instance) -> Instance:
    """A request as a class of lm-eval takes it: without `skip_white_space`, and if it is on without stops."""
    prompt, settings, *rest = request.args
    if SKIP not in settings:
        return request
    plain = {name: value for name, value in settings.items() if name != SKIP}
    if settings[SKIP]:
        plain["until"] = []
    return replace(request, arguments=(prompt, plain, *rest))


def _stops(request: Instance) -> list[str]:
    until = request.args[1].get("until") or []
    return [until] if isinstance(until, str) else list(until)


def parameter_names(functions: Iterable[Callable[..., Any]]) -> set[str]:
    """Names of all parameters of some functions."""
    skipped = ("self", "args", "kwargs")
    return {one for each in functions for one in inspect.signature(each).parameters if one not in skipped}
