"""How long a parent is waited for, by what is known of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
import pytest_asyncio

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.health.board import Board
from registry_mesh.upstream.health.breaker import Breaker
from registry_mesh.upstream.health.liveness import Liveness, Patience
from registry_mesh.upstream.probe import Probe
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from tests.eventually import eventually
from tests.simulators.distance import distance
from tests.simulators.link import Link
from tests.simulators.registry import SimulatedRegistry, simulated_registry

DATA = b"far away"
DIGEST = Digest.of(DATA)
QUICK = Patience(connect=60, suspect=0.05, silent=0.05, ping=0.1, head=5, stall=30, first=5)
"""For a parent that is not to answer."""


class World:
    def __init__(self, stack: AsyncExitStack, registry: SimulatedRegistry) -> None:
        self.registry = registry
        self._stack = stack

    async def parent(
        self, port: int, patience: Patience | None = None, *, probed: bool = True
    ) -> ParentSession:
        """One that is looked after from its start, as in a node; or not at all."""
        http = await self._stack.enter_async_context(open_session())
        session = ParentSession(http, f"http://127.0.0.1:{port}", patience=patience)
        probe = Probe([session.parent])
        if probed:
            probe.start()
        self._stack.push_async_callback(probe.close)
        return session

    async def size(self, session: ParentSession) -> int:
        source = UpstreamRegistry(session, RegistryName("registry.example"))
        return (await source.repository(RepositoryName("team/app")).blobs.stat(DIGEST)).size

    @property
    def port(self) -> int:
        return int(self.registry.url.rpartition(":")[2])


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(simulated_registry())
        registry.says(f"/v2/team/app/blobs/{DIGEST}", body=DATA)
        registry.says("/v2/", text="{}")
        yield World(stack, registry)


@pytest.mark.parametrize("rtt", [0.2, 0.6])
async def test_a_parent_far_away_works_from_the_first_request(world: World, rtt: float) -> None:
    async with distance(world.port, rtt) as way:
        session = await world.parent(way.port)
        assert await world.size(session) == len(DATA)
        await asyncio.sleep(rtt)
        assert session.parent.available
        assert await world.size(session) == len(DATA)


async def test_a_parent_that_takes_long_for_its_first_answer_is_waited_for(world: World) -> None:
    async def late(request: object) -> object:
        await asyncio.sleep(1)
        return await slow(request)  # type: ignore[arg-type]

    slow = world.registry.answers[f"/v2/team/app/blobs/{DIGEST}"]
    world.registry.answers[f"/v2/team/app/blobs/{DIGEST}"] = late  # type: ignore[assignment]
    world.registry.answers["/v2/"] = late  # type: ignore[assignment]
    assert await world.size(await world.parent(world.port)) == len(DATA)


async def test_a_hung_one_is_given_up_in_a_bounded_time_at_first_and_soon_afterwards(world: World) -> None:
    world.registry.hung = True
    session = await world.parent(world.port, replace(QUICK, first=1, head=60))
    async with asyncio.timeout(30):
        with pytest.raises(SourceUnavailable):
            await world.size(session)
    await eventually(lambda: not session.parent.available, "the silence to be seen")


async def test_one_that_answered_and_hangs_is_not_given_the_time_of_a_first_answer(world: World) -> None:
    session = await world.parent(world.port, replace(QUICK, silent=1, ping=2, first=60), probed=False)
    assert await world.size(session) == len(DATA)
    world.registry.hung = True
    async with asyncio.timeout(30):
        with pytest.raises(SourceUnavailable):
            await world.size(session)


async def test_a_parent_that_refused_is_used_as_soon_as_it_is_back(world: World) -> None:
    async with Link("127.0.0.1", world.port) as link:
        session = await world.parent(link.port, probed=False)
        link.conditions.refuse = True
        with pytest.raises(SourceUnavailable):
            await world.size(session)
        assert not session.parent.available
        seen = link.counts.connections
        assert not any(await asyncio.gather(*(session.parent.back() for _ in range(100))))
        assert link.counts.connections <= seen + 2, "one asks for all"
        link.conditions.refuse = False
        await eventually(session.parent.back, "a ping to be answered as soon as it is waited for")
        assert session.parent.available, "long before the next try is due"
        assert await world.size(session) == len(DATA)


async def test_who_waited_to_ping_takes_what_another_ping_said_meanwhile() -> None:
    asked = 0

    async def ask() -> bool:
        nonlocal asked
        asked += 1
        raise OSError("refuses connections")

    liveness = Liveness(ask, Patience(), Breaker())
    assert not await liveness.check()
    waiting = asyncio.ensure_future(liveness.back())
    await asyncio.sleep(0)
    assert not await liveness.check()
    assert not await waiting
    assert asked == 2


async def test_a_hung_one_is_not_waited_for_again_and_again(world: World) -> None:
    world.registry.hung = True
    session = await world.parent(world.port, replace(QUICK, first=0.2), probed=False)
    with pytest.raises(SourceUnavailable):
        await world.size(session)
    await eventually(lambda: session.parent.breaker.open, "the breaker to open")
    answers = [await session.parent.back() for _ in range(200)]
    assert not any(answers)
    assert len([seen for seen in world.registry.seen if seen[1] == "/v2/"]) <= 3


async def test_a_process_that_does_not_know_the_parent_yet_waits_no_longer_than_another(world: World) -> None:
    """Whether a parent is ours decides about `ns`, and its answer to a ping tells it."""
    patience = replace(QUICK, ping=20)
    async with Link("127.0.0.1", world.port) as link, open_session() as http:
        board = Board(["parent"], 2)
        known, new = (
            ParentSession(http, link.url, patience=patience, card=board.card("parent", process))
            for process in range(2)
        )
        assert await known.parent.ping()
        link.conditions.hang = True
        with pytest.raises(SourceUnavailable):
            async with new.request("GET", "/v2/", scope="", query={"ns": "registry.example"}):
                pass
        await eventually(lambda: new.parent.liveness.silent, "the ping, which is out still, to be late")
        await known.close()
        await new.parent.liveness.close()
