"""Parents that accept and never answer: what is held is served at once, what is not is a clear 503 soon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.oci.digest import Digest
from tests.clients import nodes
from tests.eventually import eventually
from tests.mesh.conftest import same
from tests.mesh.test_two_parents import TwoParents
from tests.simulators.link import Link
from tests.simulators.parent import plain_parent
from tests.simulators.pauses import Pauses, watched
from tests.suites.bytes_of import pattern

pytestmark = [pytest.mark.slow, pytest.mark.alone]

LAYER = pattern(3 * MIB)
NAMED = pattern(5 * MIB, seed=3)
"""A layer that a held manifest names, and that nobody pulled."""

FEWEST, MOST = 3, 9
"""Lives of a node that are looked at: more than the fewest only where a machine was too busy in each of those."""


@pytest_asyncio.fixture
async def lives(tmp_path: Path) -> AsyncIterator[list[TwoParents]]:
    """Three sites of the same two parents, in two groups; tags are good for a second."""
    async with AsyncExitStack() as stack:
        parent = await stack.enter_async_context(plain_parent())
        links = [await stack.enter_async_context(Link("127.0.0.1", parent.port)) for _ in range(2)]
        client = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
        )
        config = {
            "role": "site",
            "workers": 2,
            "registries": nodes.registries(links[0].url, links[1].url, tags={"ttl": "1s"}),
        }
        made = []
        for number in range(3):
            node = nodes.Node(tmp_path / f"site{number}", config)
            made.append(TwoParents(parent, links[0], node, client, Pauses(), links[1]))
            stack.push_async_callback(made[-1].kill)
        yield made


def hang(world: TwoParents, whether: bool) -> None:
    world.link.conditions.hang = world.honest.conditions.hang = whether


async def asked(world: TwoParents, method: str, path: str) -> tuple[int, float, Mapping[str, str]]:
    """Status, seconds to the end of the answer, header fields."""
    began = time.monotonic()
    async with world.client.request(method, f"{world.node.url}/v2/team/app/{path}") as answer:
        body = await answer.read()
        if method == "GET" and answer.status == 503:
            assert b"127.0.0.1" in body, "it says which parent"
        return answer.status, time.monotonic() - began, answer.headers


def never_asked_for(image: Digest) -> list[tuple[str, str]]:
    """Methods and paths of what only the parents can answer; `image` is held."""
    unknown = Digest.of(b"nobody has it")
    return [
        ("GET", f"blobs/{unknown}"),
        ("HEAD", f"blobs/{unknown}"),
        ("GET", f"blobs/{Digest.of(NAMED)}"),
        ("GET", "manifests/3"),
        ("HEAD", "manifests/3"),
        ("GET", f"manifests/{unknown}"),
        ("HEAD", f"manifests/{unknown}"),
        ("GET", f"referrers/{image}"),
        ("GET", "tags/list"),
    ]


async def refused(world: TwoParents, cold: list[tuple[str, str]]) -> list[float]:
    """Ask for all of `cold` at once, expect 503 of each; seconds of each."""
    answers = await asyncio.gather(*(asked(world, *one) for one in cold))
    for (method, path), (status, seconds, fields) in zip(cold, answers, strict=True):
        assert (status, "Retry-After" in fields) == (503, True), f"{method} {path}"
        print(f"{method} {path[:24]}: {status} in {seconds * 1e3:.0f} ms")
    return [seconds for _, seconds, _ in answers]


async def heard_of(world: TwoParents, life: int) -> None:
    """Until the parents, which are back, give what was never asked for before."""
    digests = [world.parent.add(pattern(MIB, seed=100 * life + seed)) for seed in range(4)]
    async with asyncio.timeout(60):
        for digest in digests:
            await eventually(
                lambda digest=digest: world.get(world.blob(digest)),
                "the parents",
                pause=0.05,
                until=lambda answer: answer[0] == 200,
            )


async def served(world: TwoParents, warm: list[str]) -> list[float]:
    """Seconds of each answer, of five rounds."""
    took = []
    for path in warm * 5:
        status, seconds, _ = await asked(world, "GET", path)
        assert status == 200, path
        took.append(seconds)
    return took


async def served_awake(world: TwoParents, warm: list[str]) -> list[float]:
    """The same, measured once more where the machine stood still meanwhile, twice at most."""
    async with watched() as pauses:
        for _ in range(3):
            began = time.monotonic()
            took = await served(world, warm)
            if not pauses.stood_since(began):
                break
    return took


@dataclass
class Quickest:
    """Of each answer, the fewest seconds that it took in any life: what one life takes longer is the machine's, and
    what every life takes is the node's."""

    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    lives: int = 0

    def add(self, cold: list[float], warm: list[float]) -> None:
        self.cold = [min(pair) for pair in zip(cold, self.cold or cold, strict=True)]
        self.warm = [min(pair) for pair in zip(warm, self.warm or warm, strict=True)]
        self.lives += 1
        print(f"life {self.lives}: cold {max(cold) * 1e3:.0f} ms, warm {max(warm) * 1e3:.0f} ms")

    @property
    def soon(self) -> bool:
        """Whether the slowest answer was there in time."""
        return max(self.cold) < 1 and max(self.warm) < 0.05


async def begun_anew(life: TwoParents, number: int) -> None:
    """Another process of the node, for which the parents answered until now."""
    hang(life, False)
    await life.stop()
    await life.start()
    await heard_of(life, number)
    hang(life, True)


async def test_held_is_served_at_once_and_the_rest_is_a_503_soon(lives: list[TwoParents]) -> None:
    world, *others = lives
    image = world.parent.add_image("1", LAYER)
    named = world.parent.add_image("2", NAMED)
    warm = ["manifests/1", f"manifests/{image}", f"blobs/{Digest.of(LAYER)}"]
    for life in lives:
        await life.start()
        for path in (*warm, f"manifests/{named}"):
            await eventually(
                lambda life=life, path=path: asked(life, "GET", path), path, until=lambda said: said[0] == 200
            )
    cold = never_asked_for(image)
    hang(world, True)
    quickest = Quickest()

    async def look(life: TwoParents) -> None:
        quickest.add(await refused(life, cold), await served_awake(life, warm))
        status = (await asked(life, "HEAD", f"blobs/{Digest.of(NAMED)}"))[0]
        assert status == 503, "what a manifest says of its size is a hint, and nobody else can be asked"

    await look(world)
    while quickest.lives < FEWEST or (quickest.lives < MOST and not quickest.soon):
        life = others[quickest.lives % len(others)]
        await begun_anew(life, quickest.lives)
        await look(life)
    assert quickest.soon, quickest
    hang(life, False)
    await eventually(
        lambda: life.get(life.blob(Digest.of(NAMED))),
        "the parents to be asked again",
        seconds=60,
        pause=0.05,
        until=lambda answer: same(answer, 200, NAMED),
    )
