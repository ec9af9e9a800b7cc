"""Standard output that takes nothing: real processes, a real full device."""

from __future__ import annotations

import subprocess
import sys

import pytest


def said(arguments: str, to: str) -> tuple[int, str]:
    """The exit code and standard error of a command whose standard output is what the shell makes of `to`."""
    line = f"exec {sys.executable} -m registry_mesh {arguments} {to}"
    run = subprocess.run(["sh", "-c", line], stderr=subprocess.PIPE, text=True, timeout=300)
    return run.returncode, run.stderr


@pytest.mark.parametrize("arguments", ["man", "help", "version"])
def test_a_full_disk_is_told(arguments: str) -> None:
    assert said(arguments, "> /dev/full") == (
        1,
        "error: what is printed cannot be written: No space left on device\n",
    )


@pytest.mark.parametrize("arguments", ["explain offline", "version"])
def test_closed_by_who_called(arguments: str) -> None:
    assert said(arguments, ">&-") == (0, "")


def test_all_closed() -> None:
    assert said("version", ">&- 2>&-") == (0, "")
