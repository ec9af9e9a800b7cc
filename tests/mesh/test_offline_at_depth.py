"""A site that is cut off, one below it, one below that: each says so, and since when, in all that it shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.clients import nodes, programs
from tests.eventually import eventually
from tests.simulators.link import Link
from tests.simulators.parent import plain_parent

pytestmark = pytest.mark.slow

DEEP = 3
"""Sites, one below the other; the registry itself is the fourth tier."""

SECONDS = 240.0
"""Each tier waits for some seconds before it says what the one above it told: some thirty go by at rest."""


class Chain:
    """The registry behind a link, and the sites below it, the highest first."""

    def __init__(self, link: Link, sites: list[nodes.Node], client: aiohttp.ClientSession) -> None:
        self.link, self.sites, self._client = link, sites, client
        self._tags = map(str, count())

    async def status(self, site: nodes.Node) -> dict[str, Any]:
        async with self._client.get(f"{site.admin}/status") as answer:
            told: dict[str, Any] = await answer.json()
        return told

    async def since(self) -> list[float | None]:
        """Since when each site says that it is offline, in seconds since the epoch."""
        told = [await self.status(site) for site in self.sites]
        return [next((f["since"] for f in each["findings"] if f["name"] == "offline"), None) for each in told]

    async def well(self) -> list[bool]:
        """Whether each site and its parent are cut off no more, once a client has asked the lowest for what nobody has:
        that goes up to the registry itself. A finding outlasts its cause by some seconds (`findings.decide`)."""
        async with self._client.get(
            f"{self.sites[-1].url}/v2/team/app/manifests/{next(self._tags)}"
        ) as answer:
            await answer.read()
        told = [(await self.status(site))["registries"][nodes.REGISTRY] for site in self.sites]
        return [each["outage"] is each["parents"][0][0]["cut_off_seconds"] is None for each in told]

    async def begun(self) -> bool:
        """Whether nothing is amiss, and nothing that was at the start is still said to be."""
        return all(await self.well()) and await self.since() == [None] * DEEP

    async def screens(self, site: nodes.Node) -> tuple[str, str]:
        """What `status` and `doctor` print there."""
        words = ("status", "doctor")
        runs = (asyncio.to_thread(programs.run, word, "--node", site.admin) for word in words)
        status, doctor = await asyncio.gather(*runs)
        return status.stdout, doctor.stdout


@pytest_asyncio.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with AsyncExitStack() as stack:
        parent = await stack.enter_async_context(plain_parent())
        link = await stack.enter_async_context(Link("127.0.0.1", parent.port))
        client = await stack.enter_async_context(aiohttp.ClientSession())
        sites: list[nodes.Node] = []
        for index in range(DEEP):
            above = sites[-1].url if sites else link.url
            sites.append(nodes.site(tmp_path / f"tier{index}", above))
            stack.push_async_callback(asyncio.to_thread, sites[-1].kill)
        for site in sites:  # one that begins before the one above it is cut off for a moment
            await asyncio.to_thread(site.start)
        yield Chain(link, sites, client)


async def test_each_tier_says_that_it_is_offline_and_since_when(chain: Chain) -> None:
    await eventually(chain.begun, "all to be well, and to say nothing else", SECONDS)
    chain.link.conditions.refuse = True
    told = await eventually(
        chain.since, "all to say so, since when the first is", SECONDS, until=since_one_time
    )
    print("\noffline since", told)
    screens = await asyncio.gather(*(chain.screens(site) for site in chain.sites))
    for site, (status, doctor) in zip(chain.sites, screens, strict=True):
        print(site.folder.name, status, doctor, sep="\n")
        said = f"No parent of {nodes.REGISTRY}"
        assert said in status and ": offline since " in status, site.folder.name
        assert said in doctor and ": offline since " in " ".join(doctor.split()), site.folder.name
    await eventually(chain.well, "none to be well", SECONDS, until=lambda well: not any(well))
    chain.link.conditions.refuse = False
    await eventually(chain.well, "all to be well", SECONDS, until=all)


def since_one_time(told: list[float | None]) -> bool:
    """Whether all are offline since the same time, but for a ping."""
    known = [each for each in told if each is not None]
    return len(known) == DEEP and max(known) - min(known) < 5.0
