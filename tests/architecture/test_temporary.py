"""What tests leave in the folder for temporary files goes when their run ends, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.eventually import eventually_here

ROOT = Path(__file__).parents[2]

LEAVES = """
import os, signal, subprocess, sys, tempfile
from tests import temporary

held = temporary.begin()
folder = tempfile.gettempdir()
assert folder == os.environ["TMPDIR"]
kill = "import os, signal, tempfile; tempfile.mkdtemp(prefix='left-'); os.kill(os.getpid(), signal.SIGKILL)"
assert subprocess.run([sys.executable, "-c", kill]).returncode == -signal.SIGKILL
assert [name[:5] for name in os.listdir(folder)] == ["left-"]
print(os.path.dirname(folder), os.environ["PYTEST_DEBUG_TEMPROOT"], flush=True)
os.kill(os.getpid(), int(sys.argv[1]))
"""


@pytest.mark.parametrize("ends_by", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_a_run(tmp_path: Path, ends_by: signal.Signals) -> None:
    without = {key: value for key, value in os.environ.items() if key != "PYTEST_DEBUG_TEMPROOT"}
    ended = subprocess.run(
        [sys.executable, "-c", LEAVES, str(ends_by.value)],
        cwd=ROOT,
        env={**without, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.stdout.split(), ended.stderr) == ([str(tmp_path)] * 2, "")
    assert ended.returncode == -ends_by
    eventually_here(lambda: not list(tmp_path.iterdir()), "the folder to go")
