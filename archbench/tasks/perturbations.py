"""Perturbations of prompts: how much of a score is due to the prompt.

Each perturbation changes one thing about a prompt and leaves the question as it is:

    option_order   options one place further on; the last comes first
    labels         1, 2, 3, 4 before the options instead of A, B, C, D
    delimiter      `A) text` instead of `A. text`; in a phonebook `name - number` instead of `name: number`;
                   where lm-eval shows no options, a line break instead of the space after `Answer:`
    answer_prefix  `The answer is` (in a phonebook `The number is`) instead of `Answer:`
    shot_order     examples in the opposite order
    preamble       a paragraph about something else before everything
    separator      a line of number signs between the parts of the prompt

The study found its hybrid to depend on such things more than its Transformer (Waleffe et al. 2024, as
reported second-hand: Musique from 10.6 to 16.2 against 15.3 to 17.7).
"""

from __future__ import annotations

from typing import Literal

Perturbation = Literal[
    "option_order", "labels", "delimiter", "answer_prefix", "shot_order", "preamble", "separator"
]

NEEDED_SHOTS: dict[Perturbation, int] = {"separator": 1, "shot_order": 2}
"""Fewest shots with which a change to the shots changes anything."""

PREAMBLE = (
    "The harbour of Saltmere was built in three summers. The first stones were laid on the northern side, "
    "where the water is calm, and the fishermen of the town carried them there in their own boats. In the "
    "second summer the wall was so long that a lamp was put at its end. The third summer was wet, and the "
    "work was finished only when the first snow lay on the roofs."
)
"""The paragraph of `preamble`, which answers no question and resembles no task."""

SEPARATOR = "\n\n##########\n\n"
"""What `separator` puts in place of a blank line."""
