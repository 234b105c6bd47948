"""`python -m benchmarks.ruler --data DIR`: how long the items of RULER and of the phonebook take to make.

DIR is searched for text (`*.txt` anywhere below): a tokenizer is trained on it, and documents and questions
for `qa_1` and `qa_2` are cut from it, in the formats of SQuAD and HotpotQA, unless files of these are named.
No model is loaded. `seconds` is processor time of all threads, so that a busy machine does not count;
`seconds_wall` is what the clock said. Training the tokenizer is in neither.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

from archbench.tasks.lengths import TokenCounter
from archbench.tasks.phonebook.items import Layout, items_by_length
from archbench.tasks.phonebook.prompts import FORMATS
from archbench.tasks.ruler.subtasks import Sources, Task, items
from benchmarks.command import parser_of, print_results
from benchmarks.models import VOCAB, make_tokenizer

_PARAGRAPH = 120
"""Words of a paragraph, about as in SQuAD."""
_BESIDE = 10
"""Documents that come with a question, as in HotpotQA."""


def paragraphs(data: Path) -> list[str]:
    """The text below a folder, cut into paragraphs of equal length; none comes twice."""
    words = [word for path in sorted(data.rglob("*.txt")) for word in path.read_text("utf-8").split()]
    starts = range(0, len(words) - _PARAGRAPH, _PARAGRAPH)
    return list(dict.fromkeys(" ".join(words[at : at + _PARAGRAPH]) for at in starts))


def write_files(data: Path, folder: Path, questions: int) -> Sources:
    """Files in the formats of SQuAD and HotpotQA: each question asks for a paragraph's last word.

    Args:
        data: Folder with text.
        folder: Where to write the files.
        questions: About how many for HotpotQA, whose file has every document many times.
    """
    texts = paragraphs(data)
    asked = [(f"What ends: {' '.join(text.split()[:8])} ...?", text.split()[-1]) for text in texts]
    squad = [
        {"context": text, "qas": [{"question": question, "answers": [{"text": answer}]}]}
        for text, (question, answer) in zip(texts, asked, strict=True)
    ]
    articles = [{"paragraphs": squad[at : at + _BESIDE]} for at in range(0, len(squad), _BESIDE)]
    hotpot = []
    for at in range(0, len(texts) - _BESIDE + 1, max(1, len(texts) // questions)):
        context = [[f"Text {number}", [texts[number]]] for number in range(at, at + _BESIDE)]
        facts = [[f"Text {at}", 0], [f"Text {at + 1}", 0]]
        question, answer = asked[at]
        hotpot.append({"question": question, "answer": answer, "context": context, "supporting_facts": facts})
    (folder / "squad.json").write_text(json.dumps({"data": articles}), encoding="utf-8")
    (folder / "hotpotqa.json").write_text(json.dumps(hotpot), encoding="utf-8")
    return Sources(None, str(folder / "squad.json"), str(folder / "hotpotqa.json"))


def timed(
    work: str, length: int, wanted: int, count: TokenCounter, make: Callable[[], Iterator[dict[str, Any]]]
) -> dict[str, Any]:
    """Make items and say how long that took, and how long they are."""
    wall, processor = time.perf_counter(), time.process_time()
    made = list(make())
    seconds, seconds_wall = time.process_time() - processor, time.perf_counter() - wall
    sizes = [count(item["prompt"]) for item in made[:: max(1, len(made) // 20)]]
    if len(made) != wanted or max(sizes) > length:
        raise RuntimeError(f"{work}: {len(made)} items of up to {max(sizes)} tokens were made")
    return {
        "work": work,
        "length": length,
        "items": len(made),
        "seconds": round(seconds, 2),
        "seconds_wall": round(seconds_wall, 2),
        "tokens_mean": round(sum(sizes) / len(sizes)),
    }


def run(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Every task of RULER at one length, then a phonebook of every format at another."""
    tokenizer = make_tokenizer(arguments.data, vocab=arguments.vocab)
    vocab = {"vocab": len(tokenizer)}
    count, length, samples = TokenCounter(tokenizer), arguments.length, arguments.samples
    total = {"seconds": 0.0, "seconds_wall": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        sources = write_files(arguments.data, Path(folder), 2 * samples)
        if arguments.squad and arguments.hotpotqa:
            sources = Sources(None, arguments.squad, arguments.hotpotqa)
        for task in arguments.tasks:
            made = partial(items, task, 0, length, samples, sources, count)
            result = timed(f"ruler {task}", length, samples, count, made)
            total = {name: round(before + result[name], 2) for name, before in total.items()}
            yield result | vocab
    yield {"work": "ruler in all", "length": length, "items": samples * len(arguments.tasks)} | total | vocab
    for form in FORMATS:
        size = arguments.phonebook
        made = partial(items_by_length, 0, form, size, 1, Layout(), count)
        yield timed(f"phonebook {form}", size, Layout().count, count, made) | vocab


def main(argv: Sequence[str] | None = None) -> None:
    """Run and print."""
    parser = parser_of("ruler", __doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with text")
    parser.add_argument("--tasks", nargs="+", default=list(get_args(Task)), choices=get_args(Task))
    parser.add_argument("--length", type=int, default=4096, help="tokens of RULER's items")
    parser.add_argument("--samples", type=int, default=500, help="items of each of RULER's tasks")
    parser.add_argument("--phonebook", type=int, default=131072, help="tokens of the phonebooks")
    parser.add_argument("--squad", help="file of SQuAD, with --hotpotqa")
    parser.add_argument("--hotpotqa", help="file of HotpotQA, with --squad")
    parser.add_argument("--vocab", type=int, default=VOCAB)
    arguments = parser.parse_args(argv)
    print_results(run(arguments), arguments.json)


if __name__ == "__main__":
    main()
