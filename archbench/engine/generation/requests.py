"""Plan generations: read each request's settings, answer a prompt once, share what prompts have in common."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from lm_eval.models.utils import handle_stop_sequences

from archbench.answers import SKIP, answer_of
from archbench.engine.cache.corrections import exact_states
from archbench.engine.generation.branches import generate_on_trie
from archbench.engine.generation.decoding import Decoder
from archbench.engine.generation.generate import Generated, Generator, Job
from archbench.engine.scoring.batching import Budget
from archbench.engine.scoring.forward import Scorer
from archbench.engine.scoring.pairs import Settings, forward_tokens, sharing_costs
from archbench.engine.settings import read_settings
from archbench.engine.sharing.exactness import exactness
from archbench.engine.sharing.trie import Trie
from archbench.engine.store import Answers
from archbench.engine.text import Codec
from archbench.engine.usage import Count, Report


def answer_prompts(
    requests: Sequence[tuple[str, dict[str, Any]]],
    *,
    scorer: Scorer,
    generator: Generator,
    codec: Codec,
    budget: Budget,
    settings: Settings,
    answers: Answers,
    admit: Callable[[str, Sequence[int], int], bool],
    default_new_tokens: int,
    seed: int,
    report: Report,
    count: Count,
) -> list[str | None]:
    """Generate for lm-eval's `(prompt, gen_kwargs)` requests.

    Args:
        requests: The requests.
        scorer: What forwards where prefixes may be shared.
        generator: What generates where they may not.
        codec: The tokenizer.
        budget: Tokens that may be held at once; a generation takes up its prompt and its `max_new`.
        settings: Memory for shared prefixes, and limits of the model.
        answers: What is known of earlier generations; new ones are kept there.
        admit: Called before anything is generated with (which request, prompt ids, length that has to fit):
            whether to answer it.
        default_new_tokens: `max_gen_toks` of a request without one.
        seed: Of sampled generations, together with the prompt, the settings and how often both came before.
        report: Called with (requests done, requests in all).
        count: Told of tokens and batches as they are done, before `report` is called.

    Returns:
        The texts; None where a request is not answered.

    Raises:
        RequestError: A generation setting is unknown or has a value that it cannot have.
        RunError: Memory ran out.
    """
    end = codec.decode([codec.eos_token_id], skip_special_tokens=False)
    jobs: dict[Job, list[int]] = {}
    repeats: Counter[str] = Counter()
    refused = 0
    for index, (prompt, asked) in enumerate(requests):
        max_new, stop, options = read_settings(f"Request {index}", asked, default_new_tokens)
        stop = handle_stop_sequences(stop, eos=end)
        skip = bool(asked.get(SKIP))
        ids = codec.encode_prompt(prompt)
        if not admit(f"Request {index} (prompt and max_gen_toks {max_new})", ids, len(ids) + max_new):
            refused += 1
            continue
        job_seed = None
        if options.get("do_sample"):
            identity = json.dumps([seed, prompt, max_new, stop, sorted(options.items())])
            job_seed = _seed_from(f"{identity}{repeats[identity]}")
            repeats[identity] += 1
        job = Job(tuple(ids), max_new, tuple(stop), tuple(sorted(options.items())), job_seed, skip)
        jobs.setdefault(job, []).append(index)

    texts: list[str | None] = [None] * len(requests)
    finished = refused

    def take(job: Job, generation: Generated) -> None:
        nonlocal finished
        text = answer_of(generation.text, job.stop, skip_white_space=job.skip_white_space)
        for index in jobs[job]:
            texts[index] = text
        finished += len(jobs[job])

    def done(batch: Sequence[Job], generations: Sequence[Generated]) -> None:
        answers.keep_generations(batch, generations)
        for job, generation in zip(batch, generations, strict=True):
            take(job, generation)
            # The last token generated is never fed back.
            count(
                tokens_requested=(len(job.prompt) + generation.tokens - 1) * len(jobs[job]),
                tokens_distinct=generation.tokens - 1,
            )
        report(finished, len(requests))

    known = answers.generations(jobs)
    for job, generation in known.items():
        take(job, generation)
    count(requests_known=finished - refused)
    if finished:
        report(finished, len(requests))
    missing = [job for job in jobs if job not in known]
    count(tokens_distinct=Trie([(job.prompt, (0,)) for job in missing]).distinct)
    generate_jobs(missing, scorer, generator, codec, budget, settings, done, count)
    return texts


def generate_jobs(
    jobs: list[Job],
    scorer: Scorer,
    generator: Generator,
    codec: Codec,
    budget: Budget,
    settings: Settings,
    done: Callable[[Sequence[Job], Sequence[Generated]], None],
    count: Count,
) -> None:
    """Generate on a trie where the model was found fit for it, and with `model.generate` where not.

    Args:
        jobs: What to generate, all different.
        scorer: As for `answer_prompts`.
        generator: As for `answer_prompts`.
        codec: As for `answer_prompts`.
        budget: As for `answer_prompts`.
        settings: As for `answer_prompts`.
        done: Called with every batch's jobs and generations.
        count: As for `answer_prompts`.

    Raises:
        RunError: Memory ran out.
    """
    if not jobs:
        return
    with exact_states(scorer.model):
        found = exactness(scorer, limit=settings.limit, name=settings.name)
        if len(jobs) > 1:
            costs = sharing_costs(found, forward_tokens(scorer), budget, settings)
            if costs is not None:
                decoder = Decoder(scorer, codec, generator.eos, beside=found.beside)
                generate_on_trie(
                    jobs, scorer=scorer, decoder=decoder, budget=budget, costs=costs, done=done, count=count
                )
                return
    for group in _groups(jobs, batched=found.batched):
        first = group[0]

        def work(batch: Sequence[Job], first: Job = first) -> list[Generated]:
            return generator.generate(
                [job.prompt for job in batch],
                max_new=first.max_new,
                stop=first.stop,
                options=dict(first.options),
                seed=first.seed,
                skip_white_space=first.skip_white_space,
                use_cache=found.continues,
            )

        for batch, generations in budget.run(group, lambda job: len(job.prompt) + job.max_new, work):
            longest = max(generation.tokens for generation in generations)
            again = not found.continues
            fed = [_fed(len(first.prompt), one.tokens, again=again) for one in generations]
            padded = len(fed) * _fed(len(first.prompt), longest, again=again) - sum(fed)
            count(tokens_forwarded=sum(fed), tokens_padded=padded, batches=1, passes=longest)
            done(batch, generations)


def _fed(prompt: int, new: int, *, again: bool) -> int:
    """Tokens that writing `new` ones feeds to a model: the last never, and all before each one `again`."""
    return prompt * new + new * (new - 1) // 2 if again else prompt + new - 1


def _groups(jobs: list[Job], *, batched: bool) -> list[list[Job]]:
    """Jobs that `Generator` can make together, the costliest group first; a sampled one is on its own."""
    groups: dict[tuple[Any, ...], list[Job]] = {}
    for job in sorted(jobs, key=lambda job: (-len(job.prompt) - job.max_new, job.prompt)):
        alone = job.seed is not None or not batched
        groups.setdefault((len(job.prompt), *job[1:], job.prompt if alone else None), []).append(job)
    return list(groups.values())


def _seed_from(identity: str) -> int:
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big") >> 1
