"""A site, served by processes of its own, behind a link that can be made to misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from registry_mesh.oci.digest import Digest
from tests.clients import nodes, registries
from tests.simulators.cloud import Cloud, cloud_of
from tests.simulators.link import Link
from tests.simulators.parent import PlainParent, plain_parent
from tests.simulators.pauses import Pauses, patient


def same(answer: tuple[int, bytes], status: int, body: bytes) -> bool:
    """Whether that is what came. A function: pytest would look for the difference of megabytes for minutes."""
    return answer[0] == status and answer[1] == body


@dataclass
class SiteBehindLink:
    """`parent` ← `link` ← `node`, and a client of the node."""

    parent: PlainParent
    link: Link
    node: nodes.Node
    client: aiohttp.ClientSession
    pauses: Pauses

    @property
    def moved(self) -> int:
        """Bytes of bodies that crossed the link, but those of pings: each process of the node sends one wherever it has
        not heard of the parent for some seconds."""
        return self.link.counts.body_bytes - self.link.counts.ping_bytes

    def blob(self, digest: Digest) -> str:
        return f"{self.node.url}/v2/team/app/blobs/{digest}"

    async def get(self, url: str, span: tuple[int, int] | None = None) -> tuple[int, bytes]:
        """Status and body; a body that breaks off raises aiohttp.ClientPayloadError, where no pause was its cause."""
        headers = {"Range": f"bytes={span[0]}-{span[1] - 1}"} if span else {}

        async def ask() -> tuple[int, bytes]:
            async with self.client.get(url, headers=headers) as answer:
                return answer.status, await answer.read()

        return await self.pauses.whole(ask)

    async def keeps(self, digest: Digest, data: bytes) -> bool:
        """Whether the blob, which is served in any case, is served the second time without the parent."""
        assert same(await self.get(self.blob(digest)), 200, data)
        self.link.reset_counts()
        assert same(await self.get(self.blob(digest)), 200, data)
        return self.moved == 0

    async def start(self) -> None:
        """Unless it runs."""
        if self.node.process is None:
            await asyncio.to_thread(self.node.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self.node.stop)

    async def kill(self) -> None:
        await asyncio.to_thread(self.node.kill)

    def configure(self, **more: Any) -> None:
        """Write the configuration anew; it holds from the next start."""
        tags = more.pop("tags", {"ttl": "1s", "stale_while_revalidate": "1s"})
        store = more.pop("store", None)
        config: dict[str, Any] = {
            "role": "site",
            "registries": nodes.registries(self.link.url, tags=tags),
            **more,
        }
        if store is not None:
            config["store"] = store
        self.node.change(config)


@asynccontextmanager
async def site_behind_link(folder: Path) -> AsyncIterator[SiteBehindLink]:
    """Not started yet. Two workers."""
    async with AsyncExitStack() as stack:
        parent = await stack.enter_async_context(plain_parent())
        link = await stack.enter_async_context(Link("127.0.0.1", parent.port))
        client, pauses = await stack.enter_async_context(patient())
        node = nodes.site(folder / "site", link.url)
        world = SiteBehindLink(parent, link, node, client, pauses)
        world.configure(workers=2)
        try:
            yield world
        finally:
            await world.kill()


@pytest_asyncio.fixture
async def behind_link(tmp_path: Path) -> AsyncIterator[SiteBehindLink]:
    async with site_behind_link(tmp_path) as world:
        yield world


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Docker's registry, which rules push to. It deletes nothing."""
    with registries.docker_registry(tmp_path_factory.mktemp("cloud") / "registry") as url:
        yield url


@pytest_asyncio.fixture
async def cloud(there: str) -> AsyncIterator[Cloud]:
    """A gateway before it."""
    async with cloud_of(there) as made:
        yield made
