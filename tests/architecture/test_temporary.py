"""What tests leave in the folder for temporary files goes when their run ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

LEAVES = """
import os, signal, subprocess, sys, tempfile
from tests import temporary

folder = temporary.begin()
assert tempfile.gettempdir() == os.environ["TMPDIR"] == folder
kill = "import os, signal, tempfile; tempfile.mkdtemp(prefix='left-'); os.kill(os.getpid(), signal.SIGKILL)"
assert subprocess.run([sys.executable, "-c", kill]).returncode == -signal.SIGKILL
assert [name[:5] for name in os.listdir(folder)] == ["left-"]
temporary.end(folder)
print(tempfile.gettempdir(), os.environ["PYTEST_DEBUG_TEMPROOT"])
"""


def test_nothing_outlives_a_run(tmp_path: Path) -> None:
    without = {key: value for key, value in os.environ.items() if key != "PYTEST_DEBUG_TEMPROOT"}
    ended = subprocess.run(
        [sys.executable, "-c", LEAVES],
        cwd=ROOT,
        env={**without, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.stdout.split(), ended.stderr) == ([str(tmp_path)] * 2, "")
    assert list(tmp_path.iterdir()) == []
