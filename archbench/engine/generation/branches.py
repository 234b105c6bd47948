"""Generate on a trie: what prompts share is read once, and what goes on from it is decoded together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from archbench.engine.generation.decoding import Decoder
from archbench.engine.generation.generate import Generated, Job
from archbench.engine.scoring.batching import Budget
from archbench.engine.scoring.forward import Scorer
from archbench.engine.sharing.forks import PAST, Costs, Subtree
from archbench.engine.sharing.trie import Trie
from archbench.engine.sharing.walk import Held, Walk
from archbench.engine.usage import Count

# Token ids end below this. A prompt's last token is never held, since only its logits say what comes next; in
# the trie a number of the generation's own stands for it, so that each is a path.
_ENDINGS = 2**31

# An answer is usually over long before its limit.
_USUAL_ANSWER = 16


def generate_on_trie(
    jobs: Sequence[Job],
    *,
    scorer: Scorer,
    decoder: Decoder,
    budget: Budget,
    costs: Costs,
    done: Callable[[Sequence[Job], Sequence[Generated]], None],
    count: Count,
) -> None:
    """Make generations, each distinct prefix of their prompts read about once.

    Args:
        jobs: What to generate, all different.
        scorer: What computes shared prefixes.
        decoder: What decodes the rest.
        budget: Tokens that one forward pass may hold.
        costs: What decides which prefixes are held. The states of a batch of branches stay within its memory
            too, or within the budget's tokens if these take more.
        done: Called with every batch's jobs and generations.
        count: Told of tokens and batches as they are done, before `done` is.

    Raises:
        RunError: Memory ran out on a single generation.
    """
    trie = Trie([((*job.prompt[:-1], _ENDINGS + index), (0,)) for index, job in enumerate(jobs)])
    by_path = {answers[0][0]: job for answers, job in zip(trie.answers, jobs, strict=True)}
    steps = min(_USUAL_ANSWER, max(job.max_new for job in jobs))
    walk = Walk(
        trie,
        scorer,
        budget,
        costs._replace(apart=costs.forward * steps),
        row_cost=lambda tokens, positions: tokens,
        forward=costs.forward,
        beside=decoder.beside,
        count=count,
    )

    def branches(parent: Held | None, leaves: list[Subtree]) -> None:
        depth = parent.depth if parent else 0

        def work(batch: Sequence[Subtree]) -> tuple[list[Generated], int]:
            return decoder.decode(
                [by_path[leaf.first] for leaf in batch],
                past=walk.past(parent, [leaf.row for leaf in batch]),
                stepwise=costs.stepwise,
            )

        def cost(leaf: Subtree) -> int:
            return len(by_path[leaf.first].prompt) - depth + int(PAST * depth)

        for group in _batches(leaves, by_path, parent, budget, costs, beside=decoder.beside):
            for batch, (generations, padded) in budget.run(group, cost, work):
                made = [by_path[leaf.first] for leaf in batch]
                forwarded = sum(
                    len(job.prompt) - depth + generation.tokens - 1
                    for job, generation in zip(made, generations, strict=True)
                )
                count(tokens_forwarded=forwarded, tokens_padded=padded, batches=1)
                done(made, generations)

    walk.visit(branches, lambda path, place, score: None, lambda: None)


def _batches(
    leaves: Sequence[Subtree],
    jobs: dict[int, Job],
    parent: Held | None,
    budget: Budget,
    costs: Costs,
    *,
    beside: bool,
) -> Iterator[list[Subtree]]:
    """Rows to decode together, longest prompts first, as many as there is memory for.

    Where they may attend to one prefix `beside` their own tokens, it takes no memory of theirs.
    """
    ordered = sorted(leaves, key=lambda leaf: (-len(jobs[leaf.first].prompt), leaf.first))
    spare = costs.cache_bytes - (parent.chain if parent else 0)
    for group in _alike(ordered, jobs):
        held = parent.depth if parent and beside and len({leaf.row for leaf in group}) == 1 else 0
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
