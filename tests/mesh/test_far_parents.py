"""Parents far away work from the first request: the table of `docs/registries.md`, "Parents far away"."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
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


@pytest_asyncio.fixture
async def far(request: pytest.FixtureRequest, authority: trustme.CA, tmp_path: Path) -> AsyncIterator[Far]:
    scheme, rtt = request.param
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if scheme == "https" else None
    if tls is not None:
        authority.issue_cert("127.0.0.1").configure_cert(tls)
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    async with plain_parent(tls) as parent, distance(parent.port, rtt) as way:
        parent.add_image("1", LAYER)
        yield Far(parent, way, scheme, str(ca))


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


WAYS = [(scheme, rtt) for rtt in (0.0, 0.14, 0.6) for scheme in ("http", "https")]


@pytest.mark.parametrize("far", WAYS, indirect=True, ids=lambda way: f"{way[0]}-{way[1]}")
async def test_a_site_s_first_requests(far: Far, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    async with running(_config(far, "site", tmp_path)) as node, aiohttp.ClientSession() as client:
        for path, body in (
            ("manifests/1", far.parent.manifests["1"][1]),
            (f"blobs/{Digest.of(LAYER)}", LAYER),
        ):
            began = time.monotonic()
            async with client.get(f"{node.url}/v2/team/app/{path}") as answer:
                assert (answer.status, await answer.read()) == (200, body)
            print(f"site {request.node.name} {path[:12]}: {time.monotonic() - began:.2f} s")


@pytest.mark.parametrize("far", WAYS, indirect=True, ids=lambda way: f"{way[0]}-{way[1]}")
async def test_a_replica_s_first_run(far: Far, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    began = time.monotonic()
    async with open_replicator(_config(far, "replica", tmp_path)) as replicator:
        outcome = await replicator.run()
    print(f"replica {request.node.name}: {time.monotonic() - began:.2f} s")
    assert outcome.complete, outcome.troubles
    assert outcome.tags == 1
