"""What a node of several processes says of its parents: at `/status`, by `registry-mesh parents`, and in the log."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.clients import nodes, programs
from tests.eventually import eventually
from tests.simulators.link import Link
from tests.simulators.pauses import patient_client
from tests.simulators.registry import SimulatedRegistry, simulated_registry

pytestmark = pytest.mark.slow


class World:
    """A site of two processes, its parent, and the link between them."""

    def __init__(self, registry: SimulatedRegistry, link: Link, node: nodes.Node) -> None:
        self.registry, self.link, self.node = registry, link, node
        self.told: dict[str, Any] = {}

    async def look(self) -> dict[str, Any]:
        """What `/status` says of the parent."""
        async with aiohttp.ClientSession() as client, client.get(f"{self.node.admin}/status") as answer:
            [[self.told]] = (await answer.json())["registries"][nodes.REGISTRY]["parents"]
        return self.told

    async def becomes(self, state: str) -> dict[str, Any]:
        async def is_there() -> bool:
            return bool((await self.look())["state"] == state)

        await eventually(is_there, lambda: (state, self.told))
        return self.told

    async def get(self, path: str) -> tuple[int, str]:
        """By a connection of its own, so that any of the processes may have it."""
        async with (
            patient_client() as client,
            client.get(f"{self.node.url}/v2/team/app/{path}") as answer,
        ):
            return answer.status, await answer.text()

    async def asks(self, path: str, times: int) -> set[int]:
        """The statuses of so many answers, each by a connection of its own, and each asked for once."""
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as client:
            found = set()
            for _ in range(times):
                async with client.get(f"{self.node.url}/v2/team/app/{path}") as answer:
                    found.add(answer.status)
        return found

    def said(self, message: str) -> list[dict[str, Any]]:
        """The lines of the log that say so."""
        lines = self.node.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and message in line]

    def shown(self) -> tuple[int, str]:
        """The exit code of `registry-mesh parents`, and what it prints."""
        done = programs.run("parents", self.node.config)
        return done.returncode, done.stdout


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(simulated_registry())
        registry.says("/v2/", text="{}", headers={"RateLimit-Limit": "100;w=60", "RateLimit-Remaining": "76"})
        link = await stack.enter_async_context(Link("127.0.0.1", int(registry.url.rpartition(":")[2])))
        node = nodes.site(tmp_path / "site", link.url, workers=2)
        await asyncio.to_thread(node.start)
        stack.push_async_callback(asyncio.to_thread, node.kill)
        yield World(registry, link, node)


async def test_each_change_of_a_parent_is_shown_and_told_once(world: World) -> None:
    told = await world.becomes("up")
    assert told["latency_ms"] > 0 and told["why"] == "" and told["next_try_seconds"] is None
    assert (told["quota_remaining"], told["quota_limit"]) == (76, 100)
    await goes_and_comes_back(world)
    await falls_silent(world)
    await asks_for_patience(world)


async def goes_and_comes_back(world: World) -> None:
    world.link.conditions.refuse = True
    await world.get("manifests/1")
    told = await world.becomes("down")
    assert told["why"] and told["last_error"] == told["why"] and told["next_try_seconds"] is not None
    await eventually(lambda: world.said("a parent is down"), "the log to say so")
    code, shown = await asyncio.to_thread(world.shown)
    assert code == 1, "no parent is asked now"
    where = told["url"].removeprefix("http://")
    assert "silent" in shown and where in shown and "76 of 100 requests left" in shown
    for _ in range(8):
        status, text = await world.get("manifests/1")
        assert status == 503 and "is tried again" in text
    world.link.conditions.refuse = False
    assert (await world.get("manifests/1"))[0] == 404, "the first request that comes uses it"
    await world.becomes("up")
    code, shown = await asyncio.to_thread(world.shown)
    assert code == 0, shown
    await eventually(lambda: world.said("a parent answers again"), "the log to say so")
    [line] = world.said("a parent answers again")
    assert line["was"].startswith("down for ")
    assert len(world.said("a parent is down")) == 1


async def falls_silent(world: World) -> None:
    world.link.conditions.hang = True
    told = await world.becomes("down")
    assert told["why"] == "timed out"
    await eventually(lambda: len(world.said("a parent is down")) == 2, "the log to say so")
    world.link.conditions.hang = False
    await world.becomes("up")


async def asks_for_patience(world: World) -> None:
    """No process asks it before its time."""
    path = "/v2/team/app/manifests/2"
    world.registry.says(path, status=429, headers={"Retry-After": "60"})
    began = time.monotonic()
    assert await world.asks("manifests/2", 120) == {503}
    assert len([seen for seen in world.registry.asked if seen[1].startswith(path)]) == 1
    told = await world.look()
    gone = time.monotonic() - began
    assert told["state"] == "throttled" and 59 - gone < told["next_try_seconds"] <= 60
    assert told["why"] == "answered 429 and asked for patience"
    await eventually(lambda: world.said("a parent asked for patience"), "the log to say so")
    assert len(world.said("a parent asked for patience")) == 1
