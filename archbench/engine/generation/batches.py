"""Generate on a trie where a model was found fit for it, and with `model.generate` where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from archbench.engine.generation.branches import generate_on_trie
from archbench.engine.generation.generate import Generator
from archbench.engine.generation.jobs import Generated, Job
from archbench.engine.scoring.batching import Budget
from archbench.engine.scoring.forward import Scorer
from archbench.engine.sharing.costs import sharing_costs
from archbench.engine.sharing.exactness import Exactness, exactness
from archbench.engine.usage import Meter


def generate_jobs(
    jobs: Sequence[Job], scorer: Scorer, generator: Generator, budget: Budget, meter: Meter
) -> Iterator[dict[Job, Generated]]:
    """Make generations.

    The corrections of `cache.corrections.exact_states` have to be in force until the iterator is exhausted.

    Args:
        jobs: What to generate, all different.
        scorer: What runs forward passes where prefixes may be shared.
        generator: What generates where they may not.
        budget: Tokens that may be held at once (a generation takes up its prompt and its `max_new`), and
            memory for held prefixes.
        meter: Counts the work before its generations are yielded.

    Yields:
        The generations of every batch.

    Raises:
        RunError: Memory ran out.
    """
    if not jobs:
        return
    found = exactness(scorer)
    if len(jobs) > 1 and sharing_costs(found, scorer, budget) is not None:
        yield from generate_on_trie(jobs, scorer, generator, budget, found, meter)
    else:
        yield from _generate_apart(jobs, generator, budget, found, meter)


def _generate_apart(
    jobs: Sequence[Job], generator: Generator, budget: Budget, found: Exactness, meter: Meter
) -> Iterator[dict[Job, Generated]]:
    """Make generations with `model.generate`, those of one prompt length and settings together."""
    again = not found.continues

    def work(batch: Sequence[Job]) -> list[Generated]:
        return generator.generate(batch, use_cache=found.continues)

    for group in _groups(jobs, batched=found.batched):
        for batch, generations in budget.run(group, lambda job: len(job.prompt) + job.max_new, work):
            prompt = len(batch[0].prompt)
            longest = max(generation.tokens for generation in generations)
            fed = [_fed(prompt, one.tokens, again=again) for one in generations]
            padded = len(fed) * _fed(prompt, longest, again=again) - sum(fed)
            meter.count(tokens_forwarded=sum(fed), tokens_padded=padded, batches=1, passes=longest)
            yield dict(zip(batch, generations, strict=True))


def _fed(prompt: int, new: int, *, again: bool) -> int:
    """Tokens that writing `new` ones feeds to a model: the last never, and all before each one `again`."""
    return prompt * new + new * (new - 1) // 2 if again else prompt + new - 1


def _groups(jobs: Sequence[Job], *, batched: bool) -> list[list[Job]]:
    """Jobs that `Generator` can make together, the costliest group first; a sampled one is on its own."""
    groups: dict[tuple[Any, ...], list[Job]] = {}
    for job in sorted(jobs, key=lambda job: (-len(job.prompt) - job.max_new, job.prompt)):
        alone = job.seed is not None or not batched
        groups.setdefault((len(job.prompt), *job[1:], job.prompt if alone else None), []).append(job)
    return list(groups.values())
