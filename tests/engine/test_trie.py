"""A trie holds every prefix once; forks cover every path once and pay."""

from __future__ import annotations

import itertools
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from archbench.engine.sharing.forks import Costs, Forks, Subtree
from archbench.engine.sharing.trie import Trie

IDS = st.lists(st.integers(0, 2), min_size=1, max_size=7)
PAIRS = st.lists(st.tuples(IDS, IDS), min_size=1, max_size=25)


def inputs(pairs: list[tuple[list[int], list[int]]]) -> list[tuple[int, ...]]:
    return [(*context, *continuation[:-1]) for context, continuation in pairs]


@settings(deadline=None, max_examples=40)
@given(pairs=PAIRS)
def test_answers_are_the_requests_own_tokens_on_paths_that_begin_with_their_input(pairs: list) -> None:
    trie = Trie(pairs)
    prefixes = {tokens[:end] for tokens in inputs(pairs) for end in range(1, len(tokens) + 1)}
    assert trie.distinct == len(prefixes)
    assert trie.tokens_requested == sum(map(len, inputs(pairs)))
    for (context, continuation), tokens, answer in zip(pairs, inputs(pairs), trie.answers, strict=True):
        targets = [trie.targets[path][place] for path, place in answer]
        assert [target.token for target in targets] == continuation
        assert [target.position for target in targets] == [
            len(context) - 1 + i for i in range(len(continuation))
        ]
        for (path, _), target in zip(answer, targets, strict=True):
            seen = target.position + 1
            assert tuple(trie.paths[path][:seen].tolist()) == tokens[:seen]


@settings(deadline=None, max_examples=40)
@given(pairs=PAIRS)
def test_a_question_about_the_same_tokens_is_asked_once(pairs: list) -> None:
    trie = Trie(pairs)
    asked = [
        (tuple(path[: target.position + 1].tolist()), target.token)
        for path, targets in zip(trie.paths, trie.targets, strict=True)
        for target in targets
    ]
    assert len(asked) == len(set(asked))


def costs(**changes: float) -> Costs:
    defaults = Costs(
        forward=0.0, stepwise=False, row_tokens=10**6, fixed_bytes=0, token_bytes=1, cache_bytes=10**9
    )
    return defaults._replace(**changes)


@settings(deadline=None, max_examples=40)
@given(pairs=PAIRS, forward=st.sampled_from([0.0, 3.0]), room=st.sampled_from([5, 20, 10**6]))
def test_every_path_is_reached_once_and_goes_on_from_its_own_prefix(
    pairs: list, forward: float, room: int
) -> None:
    trie = Trie([([7] * 40 + context, continuation) for context, continuation in pairs])
    forks = Forks(trie, costs(forward=forward, cache_bytes=room * 10))
    reached = []
    stack = [(0, [Subtree(0, len(trie.paths), 0)], 0, [()])]
    while stack:
        depth, subtrees, bytes_held, states = stack.pop()
        assert bytes_held <= room * 10, "forks are made only where there is memory for them"
        leaves, further = forks.after(depth, subtrees, bytes_held)
        for leaf in leaves:
            assert tuple(trie.paths[leaf.first][:depth].tolist()) == states[leaf.row]
            reached.append(leaf.first)
        for fork in further:
            assert depth < fork.depth
            held = []
            for one in fork.subtrees:
                paths = [tuple(path[: fork.depth].tolist()) for path in trie.paths[one.first : one.end]]
                assert set(paths) == {paths[0]}
                assert paths[0][:depth] == states[one.row]
                held.append(paths[0])
            below = [one._replace(row=row) for row, one in enumerate(fork.subtrees)]
            stack.append((fork.depth, below, bytes_held + len(held) * fork.depth, held))
    assert sorted(reached) == list(range(len(trie.paths)))


def mmlu_like(questions: int, options: int) -> Trie:
    pairs = []
    for subject in range(3):
        shots = [subject] * (300 + 50 * subject)
        for question in range(questions):
            stem = [*shots, 10 + question, *([5] * (30 + question % 23))]
            pairs += [(stem, [1000 + option, 6, 6, 6]) for option in range(options)]
    return Trie(pairs)


def forwarded(trie: Trie, given: Costs) -> int:
    forks = Forks(trie, given)
    total, stack = 0, [(0, [Subtree(0, len(trie.paths), 0)], 0)]
    while stack:
        depth, subtrees, held = stack.pop()
        leaves, further = forks.after(depth, subtrees, held)
        total += sum(len(trie.paths[leaf.first]) - depth for leaf in leaves)
        for fork in further:
            total += len(fork.subtrees) * (fork.depth - depth)
            below = [one._replace(row=row) for row, one in enumerate(fork.subtrees)]
            stack.append((fork.depth, below, held + len(below) * given.held(fork.depth)))
    return total


def test_few_shot_questions_cost_little_more_than_their_distinct_tokens() -> None:
    for options in (1, 4):
        trie = mmlu_like(60, options)
        for forward, factor in ((16.0, 1.15), (512.0, 1.6)):
            assert forwarded(trie, costs(forward=forward, row_tokens=8192)) <= factor * trie.distinct
    assert forwarded(trie, costs(cache_bytes=1)) == trie.tokens_requested


def test_more_memory_never_costs_much_and_no_memory_costs_more_than_none() -> None:
    trie = mmlu_like(20, 4)
    prefix = max(map(len, trie.paths))
    sizes = [0.5, 1.1, 1.5, 2.2, 3, 4, 6, 9, 12, 20, 60, 10**6]
    found = [forwarded(trie, costs(cache_bytes=int(size * prefix))) for size in sizes]
    assert max(found) <= trie.tokens_requested
    assert all(more <= 1.25 * less for less, more in itertools.pairwise(found))
    assert found[-1] <= 1.15 * trie.distinct


def test_feeding_token_by_token_shares_only_what_is_worth_it() -> None:
    trie = Trie([([1] * 20 + [i], [2] * 30) for i in range(5)])
    assert forwarded(trie, costs(forward=16.0)) < trie.tokens_requested
    assert forwarded(trie, costs(forward=16.0, stepwise=True)) == trie.tokens_requested
    long = Trie([([1] * 2000 + [i], [2] * 8) for i in range(50)])
    assert forwarded(long, costs(forward=16.0, stepwise=True)) < 1.3 * long.distinct


def test_a_deep_chain_of_branches_is_no_recursion() -> None:
    chain = [([1] * depth + [2], [3]) for depth in range(1, 3000)]
    trie = Trie(chain)
    assert forwarded(trie, costs()) < trie.tokens_requested / 20
    assert math.isclose(trie.distinct, 2999 + 2999, abs_tol=5)
