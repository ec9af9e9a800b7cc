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
        timeout=280,
    )
    said = outcome.stdout + outcome.stderr
    assert outcome.returncode == 0, said
    layers = re.search(r"(\d+) layers of real files", said)
    assert layers, said
    blobs = int(layers[1]) + 2  # its manifest and its configuration
    rows = re.findall(r"(\S+) → (\S+) +([\d,]+) +[\d.]+ +[\d.]+ +(\d+) right(.*)", said)
    hops = {(giver, taker): int(moved.replace(",", "")) for giver, taker, moved, _, _ in rows[:3]}
    image = hops["client", "origin"]
    assert 0 < image <= hops["origin", "replica"] < 1.01 * image, said
    assert 0 < image <= hops["replica", "site"] < 1.01 * image, said
    counted = [
        (giver, taker, int(moved.replace(",", "")), cache.strip()) for giver, taker, moved, _, cache in rows
    ]
    assert counted[3:] == [
        ("site", "client", image, f"0 hit, {blobs} miss"),
        ("replica", "site", 0, ""),
        ("site", "client", image, f"{blobs} hit, 0 miss"),
    ], said
    assert {int(right) for *_, right, _ in rows} == {blobs}, "every digest is proven at every hop"
    assert serving(tmp_path) == set(), "its processes ended"
    assert list(tmp_path.iterdir()) == [], "its files are gone"
