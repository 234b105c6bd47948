"""Renew the locks of tested versions: `make lock`.

newest.txt   the newest releases that the bounds of pyproject.toml admit, with everything for development;
             `make demo`, `make test` and CI install these
oldest.txt   the oldest releases that the bounds admit, with what the tests need; CI holds the engine's
             equivalence tests to them

torch is the one exception in oldest.txt: it stays at the newest, since its old releases are gigabytes of CUDA
libraries. uv resolves the versions, in an environment of its own that is thrown away.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parent / "pyproject.toml"
# What a CUDA build of torch brings along: whoever installs one gets what fits it.
_OF_TORCH = re.compile(r"(nvidia-.*|cuda-.*|triton|pytorch-triton)==")


def main() -> None:
    """Write both files anew."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        tools = Path(folder) / ("Scripts" if sys.platform == "win32" else "bin")
        subprocess.run([tools / "python", "-m", "pip", "install", "--quiet", "uv"], check=True)
        newest = resolve(tools / "uv", "highest", "--universal", extra="dev")
        torch = next(line for line in newest if line.startswith("torch=="))
        oldest = [
            torch if line.startswith("torch==") else line
            for line in resolve(tools / "uv", "lowest-direct", extra="test")
        ]
    write(HERE / "newest.txt", "The newest releases that pyproject.toml admits", newest)
    write(HERE / "oldest.txt", "The oldest releases that pyproject.toml admits, but for torch", oldest)


def resolve(uv: Path, resolution: str, *everywhere: str, extra: str) -> list[str]:
    """Versions of everything that is installed, a `name==version` each.

    Args:
        uv: The program.
        resolution: "highest" or "lowest-direct".
        everywhere: "--universal" for versions on every platform and Python, not just here.
        extra: The extra of archbench that is installed with it.
    """
    found = subprocess.run(
        [
            *(uv, "pip", "compile", "--quiet", "--no-annotate", "--no-header", *everywhere),
            *("--python-version", "3.11", "--resolution", resolution, "--extra", extra, PROJECT),
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [line for line in found.splitlines() if line and not _OF_TORCH.match(line)]


def write(file: Path, what: str, lines: list[str]) -> None:
    """Write a constraints file."""
    head = f"# {what}, for `pip install -c`. Made by `make lock`; do not edit.\n"
    file.write_text(head + "".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
