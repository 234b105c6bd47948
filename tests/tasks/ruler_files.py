"""Small files in the formats of SQuAD and HotpotQA, and readers who know how RULER's prompts are made."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from archbench.draw import Draw
from archbench.tasks.ruler.vocabulary import ADJECTIVES, NOUNS

NEEDLE = re.compile(r"The special magic (?:number|uuid) for ([\w-]+) is ([\w-]+)\.")
DOCUMENT = re.compile(r"(?m)^Document \d+:\n((?:.+\n)+)\n")


def _fact(draw: Draw, number: int) -> tuple[str, str]:
    """A paragraph, and the word in it that answers its question."""
    answer = f"{draw.pick(NOUNS)}{number}"
    words = " ".join(draw.pick(ADJECTIVES) + " " + draw.pick(NOUNS) for _ in range(10 + draw.below(15)))
    return f"House {number} keeps a {answer} in the hall. It has a {words}.", answer


def write_squad(path: Path, articles: int = 20) -> str:
    """Six paragraphs to an article, a question to each, some without an answer as in version 2.0."""
    draw, data = Draw("squad"), []
    for article in range(articles):
        paragraphs = []
        for at in range(6):
            number = 6 * article + at
            text, answer = _fact(draw, number)
            question = {
                "question": f"What does house {number} keep?",
                "answers": [{"text": answer}, {"text": answer}],
            }
            none = {"question": f"What does house {number} lack?", "answers": [], "is_impossible": True}
            paragraphs.append({"context": text, "qas": [question, none]})
        data.append({"title": str(article), "paragraphs": paragraphs})
    path.write_text(json.dumps({"version": "v2.0", "data": data}), encoding="utf-8")
    return str(path)


def write_hotpotqa(path: Path, questions: int = 60) -> str:
    """Questions over two of ten documents each."""
    draw, data = Draw("hotpotqa"), []
    for at in range(questions):
        numbers = range(10 * at, 10 * at + 10)
        facts = {number: _fact(draw, number) for number in numbers}
        data.append(
            {
                "question": f"What does house {numbers[3]} keep that house {numbers[7]} does not?",
                "answer": facts[numbers[3]][1],
                "context": [[f"House {number}", [text]] for number, (text, _) in facts.items()],
                "supporting_facts": [[f"House {numbers[3]}", 0], [f"House {numbers[7]}", 0]],
            }
        )
    path.write_text(json.dumps(data), encoding="utf-8")
    return str(path)


def read(prompt: str) -> str:
    """Answers from the prompt alone, as one would who understands it."""
    if prompt.startswith("Special magic"):
        context, question = prompt.rsplit("\n", 1)
        names = re.search(r"for (.+?)\?", question)
        assert names
        keys = re.split(r", | and ", names[1])
        return f" {', '.join(value for key, value in NEEDLE.findall(context) if key in keys)}."
    if "VAR " in prompt:
        text = prompt.rsplit("Follow the chain", 1)[1]
        value = re.findall(r"have the value (\d+)", text)[-1]
        known = set(re.findall(rf"VAR ([A-Z]+) = {value}\.", text))
        links = re.findall(r"VAR ([A-Z]+) = VAR ([A-Z]+)\.", text)
        for _ in links:
            known |= {to for to, of in links if of in known}
        return " " + ", ".join(sorted(known))
    if "numbered list" in prompt:
        words = re.findall(r"\d+\. (\w+)", prompt.rsplit("Below is", 1)[1])
        number = re.findall(r"The (\d+) words that", prompt)[-1]
        return " " + " ".join(word for word, _ in Counter(words).most_common(int(number)))
    if "coded text" in prompt:
        words = prompt.split("\n")[1].split()
        return " " + " ".join(word for word, _ in Counter(words).most_common(4)).replace("....", "")
    number = re.findall(r"What does house (\d+) keep", prompt)[-1]
    found = re.search(rf"House {number} keeps a (\w+)", prompt)
    assert found
    return f" A {found[1]}, I think."


def documents(prompt: str) -> list[str]:
    return [text.strip() for text in DOCUMENT.findall(prompt)]


def holds(item: dict[str, Any]) -> None:
    """What must be true of every item, whatever its task."""
    task, prompt, answers = item["subject"], item["prompt"], item["answers"]
    assert len(set(answers)) == len(answers)
    if task.startswith("niah"):
        context, question = prompt.rsplit("\n", 1)
        found = NEEDLE.findall(context)
        assert len({value for _, value in found}) == len(found)
        keys = [key for key, _ in found]
        assert len(set(keys)) == (1 if task == "niah_multivalue" else len(keys))
        wanted = [key for key in dict.fromkeys(keys) if re.search(rf"(?<![\w-]){key}(?![\w-])", question)]
        assert sorted(value for key, value in found if key in wanted) == sorted(answers)
        assert len(answers) == (4 if task in ("niah_multivalue", "niah_multiquery") else 1)
        assert all(prompt.count(answer) == 1 for answer in answers)
        assert ("depth" in item["details"]) == (len(answers) == 1)
        assert not prompt.endswith(" ")
        if task in ("niah_multikey_1", "niah_multiquery"):
            assert len(keys) == 4
    elif task == "vt":
        text = prompt.rsplit("Follow the chain", 1)[1]
        assert len(answers) == 5
        assert all(len(re.findall(rf"VAR {one} =", prompt)) == 1 for one in answers)
        assert len(re.findall(r"VAR [A-Z]+ =", text)) == 5
        assert len(set(re.findall(r"= (\d+)", prompt))) == (
            2 if item["details"]["form"] == "published" else 1
        )
    elif task == "cwe":
        words = Counter(re.findall(r"\d+\. (\w+)", prompt.rsplit("Below is", 1)[1]))
        often, seldom = max(words.values()), min(words.values())
        assert sorted(answers) == sorted(word for word, n in words.items() if n == often)
        assert set(words.values()) == {often, seldom}
        assert not any(a in b for a in answers for b in words if a != b)
        assert (often, seldom, len(answers)) in {(30, 3, 10), (6, 1, 10), (3, 1, 4)}
    elif task == "fwe":
        words = Counter(prompt.split("\n")[1].split())
        assert words.most_common(1)[0][0] == "...."
        rest = max(n for word, n in words.items() if word not in (*answers, "...."))
        assert rest < min(words[answer] for answer in answers)
        assert words[answers[0]] > words[answers[1]] > words[answers[2]]
    else:
        shown = documents(prompt)
        assert len(set(shown)) == len(shown) == item["details"]["documents"]
        assert any(answers[0] in one for one in shown)
