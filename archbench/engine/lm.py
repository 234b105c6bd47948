"""The engine behind lm-eval's `LM` interface: exact, nothing truncated, nothing padded on the left."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from lm_eval.api.model import TemplateLM

from archbench.engine.admission import Admission
from archbench.engine.cache.corrections import exact_states
from archbench.engine.fingerprint import Fingerprint
from archbench.engine.generation.generate import Generator
from archbench.engine.generations import MAX_NEW_TOKENS, NEVER_ENDS, Generations
from archbench.engine.likelihoods import Encoded, Likelihoods
from archbench.engine.limits import UNLIMITED, context_limit
from archbench.engine.options import EngineOptions
from archbench.engine.scoring.batching import Budget
from archbench.engine.scoring.forward import Scorer
from archbench.engine.scoring.rows import Answer
from archbench.engine.sharing.exactness import Exactness, Sharing, exactness, sharing_of
from archbench.engine.store import Answers, RequestStore
from archbench.engine.text import Codec
from archbench.engine.usage import Meter, Report, Usage, collect, reporting
from archbench.errors import RequestError

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

T = TypeVar("T")


class ArchbenchLM(TemplateLM):  # type: ignore[misc]
    """A causal transformers model that answers lm-eval's requests. Made by `archbench.engine.load_lm`.

    Encoding, log-likelihoods and greedy flags are those of lm-eval's `HFLM`; unlike it, too long an input
    is an error, only scored positions go through the output head, and generation never pads.

    Attributes:
        model: The transformers model.
        tokenizer: The transformers tokenizer.
        options: Its settings.
        name: How messages call the model.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        options: EngineOptions,
        *,
        revision: str | None = None,
        progress: bool | Report = False,
        store: RequestStore | None = None,
    ) -> None:
        """Wrap a loaded model; see `load_lm` for the arguments.

        Raises:
            RequestError: The model or its tokenizer cannot be used, or `rolling_stride` is longer than the
                longest input.
        """
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.options = options
        self._revision = revision
        self._progress = progress
        self._device = model.device
        limit = options.max_length if options.max_length is not None else context_limit(model.config)
        self._codec = Codec(tokenizer, exact=options.border == "exact")
        self._scorer = Scorer(model, limit)
        self.name = self._scorer.name
        self._admission = Admission(
            name=self.name,
            limit=limit,
            vocab=int(model.get_input_embeddings().weight.shape[0]),
            tokenizer=str(tokenizer.name_or_path),
            rule=options.too_long,
            stand_in=self._codec.prefix_token_id,
        )
        stride = options.rolling_stride
        if stride is not None and not self._admission.fits(stride):
            raise RequestError(
                f"rolling_stride ({stride}) is how many tokens a window predicts, so it can be at "
                f"most the longest input of {self.name}, {limit} tokens (max_length)."
            )
        self._generator = Generator(model, self._codec)
        self._budget = Budget(options.batch_tokens, options.cache_bytes)
        self._meter = Meter()
        self._fingerprint = Fingerprint(model, tokenizer)
        answers = Answers(store, self._fingerprint.digest, self._generator.eos)
        shared = (self._admission, answers, self._budget, self._meter)
        self._likelihoods = Likelihoods(self._scorer, self._codec, *shared)
        self._generations = Generations(self._scorer, self._generator, *shared)

    # What lm-eval needs to know about the model ---------------------------------------------------

    @property
    def eot_token_id(self) -> int:
        """Id of the end-of-text token."""
        return self._codec.eos_token_id

    @property
    def prefix_token_id(self) -> int:
        """Id of the token that stands in for an empty context: begin-of-text, or else end-of-text."""
        return self._codec.prefix_token_id

    @property
    def max_length(self) -> int:
        """Longest input in tokens; `limits.UNLIMITED` where there is none."""
        return UNLIMITED if self._scorer.limit is None else self._scorer.limit

    @property
    def max_gen_toks(self) -> int:
        """New tokens of a generation whose request sets no limit."""
        return MAX_NEW_TOKENS

    @property
    def tokenizer_name(self) -> str:
        """Name of the tokenizer, fit for a file name."""
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        """Token ids of a text, with special tokens as `HFLM` adds them."""
        return self._codec.encode(string, add_special_tokens)

    def tok_decode(self, tokens: list[int], skip_special_tokens: bool = True) -> str:
        """Text of token ids."""
        return self._codec.decode(tokens, skip_special_tokens=skip_special_tokens)

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A chat as the prompt that the tokenizer's template makes of it.

        Raises:
            RequestError: There is no template, or it refuses the chat (some take no system message).
        """
        return self._codec.chat(chat_history, add_generation_prompt=add_generation_prompt)

    def get_model_info(self) -> dict[str, Any]:
        """What lm-eval writes into its results about the model."""
        return {
            "model_num_parameters": self.model.num_parameters(),
            "model_dtype": str(self.model.dtype),
            "model_revision": self._revision,
            "model_fingerprint": self.fingerprint,
        }

    # What archbench needs to know ----------------------------------------------------------------

    @property
    def fingerprint(self) -> str:
        """Digest of what an answer depends on here: weights, tokenizer, dtype, versions of the code.

        Taken anew after weights were changed in place.
        """
        return self._fingerprint.digest()

    @property
    def exactness(self) -> Exactness:
        """What was found to make no difference to the model's answers and is used; measured once."""
        with exact_states(self.model):
            return exactness(self._scorer)

    @property
    def sharing(self) -> Sharing:
        """How prefixes are shared here, and why they are not where they are not."""
        return sharing_of(self.exactness, self.options.cache_bytes)

    @property
    def usage(self) -> Usage:
        """A snapshot of the work done so far."""
        done = self._meter.usage
        return done._replace(passes=done.passes + self._scorer.passes, backoffs=self._budget.backoffs)

    @property
    def batch_tokens(self) -> int:
        """The token budget in force, after any halving."""
        return self._budget.tokens

    @property
    def border(self) -> str:
        """What log-likelihoods are of: "exact" or "lm_eval" (docs/engine.md)."""
        return self.options.border

    @property
    def never_ends(self) -> bool:
        """Whether the model has an embedding for none of the tokens that would end a generation."""
        return not any(map(self._admission.knows, self._generator.eos))

    def token_counts(self, context: str, continuation: str) -> tuple[int, int] | None:
        """How many tokens the context and the continuation of a scored pair have.

        An empty context counts as its stand-in of one token; a text scored by `loglikelihood_rolling` is the
        continuation of an empty context. None where the pair has not been scored by this LM.
        """
        return self._admission.lengths((context, continuation))

    def excluded(self, arguments: Sequence[Any]) -> bool:
        """Whether a request with these arguments was too long for the model and was not put to it.

        Its answer is then no answer: a log-likelihood that is not a number, or an empty text. Never so unless
        `too_long` is "exclude".
        """
        return self._admission.is_excluded(arguments)

    def describe(self) -> dict[str, Any]:
        """What is known of the model, for a manifest."""
        return {
            "fingerprint": self.fingerprint,
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "device": str(self.model.device),
            "exactness": self.exactness.summary(),
        }

    # Requests ---------------------------------------------------------------------------------------

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[Answer]:
        """Log-likelihood (nats) of each continuation after its context, and whether it is the greedy one.

        Not a number for pairs that were too long and excluded.

        Raises:
            TooLongError: A pair is longer than `max_length` and `too_long` is "error"; nothing was forwarded.
            RunError: A continuation has no tokens of its own, a log-likelihood is not finite, or memory
                ran out.
        """
        pairs = [tuple(request.args) for request in requests]
        return self._answer("Scoring", requests, self._likelihoods.of_pairs(pairs))

    def _loglikelihood_tokens(self, requests: Sequence[Encoded], **kwargs: Any) -> list[Answer]:
        return self._answer("Scoring", requests, self._likelihoods.of_ids(requests))

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood (nats) of each text, every token predicted once.

        A text longer than `max_length` is cut into windows as lm-eval does it. The first predicts
        `max_length` tokens, each further one `rolling_stride` (`max_length` where not given) after as many
        tokens as fit before them; the last predicts the rest and is moved back to be full too.

        Raises:
            RunError: A log-likelihood is not finite, or memory ran out.
        """
        texts = [request.args[0] for request in requests]
        batches = self._likelihoods.of_texts(texts, self.options.rolling_stride)
        return self._answer("Scoring texts", requests, batches)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Text that the model writes after each prompt, cut before the first stop string.

        What prompts have in common is read once, where the model was found fit for that, and their branches
        are decoded together without padding; sampled ones each from its own seed, so that no result depends
        on its neighbours. Otherwise greedy requests of equal prompt length and equal settings are generated
        together, sampled ones alone.

        Empty after prompts that were too long and excluded.

        Raises:
            TooLongError: A prompt and its `max_gen_toks` do not fit into `max_length` and `too_long` is
                "error"; nothing was generated.
            RequestError: A generation setting is unknown.
            RunError: Memory ran out.
        """
        if self.never_ends:
            log.warning("%s: %s", self.name, NEVER_ENDS)
        prompts = [tuple(request.args)[:2] for request in requests]
        batches = self._generations.of_prompts(prompts, self.options.seed)
        texts = self._answer("Generating", requests, batches)
        for request, text in zip(requests, texts, strict=True):
            if text is None:
                self._admission.exclude(request.args)
        return [text or "" for text in texts]

    def _answer(
        self, description: str, requests: Sequence[Any], batches: Iterable[Mapping[int, T]]
    ) -> list[T]:
        """Run through batches that are not begun yet, with progress, time and count.

        Raises:
            RequestError: The model is in training mode.
        """
        if self.model.training:
            raise RequestError(
                f"{self.name} is in training mode, in which dropout makes answers random. Call model.eval() "
                "before evaluating it."
            )
        with (
            self._meter.clock(),
            exact_states(self.model),
            reporting(self._progress, description) as report,
        ):
            answers = collect(batches, len(requests), report)
            self._meter.count(requests=len(requests))
        return answers
