"""Death at a chosen moment: work in a process of its own that is killed (-9) when it reaches a write point."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import signal
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator

from registry_mesh.stores import points

Work = Callable[[], Awaitable[object]]

LONGEST = 200
"""Seconds after which a child that has not ended says where it is, and ends: sooner than a test may take."""

_BEGINNING = threading.Lock()
"""A child that another thread forks meanwhile would hold this one's pipe open, so that its end is not seen."""


def run_and_die(work: Work, at: int) -> list[str]:
    """Run `work` in a child that dies at the `at`-th write point (0: never); the names it reached, in order.

    Not to be called while a store of this process is at work: a child inherits the locks that a thread holds just then.
    """
    with _BEGINNING:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _live(work, at, writer)
        os.close(writer)
    try:
        with os.fdopen(reader) as lines:
            names = lines.read().split()
    except BaseException:  # no more time: what the child holds, locks of the run too, goes with it
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    _, status = os.waitpid(child, 0)
    died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert died or status == 0, f"the child ended with {status:#x}"
    assert died == (0 < at == len(names)), "it dies where it should"
    return names


def end_in_time() -> None:
    """Have this process, a child, end after `LONGEST` with a traceback of all its threads."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the parent's is that of its test
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.alarm(LONGEST)


def _live(work: Work, at: int, writer: int) -> None:
    global _BEGINNING
    _BEGINNING = threading.Lock()  # the parent's is held; the child may have children of its own
    reached = 0
    one_at_a_time = threading.Lock()  # points are reached in several threads

    def hook(name: str) -> None:
        nonlocal reached
        with one_at_a_time:
            reached += 1
            os.write(writer, f"{name}\n".encode())
            if reached == at:
                os.kill(os.getpid(), signal.SIGKILL)

    end_in_time()
    gc.freeze()  # what the parent has made is looked through (and copied) by no collection
    code = 1
    try:
        points.arm(hook)
        asyncio.run(_awaited(work))
        code = 0
    except BaseException:  # the child says what failed, and ends
        traceback.print_exc()
    finally:
        os._exit(code)


async def _awaited(work: Work) -> None:
    await work()


def deaths(prepare: Callable[[], Work]) -> Iterator[str]:
    """Kill the work that `prepare` sets up at every kind of point it reaches, the first, the second and the last time
    it reaches it; the name of each."""
    names = run_and_die(prepare(), 0)
    reached: dict[str, list[int]] = {}
    for at, name in enumerate(names, 1):
        reached.setdefault(name, []).append(at)
    for times in reached.values():
        for at in sorted({*times[:2], times[-1]}):
            died = run_and_die(prepare(), at)
            if len(died) == at:
                yield died[-1]
