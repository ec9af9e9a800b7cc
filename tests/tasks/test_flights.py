"""One doing for many askers, and whom it outlives."""

from __future__ import annotations

import asyncio

import pytest

from registry_mesh.tasks.flights import Flights


class Work:
    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        try:
            await self.go.wait()
        finally:
            self.ended += 1
        return self.begun


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_shared_ends_with_the_last_who_waits() -> None:
    flights: Flights[str, int] = Flights()
    work = Work()
    one, two = (asyncio.create_task(flights.share("k", work)) for _ in range(2))
    await turns()
    one.cancel()
    await turns()
    assert (work.begun, work.ended) == (1, 0)
    two.cancel()
    await turns()
    assert (work.begun, work.ended) == (1, 1)
    assert "k" not in flights


async def test_who_comes_after_the_last_has_left_begins_anew() -> None:
    flights: Flights[str, int] = Flights()
    work = Work()
    one = asyncio.create_task(flights.share("k", work))
    await turns()
    one.cancel()
    await asyncio.gather(one, return_exceptions=True)
    two = asyncio.create_task(flights.share("k", work))
    await turns()
    work.go.set()
    assert await two == 2


async def test_what_is_joined_outlives_those_who_wait() -> None:
    flights: Flights[str, int] = Flights()
    work = Work()
    one = asyncio.create_task(flights.join("k", work))
    await turns()
    one.cancel()
    await turns()
    assert "k" in flights
    assert work.ended == 0
    await flights.close()
    assert work.ended == 1


async def test_a_failure_is_that_of_all_who_share_it() -> None:
    flights: Flights[str, int] = Flights()

    async def fail() -> int:
        await asyncio.sleep(0)
        raise ValueError

    results = await asyncio.gather(*(flights.share("k", fail) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in results] == [ValueError] * 3
    with pytest.raises(ValueError):
        await flights.share("k", fail)
