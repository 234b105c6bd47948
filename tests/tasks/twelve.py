"""A few rows of each of the standard twelve, in the columns of the data sets that lm-eval reads."""

from __future__ import annotations

from typing import Any, NamedTuple


class Sample(NamedTuple):
    """One task's splits, and the answers of an oracle by document (index of the choice, or text)."""

    splits: dict[str, list[dict[str, Any]]]
    metric: str
    gold: list[int | str]
    chance: float = 0.5


def _winogrande(split: str) -> list[dict[str, Any]]:
    rows = [
        ("The trophy did not fit the {{case}} because the _ was too big.", "trophy", "case", "1"),
        ("Ann asked Mia for help, and _ gave it gladly.", "Ann", "Mia", "2"),
        ("The oak outlived the elm since the _ was sick.", "oak", "elm", "2"),
    ]
    keys = ("sentence", "option1", "option2", "answer")
    return [dict(zip(keys, (f"{split}: {one[0]}", *one[1:]), strict=True)) for one in rows]


def _piqa(split: str) -> list[dict[str, Any]]:
    rows = [
        ("To open a jar\u2028of jam", "twist the lid", "twist the jam", 0),
        ("Warm {{ soup }}", "freeze", "heat", 1),
    ]
    keys = ("goal", "sol1", "sol2", "label")
    return [dict(zip(keys, (f"{split} {one[0]}", *one[1:]), strict=True)) for one in rows]


def _hellaswag(split: str) -> list[dict[str, Any]]:
    return [
        {
            "activity_label": "Baking",
            "ctx_a": f"{split} A man [title] mixes {number} flours.",
            "ctx_b": "he" if number else "",
            "endings": ["adds  water.", "flies off.", "[step] sleeps.", "eats a brick."],
            "label": str(number),
        }
        for number in range(3)
    ]


def _arc(split: str) -> list[dict[str, Any]]:
    rows = [
        ("Which is a metal?", ["iron", "wood", "wool", "salt"], ["A", "B", "C", "D"], "A"),
        ("Which floats?", ["lead", "cork", "gold"], ["1", "2", "3"], "2"),
    ]
    return [
        {"id": str(n), "question": f"{split} {q}", "choices": {"text": t, "label": k}, "answerKey": a}
        for n, (q, t, k, a) in enumerate(rows)
    ]


def _openbookqa(split: str) -> list[dict[str, Any]]:
    rows = _arc(split)
    return [
        {"question_stem": row["question"], "choices": row["choices"], "answerKey": row["answerKey"]}
        for row in rows
    ]


def _truthfulqa(split: str) -> list[dict[str, Any]]:
    return [
        {
            "question": f"{split} What happens if you eat {thing}?",
            "mc1_targets": {"choices": ["Nothing.", "You fly.", "You die."], "labels": [1, 0, 0]},
            "mc2_targets": {"choices": ["Nothing.", "Very little.", "You fly."], "labels": [1, 1, 0]},
        }
        for thing in ("seeds", "gum")
    ]


def _pubmedqa(split: str) -> list[dict[str, Any]]:
    return [
        {
            "QUESTION": f"{split} Does it help {number}?",
            "CONTEXTS": ["We tried.", "It was seen {{often}}."],
            "LABELS": ["METHODS", "RESULTS"],
            "final_decision": answer,
        }
        for number, answer in enumerate(("yes", "no", "maybe"))
    ]


def _race(split: str) -> list[dict[str, Any]]:
    problems = [
        {"question": "It rained  _  .", "answer": "B", "options": ["never", "daily", "once", "twice"]},
        {"question": "Who came?", "answer": "D", "options": ["Al", "Bo", "Cy", "Di"]},
        {"question": "What is it about?", "answer": "C", "options": ["cats", "dogs", "rain", "snow"]},
    ]
    return [
        {"article": f"{split} Rain fell.", "problems": str(problems[: number + 1])} for number in range(3)
    ]


def _nq_open(split: str) -> list[dict[str, Any]]:
    rows = [("who wrote hamlet", ["William Shakespeare", "Shakespeare"]), ("capital of france", ["Paris"])]
    return [{"question": f"{question} ({split})", "answer": answer} for question, answer in rows]


def _squadv2(split: str) -> list[dict[str, Any]]:
    answers = [{"text": ["in the north", "north"], "answer_start": [4, 11]}, {"text": [], "answer_start": []}]
    return [
        {
            "id": f"{split}{n}",
            "title": "Rain",
            "context": "It is in the north.",
            "question": f"Where {n}?" if split == "train" else f"Where {n}, then?",
            "answers": a,
        }
        for n, a in enumerate(answers)
    ]


def _mmlu(split: str) -> list[dict[str, Any]]:
    return [
        {
            "question": f"{split} {subject} {n}? ",
            "choices": ["a", "b", "c", "d"],
            "answer": n,
            "subject": subject,
        }
        for n in range(2)
        for subject in ("anatomy", "virology")
    ]


TWELVE: dict[str, Sample] = {
    "winogrande": Sample({s: _winogrande(s) for s in ("validation", "train")}, "acc", [0, 1, 1]),
    "piqa": Sample({s: _piqa(s) for s in ("validation", "train")}, "acc", [0, 1]),
    "hellaswag": Sample({s: _hellaswag(s) for s in ("validation", "train")}, "acc_norm", [0, 1, 2]),
    "arc_easy": Sample({s: _arc(s) for s in ("test", "train")}, "acc", [0, 1]),
    "arc_challenge": Sample({s: _arc(s) for s in ("test", "train")}, "acc_norm", [0, 1]),
    "mmlu_anatomy": Sample({s: _mmlu(s) for s in ("test", "dev")}, "acc", [0, 1]),
    "openbookqa": Sample({s: _openbookqa(s) for s in ("test", "train")}, "acc_norm", [0, 1]),
    "truthfulqa_mc1": Sample({s: _truthfulqa(s) for s in ("validation",)}, "acc", [0, 0]),
    "truthfulqa_mc2": Sample({s: _truthfulqa(s) for s in ("validation",)}, "acc", [0, 0]),
    "pubmedqa": Sample({s: _pubmedqa(s) for s in ("test", "train")}, "acc", [0, 1, 2]),
    "race": Sample({s: _race(s) for s in ("test",)}, "acc", [1, 3, 2]),
    "nq_open": Sample(
        {s: _nq_open(s) for s in ("validation", "train")}, "exact_match", ["shakespeare", "The Paris!"]
    ),
    "squadv2": Sample({s: _squadv2(s) for s in ("validation", "train")}, "f1", ["The North.", ""]),
}
"""The tasks with the study's metrics; MMLU by one of its subjects, TruthfulQA in both its kinds."""
