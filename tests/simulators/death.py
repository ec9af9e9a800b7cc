"""Death at a chosen moment: work in a process of its own that is killed (-9) when it reaches a write point, or stopped
at each so that what a death would leave there can be copied."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import signal
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

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

    def die(reached: int) -> None:
        if reached == at:
            os.kill(os.getpid(), signal.SIGKILL)

    child, reader = _begin(work, die)
    with _ended(child), os.fdopen(reader) as lines:
        names = lines.read().split()
    _, status = os.waitpid(child, 0)
    died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert died or status == 0, f"the child ended with {status:#x}"
    assert died == (0 < at == len(names)), "it dies where it should"
    return names


def run_killed(work: Work) -> None:
    """Run `work`, which kills its process (-9), in a child."""
    child, reader = _begin(work, lambda reached: None)
    with _ended(child), os.fdopen(reader) as lines:
        lines.read()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the child ended with {status:#x}"
    assert os.WTERMSIG(status) == signal.SIGKILL


def killed_when(work: Work, ready: Callable[[int], None]) -> None:
    """Run `work` in a child that is killed (-9) once `ready` returns, which is called with its process id."""
    child, reader = _begin(work, lambda reached: None)
    with _ended(child), os.fdopen(reader):
        ready(child)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the child ended with {status:#x}"


def run_and_stop(work: Work, seen: Callable[[str], None]) -> list[str]:
    """Run `work` in a child that stands still at each write point, all its threads, while `seen` is called with the
    point's name; the names, in order.

    A file is then as it would be had the child been killed there: what `run_and_die` leaves at each of n points in n
    lives is there to be copied in one. What `seen` raises ends the child.
    """

    def stop(reached: int) -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # this thread goes no step further

    child, reader = _begin(work, stop)
    names: list[str] = []
    with _ended(child), os.fdopen(reader) as lines:
        while os.WIFSTOPPED(status := os.waitpid(child, os.WUNTRACED)[1]):
            names.append(lines.readline().strip())
            seen(names[-1])
            os.kill(child, signal.SIGCONT)
    assert status == 0, f"the child ended with {status:#x}"
    return names


def end_in_time() -> None:
    """Have this process, a child, end after `LONGEST` with a traceback of all its threads."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the parent's is that of its test
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.alarm(LONGEST)


def _begin(work: Work, at_point: Callable[[int], None]) -> tuple[int, int]:
    """A child that does `work`, and a pipe with the names of the points that it reaches."""
    with _BEGINNING:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _live(work, at_point, writer)
        os.close(writer)
    return child, reader


@contextmanager
def _ended(child: int) -> Iterator[None]:
    """Where what is done with it is cut short, the child goes, and what it holds, locks of the run too, with it."""
    try:
        yield
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise


def _live(work: Work, at_point: Callable[[int], None], writer: int) -> None:
    global _BEGINNING
    _BEGINNING = threading.Lock()  # the parent's is held; the child may have children of its own
    reached = 0
    one_at_a_time = threading.Lock()  # points are reached in several threads

    def hook(name: str) -> None:
        nonlocal reached
        with one_at_a_time:
            reached += 1
            os.write(writer, f"{name}\n".encode())
            at_point(reached)

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
