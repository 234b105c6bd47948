"""Generate on a trie: what prompts share is read once, and what goes on from it is decoded together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archbench.engine.generation.decoding import Decoder
from archbench.engine.generation.generate import Generator
from archbench.engine.generation.jobs import Generated, Job
from archbench.engine.scoring.batching import Budget
from archbench.engine.scoring.forward import Scorer
from archbench.engine.sharing.exactness import Exactness
from archbench.engine.sharing.forks import PAST, Costs, Subtree
from archbench.engine.sharing.held import Held
from archbench.engine.sharing.trie import Trie
from archbench.engine.sharing.walk import Scored, Walk
from archbench.engine.usage import Meter

# Token ids end below this. A prompt's last token is never held, since only its logits predict what follows;
# in the trie a number of the generation's own stands for it, so that each is a path.
_ENDINGS = 2**31

# An answer is usually over long before its limit.
_USUAL_ANSWER = 16


def generate_on_trie(
    jobs: Sequence[Job],
    scorer: Scorer,
    generator: Generator,
    budget: Budget,
    found: Exactness,
    meter: Meter,
) -> Iterator[dict[Job, Generated]]:
    """Make generations, each distinct prefix of their prompts read about once.

    Args:
        jobs: What to generate, all different.
        scorer: What runs the forward passes.
        generator: Has the tokenizer and the tokens that end a generation.
        budget: Tokens that one forward pass may hold, and memory for held prefixes. The states of a batch of
            branches stay within that memory too, or within the tokens if these take more.
        found: What the model was found fit for; some of its prefixes may be held.
        meter: Counts the work before its generations are yielded.

    Yields:
        The generations of every batch.

    Raises:
        RunError: Memory ran out on a single generation.
    """
    trie = Trie([((*job.prompt[:-1], _ENDINGS + index), (0,)) for index, job in enumerate(jobs)])
    by_path = {answers[0][0]: job for answers, job in zip(trie.answers, jobs, strict=True)}
    decoder = Decoder(scorer, generator.codec, generator.eos, in_place=found.in_place)
    steps = min(_USUAL_ANSWER, max(job.max_new for job in jobs))
    walk = Walk(trie, scorer, budget, found, meter, steps=steps)
    costs = walk.costs
    assert costs is not None, "prefixes may be held"

    def branches(
        parent: Held | None, leaves: Sequence[Subtree], scored: Sequence[Scored]
    ) -> Iterator[dict[Job, Generated]]:
        depth = parent.depth if parent else 0

        def work(batch: Sequence[Subtree]) -> tuple[list[Generated], int]:
            return decoder.decode(
                [by_path[leaf.first] for leaf in batch],
                past=walk.past(parent, [leaf.row for leaf in batch]),
                stepwise=costs.stepwise,
            )

        def cost(leaf: Subtree) -> int:
            return len(by_path[leaf.first].prompt) - depth + int(PAST * depth)

        for group in _batches(leaves, by_path, parent, budget, costs, in_place=decoder.in_place):
            for batch, (generations, padded) in budget.run(group, cost, work):
                made = {by_path[leaf.first]: one for leaf, one in zip(batch, generations, strict=True)}
                forwarded = sum(len(job.prompt) - depth + one.tokens - 1 for job, one in made.items())
                meter.count(tokens_forwarded=forwarded, tokens_padded=padded, batches=1)
                yield made

    return walk.visit(branches)


def _batches(
    leaves: Sequence[Subtree],
    jobs: dict[int, Job],
    parent: Held | None,
    budget: Budget,
    costs: Costs,
    *,
    in_place: bool,
) -> Iterator[list[Subtree]]:
    """Rows to decode together, longest prompts first, as many as there is memory for.

    Where they attend to one prefix `in_place`, it takes no memory of theirs.
    """
    ordered = sorted(leaves, key=lambda leaf: (-len(jobs[leaf.first].prompt), leaf.first))
    spare = costs.cache_bytes - (parent.chain if parent else 0)
    for group in _alike(ordered, jobs):
        held = parent.depth if parent and in_place and len({leaf.row for leaf in group}) == 1 else 0
        longest = max(len(jobs[leaf.first].prompt) + jobs[leaf.first].max_new for leaf in group)
        fitting = max(1, budget.tokens // longest, int(spare / max(costs.held(longest - held), 1)))
        parts = -(-len(group) // fitting)
        for part in range(parts):
            yield group[part * len(group) // parts : (part + 1) * len(group) // parts]


def _alike(ordered: Sequence[Subtree], jobs: dict[int, Job]) -> Iterator[list[Subtree]]:
    """Cut rows, longest prompts first, where waiting for the longest takes more steps than decoding anew."""
    group: list[Subtree] = []
    for leaf in ordered:
        job = jobs[leaf.first]
        if group and len(jobs[group[0].first].prompt) - len(job.prompt) > job.max_new:
            yield group
            group = []
        group.append(leaf)
    if group:
        yield group
