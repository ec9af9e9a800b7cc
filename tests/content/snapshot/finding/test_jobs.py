"""Jobs in any graph: each once, after its needs, the largest first, failures only along needs."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.content.snapshot.finding.jobs import Job, Jobs, Lane, Later, Widths
from registry_mesh.ports.failures import SourceUnavailable


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[frozenset[int], int, Lane, bool]]:
    """Jobs that need earlier ones only: (needs, size, lane, whether it fails)."""
    size = draw(st.integers(1, 12))
    return [
        (
            frozenset(draw(st.sets(st.integers(0, n - 1), max_size=3))) if n else frozenset(),
            draw(st.integers(0, 100)),
            draw(st.sampled_from(Lane)),
            draw(st.integers(0, 4)) == 0,
        )
        for n in range(size)
    ]


@given(graphs(), st.integers(1, 3), st.integers(1, 3))
def test_every_job_is_done_once_after_its_needs_or_lost_with_them(
    graph: list[tuple[frozenset[int], int, Lane, bool]], streams: int, records: int
) -> None:
    done: list[int] = []
    tried: list[int] = []

    async def do(key: int, fails: bool) -> None:
        tried.append(key)
        await asyncio.sleep(0)
        if fails:
            raise SourceUnavailable(str(key))
        done.append(key)

    async def run() -> Jobs:
        jobs = Jobs(
            [
                Job(n, partial(do, n, fails), lane, size, needs)
                for n, (needs, size, lane, fails) in enumerate(graph)
            ],
            Widths(streams, records),
        )
        await jobs.run()
        return jobs

    jobs = asyncio.run(run())
    lost: set[int] = set()
    for n, (needs, _, _, fails) in enumerate(graph):
        if fails or needs & lost:
            lost.add(n)
        assert (n in tried) == (not needs & lost)
        assert all(done.index(need) < done.index(n) for need in needs if n in done)
    assert set(jobs.undone) == lost
    assert len(tried) == len(set(tried))
    for key, undone in jobs.undone.items():
        assert (undone.because is None) == (key in tried)


async def test_the_largest_goes_first_and_small_writes_do_not_wait() -> None:
    order: list[str] = []

    async def do(name: str) -> None:
        order.append(name)
        await asyncio.sleep(0.001)

    sizes = {"small": 1, "huge": 100, "middle": 10}
    jobs = [Job(name, partial(do, name), Lane.BYTES, size) for name, size in sizes.items()]
    jobs.append(Job("record", partial(do, "record")))
    await Jobs(jobs, Widths(1, 1)).run()
    assert [name for name in order if name != "record"] == ["huge", "middle", "small"]
    assert order.index("record") < 2


async def test_a_need_that_is_no_job_is_a_mistake() -> None:
    async def nothing() -> None: ...

    with pytest.raises(ValueError, match="is no job"):
        Jobs([Job("a", nothing, needs=frozenset({"b"}))])


async def test_a_mistake_in_a_job_is_not_swallowed() -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup):
        await Jobs([Job("a", broken)]).run()


async def test_a_job_that_waits_leaves_its_place_to_others_and_is_done_again() -> None:
    done: list[str] = []
    gate = asyncio.Event()

    async def sleep(seconds: float) -> None:
        assert seconds == 7.0
        await gate.wait()

    async def waits() -> None:
        if not done:
            raise Later(7.0)
        done.append("waits")

    async def rest(name: str) -> None:
        done.append(name)
        if len(done) == 2:
            gate.set()

    jobs = [Job(name, partial(rest, name), Lane.BYTES) for name in "ab"]
    first = Job("waits", waits, Lane.BYTES, size=9)
    after = Job("after", partial(rest, "after"), needs=frozenset(["waits"]))
    assert await Jobs([first, *jobs, after], Widths(1, 1), sleep).run() == ()
    assert done == ["a", "b", "waits", "after"]


async def test_a_slow_queue_holds_up_no_other() -> None:
    gate = asyncio.Event()

    async def slow() -> None:
        await gate.wait()

    async def quick() -> None:
        gate.set()

    several = [Job(n, slow, Lane.BYTES, size=9, queue="paced") for n in range(3)]
    jobs = Jobs([*several, Job("quick", quick, Lane.BYTES)], Widths(1, 1))
    async with asyncio.timeout(60):
        assert await jobs.run() == ()
