"""A digest is given only through a repository that names it, whatever a site has of the blob and wherever it has it.

Rows are what the site has (a part that comes in right now, all of it, nothing after its quota took it, what is left
where the index is lost, all of it while no parent answers), on a disk and on a bucket; columns are the shapes of a
request. Strangers are another repository, another registry whose parent answers, and one whose parent is dead.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.oci.digest import Digest
from registry_mesh.stores.bucket.bounds import BucketBounds, keep_within
from registry_mesh.stores.bucket.settings import S3Credentials, S3Settings
from registry_mesh.stores.bucket.store import S3Store
from registry_mesh.stores.disk.layout import Layout
from tests.clients import nodes
from tests.eventually import eventually
from tests.simulators.bucket import Bucket
from tests.simulators.link import Link
from tests.simulators.parent import PlainParent, plain_parent
from tests.simulators.pauses import Pauses, patient
from tests.simulators.ports import free_port
from tests.suites.bytes_of import pattern

pytestmark = pytest.mark.slow

OWN, OTHER, DEAD = "own.example", "other.example", "dead.example"
STRANGERS = (f"somebody/else|{OWN}", f"team/app|{OTHER}", f"team/app|{DEAD}")
LAYER = pattern(6 * MIB + 7, seed=1)
DIGEST = Digest.of(LAYER)
RANGE = {"Range": "bytes=1000-1999"}
UNKNOWN = {404}
NOBODY_SAYS = {404, 503}
"""Of what is not here, where no parent of that registry answers."""


@dataclass
class Shape:
    """One way to ask for a digest."""

    name: str
    method: str
    kind: str
    fields: dict[str, str] = field(default_factory=dict)


SHAPES = (
    Shape("blob HEAD", "HEAD", "blobs"),
    Shape("blob GET", "GET", "blobs"),
    Shape("blob range", "GET", "blobs", RANGE),
    Shape("blob two ranges", "GET", "blobs", {"Range": "bytes=0-9,1000-1009"}),
    Shape("blob beyond", "GET", "blobs", {"Range": "bytes=999999999-"}),
    Shape("blob known", "GET", "blobs", {"If-None-Match": f'"{DIGEST}"'}),
    Shape("blob if cached", "GET", "blobs", {"Cache-Control": "only-if-cached"}),
    Shape("blob as manifest", "GET", "manifests"),
    Shape("manifest HEAD", "HEAD", "image"),
    Shape("manifest GET", "GET", "image"),
    Shape("manifest as blob", "GET", "image-blob"),
    Shape("chunk map", "GET", "map"),
)


def may_be_told(shape: Shape, whose: str, refuses: bool) -> set[int]:
    """What strangers are told, held or not. `refuses`: the parent does that, which said before what it lacks."""
    told = UNKNOWN
    if shape.kind != "map" and (refuses or whose.endswith(DEAD)):
        told = NOBODY_SAYS if refuses else {503}
    if "only-if-cached" in shape.fields.values():
        told = {504} if told is not NOBODY_SAYS else {404, 504}
    return told


@dataclass
class World:
    """A site of two registries that answer, and of one whose parent is dead."""

    parent: PlainParent
    link: Link
    node: nodes.Node
    client: aiohttp.ClientSession
    pauses: Pauses
    image: Digest
    table: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def url(self, whose: str, shape: Shape) -> str:
        repository, registry = whose.split("|")
        path = {
            "blobs": f"blobs/{DIGEST}",
            "manifests": f"manifests/{DIGEST}",
            "image": f"manifests/{self.image}",
            "image-blob": f"blobs/{self.image}",
            "map": f"_mesh/chunks/{DIGEST}",
        }[shape.kind]
        return f"{self.node.url}/v2/{repository}/{path}?ns={registry}"

    async def ask(self, whose: str, shape: Shape) -> tuple[int, bytes, str]:
        """Status, body, where the client is sent to."""
        url = self.url(whose, shape)

        async def ask() -> tuple[int, bytes, str]:
            async with self.client.request(
                shape.method, url, headers=shape.fields, allow_redirects=False
            ) as answer:
                return answer.status, await answer.read(), answer.headers.get("Location", "")

        return await self.pauses.whole(ask)

    async def strangers(self, state: str) -> None:
        """Each asks for everything, twice: the second answer may be a hot one."""
        for shape in SHAPES:
            told = []
            for whose in STRANGERS * 2:
                status, body, sent_to = await self.ask(whose, shape)
                told.append(status)
                wanted = may_be_told(shape, whose, self.link.conditions.refuse)
                if status not in wanted or sent_to or LAYER[:64] in body:
                    self.wrong.append(f"{state}: {shape.name} by {whose}: {status} {sent_to}")
            self.table.append(f"{state:28} {shape.name:18} {' '.join(map(str, told))}")

    async def owner(self, state: str) -> None:
        """It has its bytes, whole and in part, and its manifest."""
        for shape, wanted in ((SHAPES[1], LAYER), (SHAPES[2], LAYER[1000:2000]), (SHAPES[9], None)):
            url = self.url(f"team/app|{OWN}", shape)
            async with self.client.request(shape.method, url, headers=shape.fields) as answer:
                got = await answer.read()
                fits = Digest.of(got) == self.image if wanted is None else got == wanted
                if answer.status not in (200, 206) or not fits:
                    self.wrong.append(f"{state}: {shape.name} by its owner: {answer.status} {got[:90]!r}")

    async def filling(self, state: str) -> None:
        """While a part of it is here and the rest is on its way."""
        self.link.conditions.rate = 2e6
        self.link.reset_counts()
        pulling = await eventually(self._fetched, "a part of it")
        self.link.conditions.rate = 2e4
        await self.strangers(state)
        assert not pulling.done(), "it was on its way all the time"
        self.link.conditions.rate = None
        assert (await pulling)[1] == LAYER
        await self.owner(state)

    async def _fetched(self) -> asyncio.Future[tuple[int, bytes, str]] | None:
        """A pull of which a part has come; None where a process that has the file open still gave it all."""
        pulling = asyncio.ensure_future(self.ask(f"team/app|{OWN}", SHAPES[1]))
        await eventually(lambda: self.link.counts.body_bytes > MIB or pulling.done(), "some of it")
        if self.link.counts.body_bytes > MIB:  # answers to pings cross the link at any time
            return pulling
        assert (await pulling)[:2] == (200, LAYER), "it was asked of nobody"
        return None

    async def evicted(self, store: Path) -> None:
        """Pull other blobs until the layer is not on the disk. Whoever asked for it would be using it."""
        layer = Layout(store).blob(DIGEST)
        for seed in range(2, 400):
            if not layer.exists():
                return
            digest = self.parent.add(pattern(6 * MIB, seed=seed))
            for _ in range(2):  # what is pulled once never drives out what was pulled twice
                async with self.client.get(f"{self.node.url}/v2/team/app/blobs/{digest}?ns={OWN}") as answer:
                    assert answer.status == 200 and len(await answer.read()) == 6 * MIB
        raise AssertionError("it is never given up")

    async def in_bucket(self, spool: Path) -> None:
        """Until the bucket has the layer: a server whose spool is empty gives it without a parent."""
        self.link.conditions.refuse = True

        async def given() -> bool:
            await self.restarted(spool)
            return (await self.ask(f"team/app|{OWN}", SHAPES[2]))[0] in (206, 307)

        await eventually(given, "the bucket to have it", 120, pause=0.5)
        self.link.conditions.refuse = False

    async def restarted(self, *lost: Path) -> None:
        """Stop, lose these, start."""
        await asyncio.to_thread(self.node.stop)
        for each in lost:
            shutil.rmtree(each)
        await asyncio.to_thread(self.node.start)


@pytest_asyncio.fixture
async def worlds(tmp_path: Path) -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:

        async def make(store: dict[str, Any], keys: dict[str, str], **more: Any) -> World:
            parent = await stack.enter_async_context(plain_parent())
            other = await stack.enter_async_context(plain_parent())
            link = await stack.enter_async_context(Link("127.0.0.1", parent.port))
            node = nodes.site(tmp_path / "site", link.url, workers=2, store=store)
            of = {OWN: link.url, OTHER: other.url, DEAD: f"http://127.0.0.1:{free_port()}"}
            node.change(
                {
                    "role": "site",
                    "workers": 2,
                    "registries": {name: {"parents": [[url]], "hedge": "none"} for name, url in of.items()},
                    "store": store,
                    **more,
                }
            )
            node.environment = keys
            stack.push_async_callback(asyncio.to_thread, node.kill)
            client, pauses = await stack.enter_async_context(patient())
            image = parent.add_image("1", LAYER)
            await asyncio.to_thread(node.start)
            return World(parent, link, node, client, pauses, image)

        yield make


async def test_on_a_disk(worlds: Any, tmp_path: Path) -> None:
    store = tmp_path / "site" / "store"
    world: World = await worlds({"disk": {"path": str(store), "quota": 48 * MIB}}, {})
    await world.strangers("cold")
    assert (await world.ask(f"team/app|{OWN}", SHAPES[9]))[0] == 200
    await world.filling("filling")
    await world.strangers("held")
    await world.evicted(store)
    await world.strangers("evicted")
    await world.filling("filling once more")
    await world.restarted(store / "index")
    await world.owner("index lost")
    await world.strangers("index lost")
    await world.restarted(store / "index")
    world.link.conditions.refuse = True
    await world.strangers("index lost, offline")
    await world.owner("index lost, offline")
    await world.strangers("offline")
    print("", *world.table, sep="\n")
    assert world.wrong == []


@pytest.mark.s3
async def test_on_a_bucket_that_clients_are_sent_to(worlds: Any, bucket: Bucket, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    store = {
        "bucket": bucket.name,
        "endpoint": bucket.endpoint,
        "region": bucket.region,
        "prefix": bucket.prefix(),
        "redirect": "blobs",
        "redirect_min": "1MiB",
        "spool": {"path": str(spool), "quota": 48 * MIB},
    }
    world: World = await worlds({"s3": store}, bucket.keys)
    await world.strangers("cold")
    assert (await world.ask(f"team/app|{OWN}", SHAPES[9]))[0] == 200
    await world.filling("filling")
    await world.strangers("held")
    await world.in_bucket(spool)
    await world.restarted(spool)
    await world.strangers("in the bucket alone")
    await world.owner("in the bucket alone")
    await world.restarted(spool)
    world.link.conditions.refuse = True
    await world.strangers("in the bucket, offline")
    await world.owner("in the bucket, offline")
    await world.strangers("spooled, offline")
    world.link.conditions.refuse = False
    await world.restarted(spool)
    credentials = S3Credentials(bucket.access_key, bucket.secret_key)
    settings = S3Settings(
        bucket.name, bucket.endpoint, store["prefix"], region=bucket.region, credentials=credentials
    )
    opened = await S3Store.start(settings)
    try:
        gone = await keep_within(opened, opened.control, BucketBounds(max_age=0.0), time.time() + 60)
    finally:
        await opened.close()
    assert gone > 0
    await world.restarted(spool)
    await world.strangers("evicted from the bucket")
    await world.filling("filling once more")
    print("", *world.table, sep="\n")
    assert world.wrong == []
