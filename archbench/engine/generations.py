"""Answer requests for text: read each one's settings, find what was answered before, generate the rest."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from lm_eval.models.utils import handle_stop_sequences

from archbench.answers import SKIP, answer_of
from archbench.engine.admission import Admission
from archbench.engine.generation.batches import generate_jobs
from archbench.engine.generation.generate import Generator
from archbench.engine.generation.jobs import Generated, Job
from archbench.engine.generation.settings import read_settings
from archbench.engine.scoring.batching import Budget
from archbench.engine.scoring.forward import Scorer
from archbench.engine.sharing.trie import Trie
from archbench.engine.store import Answers
from archbench.engine.usage import Meter

NEVER_ENDS = (
    "the end-of-text token is beyond the model's embedding, so that the model cannot write it: texts end "
    "only at stop strings or after max_gen_toks. The tokenizer may belong to another model."
)
"""The warning about generations where `ArchbenchLM.never_ends`."""

MAX_NEW_TOKENS = 256
"""New tokens of a generation whose request sets no limit."""


class Generations:
    """Texts that a model writes, for lm-eval's `(prompt, gen_kwargs)` requests."""

    def __init__(
        self,
        scorer: Scorer,
        generator: Generator,
        admission: Admission,
        answers: Answers,
        budget: Budget,
        meter: Meter,
    ) -> None:
        """For one model.

        Args:
            scorer: What runs forward passes where prefixes may be shared.
            generator: What generates where they may not.
            admission: Which inputs are put to the model.
            answers: What was generated before; new generations are kept there.
            budget: Tokens that may be held at once, and memory for held prefixes.
            meter: Counts the work.
        """
        self._scorer = scorer
        self._generator = generator
        self._admission = admission
        self._answers = answers
        self._budget = budget
        self._meter = meter

    def of_prompts(
        self, requests: Sequence[tuple[str, dict[str, Any]]], seed: int
    ) -> Iterator[dict[int, str | None]]:
        """Generate, each distinct prompt with the same settings once.

        The corrections of `cache.corrections.exact_states` have to be in force until the iterator is
        exhausted.

        Args:
            requests: The requests.
            seed: Of sampled generations, together with the prompt, the settings and how often both came
                before.

        Yields:
            Texts batch by batch, by the index of their request, once they are stored; None where a request
            is not put to the model.

        Raises:
            TooLongError: A request is too long and such are not excluded; nothing was generated.
            RequestError: A generation setting is unknown or has a value that it cannot have.
            RunError: Memory ran out.
        """
        jobs, refused = self._jobs(requests, seed)

        def texts(batch: dict[Job, Generated]) -> dict[int, str | None]:
            return {
                index: answer_of(made.text, job.stop, skip_white_space=job.skip_white_space)
                for job, made in batch.items()
                for index in jobs[job]
            }

        known = self._answers.generations(jobs)
        answered = texts(known)
        self._meter.count(requests_known=len(answered))
        if answered := answered | dict.fromkeys(refused):
            yield answered
        missing = [job for job in jobs if job not in known]
        self._meter.count(tokens_distinct=Trie([(job.prompt, (0,)) for job in missing]).distinct)
        for batch in generate_jobs(missing, self._scorer, self._generator, self._budget, self._meter):
            self._answers.keep_generations(batch)
            for job, made in batch.items():
                # The last token generated is never fed back.
                self._meter.count(
                    tokens_requested=(len(job.prompt) + made.tokens - 1) * len(jobs[job]),
                    tokens_distinct=made.tokens - 1,
                )
            yield texts(batch)

    def _jobs(
        self, requests: Sequence[tuple[str, dict[str, Any]]], seed: int
    ) -> tuple[dict[Job, list[int]], list[int]]:
        """What to generate with the indices of the requests it answers, and the requests that are refused."""
        codec = self._generator.codec
        end = codec.decode([codec.eos_token_id], skip_special_tokens=False)
        jobs: dict[Job, list[int]] = {}
        refused: list[int] = []
        repeats: Counter[str] = Counter()
        for index, (prompt, settings) in enumerate(requests):
            max_new, stop, options = read_settings(f"Request {index}", settings, MAX_NEW_TOKENS)
            stop = handle_stop_sequences(stop, eos=end)
            ids = codec.encode_prompt(prompt)
            what = f"Request {index} (prompt and max_gen_toks {max_new})"
            if not self._admission.admit(what, ids, len(ids) + max_new):
                refused.append(index)
                continue
            own_seed = None
            if options.get("do_sample"):
                identity = json.dumps([seed, prompt, max_new, stop, sorted(options.items())])
                own_seed = _seed_from(f"{identity}{repeats[identity]}")
                repeats[identity] += 1
            job = Job(
                tuple(ids),
                max_new,
                tuple(stop),
                tuple(sorted(options.items())),
                own_seed,
                bool(settings.get(SKIP)),
            )
            jobs.setdefault(job, []).append(index)
        return jobs, refused


def _seed_from(identity: str) -> int:
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big") >> 1
