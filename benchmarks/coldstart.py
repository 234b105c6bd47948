"""`python -m benchmarks.coldstart`: seconds from a command to its answer, each time in a fresh process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.command import parser_of, print_results

COMMANDS = {
    "import archbench": ["-c", "import archbench"],
    "archbench --help": ["-m", "archbench", "--help"],
    "archbench list": ["-m", "archbench", "list"],
    "archbench run quick --dry-run": ["-m", "archbench", "run", "quick", "--dry-run"],
    "import archbench.engine.load": ["-c", "import archbench.engine.load"],
    "import lm_eval.models.huggingface": ["-c", "import lm_eval.models.huggingface"],
}


def measure(arguments: Sequence[str], repeats: int) -> float:
    """The fastest of some runs, in seconds: what is slower was slowed down by something else."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = parser_of("coldstart", __doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--commands", nargs="+", default=list(COMMANDS), choices=list(COMMANDS))
    arguments = parser.parse_args(argv)
    results = (
        {"work": name, "seconds": round(measure(COMMANDS[name], arguments.repeats), 2)}
        for name in arguments.commands
    )
    print_results(results, arguments.json)


if __name__ == "__main__":
    main()
