"""RULER: every task at the lengths where little fits, and where very much does."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from archbench.data.tokenizer import train_tokenizer
from archbench.draw import Draw
from archbench.errors import RequestError
from archbench.tasks.lengths import TokenCounter
from archbench.tasks.phonebook.pool import draw_entries
from archbench.tasks.ruler import scoring, vocabulary
from archbench.tasks.ruler.fitting import TooShort
from archbench.tasks.ruler.haystacks import ESSAYS, NOISE, essay_sentences
from archbench.tasks.ruler.subtasks import TASKS, Sources, items
from tests.tasks.ruler_files import holds, read, write_hotpotqa, write_squad


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    folder = tmp_path_factory.mktemp("qa")
    return Sources(None, write_squad(folder / "squad.json"), write_hotpotqa(folder / "hotpotqa.json"))


@pytest.mark.parametrize("task", [task for task in TASKS if task not in ("qa_1", "qa_2")])
def test_bytes_count_too(task: Any, byte_counter: TokenCounter) -> None:
    for item in items(task, 0, 1024, 2, Sources(), byte_counter):
        holds(item)
        assert len(item["prompt"].encode()) + item["room"] <= 1024
    with pytest.raises(RequestError, match=rf"{task} at 200 tokens: the shortest text takes \d+ tokens"):
        next(items(task, 0, 200, 1, Sources(), byte_counter))


def test_256_tokens_are_enough_for_one_needle(counter: TokenCounter) -> None:
    for task in ("niah_single_1", "niah_single_2", "niah_multikey_2"):
        (item,) = items(task, 0, 256, 1, Sources(), counter)  # type: ignore[arg-type]
        holds(item)
        assert counter(item["prompt"]) + item["room"] <= 256


@pytest.mark.parametrize("task", TASKS)
def test_at_256_tokens_a_task_holds_or_tells_its_shortest_length(
    task: Any, sources: Sources, counter: TokenCounter
) -> None:
    fits_or_tells(task, sources, counter)


@pytest.mark.parametrize("task", TASKS)
def test_at_256_bytes_a_task_holds_or_tells_its_shortest_length(
    task: Any, sources: Sources, byte_counter: TokenCounter
) -> None:
    fits_or_tells(task, sources, byte_counter)


def fits_or_tells(task: Any, sources: Sources, counter: TokenCounter) -> None:
    """Twelve items of 256 tokens can be made, or of the length that the error names."""
    length, samples, refusal = 256, 12, None
    try:
        made = list(items(task, 0, length, samples, sources, counter))
    except TooShort as error:
        refusal = error
    if refusal is not None:
        assert refusal.task == task
        assert refusal.enough > length
        assert re.search(rf"(?<!\d){refusal.enough} tokens", str(refusal))
        length = refusal.enough
        made = list(items(task, 0, length, samples, sources, counter))
    assert len(made) == samples
    for item in made:
        holds(item)
        assert counter(item["prompt"]) + item["room"] <= length


@pytest.fixture(scope="module")
def large_counter() -> TokenCounter:
    """Counts with a BPE of 16,384 entries that knows the words of needles and runs of digits."""
    draw, names = Draw("large"), islice(draw_entries(Draw("train")), 4000)
    lines = [
        " ".join(essay_sentences(ESSAYS)),
        " ".join(NOISE),
        *(f"{name}: {number}" for name, number in names),
        *(f"{one}-{draw.pick(vocabulary.NOUNS)}" for one in vocabulary.ADJECTIVES for _ in range(20)),
        *(f"{vocabulary.draw_number(draw)} {vocabulary.draw_uuid(draw)}" for _ in range(6000)),
    ]
    tokenizer = train_tokenizer(lines, 16_384)
    assert len(tokenizer) == 16_384
    return TokenCounter(tokenizer)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_at_256_tokens_of_a_large_tokenizer(task: Any, sources: Sources, large_counter: TokenCounter) -> None:
    fits_or_tells(task, sources, large_counter)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_a_million_tokens(task: Any, tmp_path: Path, large_counter: TokenCounter) -> None:
    files = Sources(None, write_squad(tmp_path / "s", 6000), write_hotpotqa(tmp_path / "h", 3600))
    (item,) = items(task, 0, 2**20, 1, files, large_counter)
    assert 0.9 * 2**20 < large_counter(item["prompt"]) + item["room"] <= 2**20
    assert scoring.process_results(item, [read(item["prompt"])])["string_match"] == 1
