"""Children that die at write points, and what those leave that stop there."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from registry_mesh.stores import points
from tests.simulators.death import run_and_die, run_and_stop
from tests.simulators.store_files import contents


async def step() -> None:
    points.reach("step")


def test_a_child_begins_children() -> None:
    async def beside() -> None:
        assert run_and_die(step, 1) == ["step"]
        await step()

    assert run_and_die(beside, 0) == ["step"]


class Enough(Exception):
    """The child is to die where it stands."""


async def restless(root: Path) -> None:
    """Writes on in a thread of its own, between the points and at them."""

    def write() -> None:
        with (root / "beside").open("ab", buffering=0) as file:
            while not done.is_set():
                file.write(b"+")

    done = threading.Event()
    beside = threading.Thread(target=write)
    beside.start()
    for number in range(4):
        (root / str(number)).write_bytes(b"whole")
        await asyncio.to_thread(points.reach, f"after-{number}")
    done.set()
    beside.join()


@pytest.mark.parametrize("at", range(4))
def test_a_stopped_child_leaves_what_it_leaves_when_it_is_killed_there(tmp_path: Path, at: int) -> None:
    stopped: list[dict[str, tuple[int, int, bytes]]] = []

    def seen(name: str) -> None:
        stopped.append(contents(tmp_path))
        if name == f"after-{at}":
            raise Enough

    with pytest.raises(Enough):
        run_and_stop(lambda: restless(tmp_path), seen)
    assert contents(tmp_path) == stopped[-1]
    assert sorted(stopped[-1].keys() - {"beside"}) == [str(each) for each in range(at + 1)]


def test_a_stopped_child_goes_on_to_its_end(tmp_path: Path) -> None:
    seen: list[str] = []
    assert run_and_stop(lambda: restless(tmp_path), seen.append) == seen
    assert seen == [f"after-{number}" for number in range(4)]


def test_a_child_that_fails_after_a_stop_is_told_of() -> None:
    async def fails() -> None:
        await step()
        raise Enough

    with pytest.raises(AssertionError, match="the child ended with"):
        run_and_stop(fails, lambda name: None)
