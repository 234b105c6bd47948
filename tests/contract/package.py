"""A package outside the repository, made of the files of CONTRIBUTING.md, and a Python that has it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DISTRIBUTION = {
    "bazaar-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: bazaar\nVersion: 1.0\n",
    "bazaar-1.0.dist-info/entry_points.txt": (
        "[archbench.kinds]\ncoins = coins\nweigh = weigh\n\n[archbench.report]\nmedian = median\n"
    ),
}


def written() -> dict[str, str]:
    """The files of CONTRIBUTING.md: a name on a line of its own, and the block below it."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^`([\w./-]+)`\n\n```\w+\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL))


def lay_out(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def archbench(package: Path, here: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line in an interpreter that has the package."""
    path = os.pathsep.join(map(str, (package, ROOT)))
    return subprocess.run(
        [sys.executable, "-m", "archbench", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
