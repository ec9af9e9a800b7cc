"""How the tests share a machine between pytest's workers.

The tests of a file stay on one worker (`--dist loadfile`). Files with slow tests come first, so that no worker is left
with a long one in the end. Files marked `alone` come last, and no other test runs beside theirs: in the middle
of a run all workers would wait for the longest test that another has begun.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Files as they come, but those with slow tests first and those that run alone last."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    return sorted(items, key=lambda item: (_alone(item), item.path not in slow))


def _alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


@contextmanager
def turn(item: pytest.Item) -> Iterator[None]:
    """While a test runs: it shares the lock on this file with other tests, or has it for itself.

    They wait for it one behind the other, in front of a second file: else one that wants it for itself would wait for
    as long as others, who share it, come and go.
    """
    with Path(__file__).open("rb") as lock:
        with (Path(__file__).parent / "conftest.py").open("rb") as queue:
            fcntl.flock(queue, fcntl.LOCK_EX)
            fcntl.flock(lock, fcntl.LOCK_EX if _alone(item) else fcntl.LOCK_SH)
        yield


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder that `make` fills: once in a run, by the worker that needs it first. The others wait, and copy."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # each worker has a folder of its own in it
    made = base / f"{name}.made"
    with (base / f"{name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            half = base / f"{name}.half"
            shutil.rmtree(half, ignore_errors=True)  # another worker failed to make it
            half.mkdir()
            make(half)
            half.rename(made)
    return made
