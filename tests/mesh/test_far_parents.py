"""Parents far away work from the first request: the table of `docs/registries.md`, "Parents far away"."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import trustme
import yaml

from registry_mesh.assembly.node.build import running
from registry_mesh.assembly.runs.replicator import open_replicator
from registry_mesh.config.schema import Config
from registry_mesh.oci.digest import Digest
from tests.simulators.distance import Distance, distance
from tests.simulators.parent import PlainParent, plain_parent

pytestmark = pytest.mark.slow

LAYER = b"a layer" * 30_000


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class Far:
    """A parent, the way to it, and a configuration's `registries` for it."""

    def __init__(self, parent: PlainParent, way: Distance, scheme: str, ca: str) -> None:
        self.parent, self.way = parent, way
        url = f"{scheme}://127.0.0.1:{way.port}"
        self.registries = {"r.example": {"default": True, "parents": [[url]], "ca": ca}}


@asynccontextmanager
async def far(way: str, rtt: float, authority: trustme.CA, folder: Path) -> AsyncIterator[Far]:
    """A parent that `way`, http or https, leads to; a round trip takes `rtt` seconds."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if way == "https" else None
    if tls is not None:
        authority.issue_cert("127.0.0.1").configure_cert(tls)
    ca = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    async with plain_parent(tls) as parent, distance(parent.port, rtt) as between:
        parent.add_image("1", LAYER)
        yield Far(parent, between, way, str(ca))


def _config(far: Far, role: str, folder: Path) -> Config:
    config = {
        "role": role,
        "listen": {"address": "127.0.0.1", "port": 0},
        "admin": {"port": 0},
        "store": {"disk": {"path": str(folder / "store")}},
        "registries": far.registries,
    }
    if role == "replica":
        rules = folder / "rules"
        rules.mkdir()
        rule = {"name": "all", "from": "r.example", "repos": ["team/app"], "tags": ["*"]}
        (rules / "r.yaml").write_text(yaml.safe_dump({"schema": "registry-mesh/rules/1", "rules": [rule]}))
        config["rules"] = str(rules)
    return Config.model_validate(config)


Ask = Callable[[str, Far, Path], Awaitable[None]]


async def over_all_ways(ask: Ask, authority: trustme.CA, folder: Path) -> None:
    """Let nodes of their own `ask`, all at once: they do nothing but wait."""

    async def over(scheme: str, rtt: float) -> None:
        name = f"{scheme}-{rtt}"
        (folder / name).mkdir()
        async with far(scheme, rtt, authority, folder / name) as parent:
            await ask(name, parent, folder / name)

    async with asyncio.TaskGroup() as ways:
        for scheme in ("http", "https"):
            for rtt in (0.0, 0.14, 0.6):
                ways.create_task(over(scheme, rtt))


async def test_a_site_s_first_requests(authority: trustme.CA, tmp_path: Path) -> None:
    async def ask(name: str, far: Far, folder: Path) -> None:
        async with running(_config(far, "site", folder)) as node, aiohttp.ClientSession() as client:
            for path, body in (
                ("manifests/1", far.parent.manifests["1"][1]),
                (f"blobs/{Digest.of(LAYER)}", LAYER),
            ):
                began = time.monotonic()
                async with client.get(f"{node.url}/v2/team/app/{path}") as answer:
                    assert (answer.status, await answer.read()) == (200, body), name
                print(f"site {name} {path[:12]}: {time.monotonic() - began:.2f} s")

    await over_all_ways(ask, authority, tmp_path)


async def test_a_replica_s_first_run(authority: trustme.CA, tmp_path: Path) -> None:
    async def ask(name: str, far: Far, folder: Path) -> None:
        began = time.monotonic()
        async with open_replicator(_config(far, "replica", folder)) as replicator:
            outcome = await replicator.run()
        print(f"replica {name}: {time.monotonic() - began:.2f} s")
        assert outcome.complete, (name, outcome.troubles)
        assert outcome.tags == 1

    await over_all_ways(ask, authority, tmp_path)
