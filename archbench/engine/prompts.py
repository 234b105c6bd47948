"""Plan generations: read each request's settings, put equal lengths together, answer a prompt once."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text

from archbench.engine.batching import Budget
from archbench.engine.generation import Generated, Generator
from archbench.engine.text import Codec
from archbench.engine.usage import Report
from archbench.errors import RequestError, did_you_mean

_SETTINGS = (
    "do_sample",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repetition_penalty",
    "no_repeat_ngram_size",
)


class Job(NamedTuple):
    """One generation to make and the requests that it answers.

    Attributes:
        prompt: Token ids of the prompt.
        max_new: At most this many new tokens.
        stop: Strings that end it.
        options: Sampling settings as (name, value) pairs.
        seed: Seed of a sampled generation, None for a greedy one.
    """

    prompt: tuple[int, ...]
    max_new: int
    stop: tuple[str, ...]
    options: tuple[tuple[str, Any], ...]
    seed: int | None


def answer_prompts(
    requests: Sequence[tuple[str, dict[str, Any]]],
    *,
    generator: Generator,
    codec: Codec,
    budget: Budget,
    check: Callable[[str, Sequence[int], int], None],
    default_new_tokens: int,
    seed: int,
    report: Report,
) -> tuple[list[str], dict[str, int]]:
    """Generate for lm-eval's `(prompt, gen_kwargs)` requests.

    Args:
        requests: The requests.
        generator: What generates.
        codec: The tokenizer.
        budget: Tokens that may be held at once; a generation takes up its prompt and its `max_new`.
        check: Called before anything is generated with (which request, prompt ids, length that has to fit).
        default_new_tokens: `max_gen_toks` of a request without one.
        seed: Of sampled generations, together with the prompt, the settings and how often both came before.
        report: Called with (requests done, requests in all).

    Returns:
        The texts, and counts of tokens and batches for `Usage`.

    Raises:
        RequestError: A generation setting is unknown.
        RunError: Memory ran out.
    """
    jobs: dict[Job, list[int]] = {}
    repeats: Counter[str] = Counter()
    for index, (prompt, settings) in enumerate(requests):
        max_new, stop, options = _read_settings(index, settings, codec, default_new_tokens)
        ids = codec.encode_prompt(prompt)
        check(f"Request {index} (prompt and max_gen_toks {max_new})", ids, len(ids) + max_new)
        job_seed = None
        if options.get("do_sample"):
            identity = json.dumps([seed, prompt, max_new, stop, sorted(options.items())])
            job_seed = _seed_from(f"{identity}{repeats[identity]}")
            repeats[identity] += 1
        job = Job(tuple(ids), max_new, tuple(stop), tuple(sorted(options.items())), job_seed)
        jobs.setdefault(job, []).append(index)

    texts = [""] * len(requests)
    counts = Counter(tokens_requested=0, tokens_forwarded=0, tokens_padded=0, batches=0)
    finished = 0
    for group in _groups(jobs):
        first = group[0]

        def work(batch: Sequence[Job], first: Job = first) -> list[Generated]:
            return generator.generate(
                [job.prompt for job in batch],
                max_new=first.max_new,
                stop=first.stop,
                options=dict(first.options),
                seed=first.seed,
            )

        for batch, generations in budget.run(group, lambda job: len(job.prompt) + job.max_new, work):
            longest = max(generation.tokens for generation in generations)
            for job, generation in zip(batch, generations, strict=True):
                text = postprocess_generated_text(generation.text, list(job.stop), None)
                for index in jobs[job]:
                    texts[index] = text
                # The last token generated is never fed back.
                tokens = len(job.prompt) + generation.tokens - 1
                counts["tokens_requested"] += tokens * len(jobs[job])
                counts["tokens_forwarded"] += tokens
                counts["tokens_padded"] += longest - generation.tokens
                finished += len(jobs[job])
            counts["batches"] += 1
            report(finished, len(requests))
    return texts, dict(counts)


def _groups(jobs: dict[Job, list[int]]) -> list[list[Job]]:
    """Jobs that can be generated together, the costliest group first; a sampled job is a group of its own."""
    groups: dict[tuple[Any, ...], list[Job]] = {}
    for job in sorted(jobs, key=lambda job: (-len(job.prompt) - job.max_new, job.prompt)):
        key = (len(job.prompt), *job[1:], job.prompt if job.seed is not None else None)
        groups.setdefault(key, []).append(job)
    return list(groups.values())


def _read_settings(
    index: int, settings: dict[str, Any], codec: Codec, default_new_tokens: int
) -> tuple[int, list[str], dict[str, Any]]:
    """A request's new-token limit, stop strings (end of text included) and sampling settings."""
    options = dict(normalize_gen_kwargs(settings, default_new_tokens))
    max_new = int(options.pop("max_gen_toks"))
    end = codec.decode([codec.eos_token_id], skip_special_tokens=False)
    stop = handle_stop_sequences(options.pop("until", None), eos=end)
    if options.get("num_beams") == 1:
        del options["num_beams"]
    for name in options:
        if name not in _SETTINGS:
            raise RequestError(
                f"Request {index}: the generation setting '{name}' is not supported. "
                f"{did_you_mean(name, (*_SETTINGS, 'until', 'max_gen_toks'), label='Supported settings')}"
            )
    if max_new < 1:
        raise RequestError(f"Request {index}: max_gen_toks is {max_new}; it must be at least 1.")
    if not options["do_sample"]:
        return max_new, stop, {"do_sample": False} | _penalties(options)
    if float(options.get("temperature", 1.0)) <= 0.0:
        raise RequestError(
            f"Request {index}: do_sample with temperature 0 contradicts itself; set do_sample: false."
        )
    return max_new, stop, options


def _penalties(options: dict[str, Any]) -> dict[str, Any]:
    """Settings that count in greedy generation too."""
    return {name: options[name] for name in ("repetition_penalty", "no_repeat_ngram_size") if name in options}


def _seed_from(identity: str) -> int:
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big") >> 1
