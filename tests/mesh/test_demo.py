"""`registry-mesh demo`: what a stranger runs first."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def serving(folder: Path) -> set[int]:
    """Processes of this machine that serve a node below `folder`."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"serve" in words and any(os.fsencode(folder) in word for word in words):
            found.add(int(entry.parent.name))
    return found


def test_the_demo_prints_true_figures_and_leaves_nothing(tmp_path: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, "-m", "registry_mesh", "demo"],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1", "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = outcome.stdout + outcome.stderr
    assert outcome.returncode == 0, said
    for word in ("origin", "replica", "site", "cold", "warm", "miss", "hit"):
        assert re.search(rf"\b{word}\b", outcome.stdout, re.IGNORECASE), f"{word} is missing:\n{said}"
    assert serving(tmp_path) == set(), "its processes ended"
    assert list(tmp_path.iterdir()) == [], "its files are gone"
