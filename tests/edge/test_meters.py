"""What is counted of requests, and that a mesh node says it is one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio

from registry_mesh.admin.status import cache_status
from registry_mesh.auth.access import AnonymousAccess, Level
from registry_mesh.edge.meters import Meters
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.blobs import Provenance
from registry_mesh.ports.failures import Failure, NotHeld, SourceUnavailable
from registry_mesh.telemetry.instruments import Layout, Table
from registry_mesh.telemetry.names import (
    CACHE,
    CACHE_BYTES,
    FAILURES,
    RECEIVED_BYTES,
    REDIRECTED_BYTES,
    REQUEST_SECONDS,
    REQUESTS,
    REQUESTS_RUNNING,
    SENT_BYTES,
    Metric,
)
from tests.eventually import eventually
from tests.simulators.role import SimulatedRole


@dataclass
class Counted:
    """A server, what it counts, and a client."""

    role: SimulatedRole
    table: Table
    client: aiohttp.ClientSession
    told: list[tuple[str, ...]]
    """What the operator was told."""

    async def ask(self, method: str, path: str, data: bytes | None = None) -> int:
        """The status; returns when the request is counted."""
        before = self.of(REQUESTS)
        async with self.client.request(method, path, data=data, allow_redirects=False) as answer:
            await answer.read()
        await eventually(lambda: self.of(REQUESTS) == before + 1)
        return answer.status

    def of(self, metric: Metric, **labels: str) -> float:
        return self.table.total(metric, **labels)


@pytest_asyncio.fixture(params=["origin", "site"])
async def counted(request: pytest.FixtureRequest) -> AsyncIterator[Counted]:
    table = Table(Layout(), 1)
    role = SimulatedRole(request.param)
    told: list[tuple[str, ...]] = []
    settings = Settings(
        policy=AnonymousAccess(Level.ADMIN), redirect_from=10_000, report=lambda *about: told.append(about)
    )
    server = Server(role, settings, instruments=table.row(0))
    await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
        yield Counted(role, table, client, told)
    await server.close()


async def test_requests_are_counted_by_what_they_asked_and_got(counted: Counted) -> None:
    async with counted.client.get("/v2/") as response:
        assert response.headers["Registry-Mesh"] == counted.role.name
        assert await response.read() == b"{}"
    await eventually(lambda: counted.of(REQUESTS) == 1)
    assert await counted.ask("GET", "/v2/team/app/manifests/none") == 404
    assert await counted.ask("HEAD", "/elsewhere") == 404
    assert counted.of(REQUESTS, endpoint="base", method="GET", code="2xx") == 1
    assert counted.of(REQUESTS, endpoint="manifest", method="GET", code="4xx") == 1
    assert counted.of(REQUESTS, endpoint="other", method="HEAD", code="4xx") == 1
    assert counted.of(REQUESTS) == 3
    assert counted.of(SENT_BYTES, endpoint="base") == 2
    assert counted.of(REQUESTS_RUNNING) == 0


async def test_bytes_are_counted_on_their_side(counted: Counted) -> None:
    digest = await counted.role.shelf("team/app").put_blob(bytes(5000))
    path = f"/v2/team/app/blobs/{digest}"
    assert await counted.ask("GET", path) == 200
    assert await counted.ask("HEAD", path) == 200
    assert counted.of(SENT_BYTES, endpoint="blob") == counted.of(SENT_BYTES) == 5000
    assert counted.of(RECEIVED_BYTES) == 0
    assert counted.of(REQUEST_SECONDS, endpoint="blob") == 2


@pytest.mark.parametrize("counted", ["origin"], indirect=True)
async def test_what_clients_push_is_received(counted: Counted) -> None:
    data = bytes(3000)
    assert await counted.ask("POST", f"/v2/team/app/blobs/uploads/?digest={Digest.of(data)}", data) == 201
    assert counted.of(RECEIVED_BYTES, endpoint="upload") == counted.of(RECEIVED_BYTES) == 3000
    assert counted.of(REQUESTS, endpoint="upload", method="POST", code="2xx") == 1


def test_answers_are_counted_by_registry_and_those_of_unknown_ones_together() -> None:
    table = Table(Layout(values={"registry": ["r.example", "other"]}), 1)
    meters = Meters(table.row(0))
    meters.hit("r.example", "blob", "GET", "blob", 3, 300, 0.0)
    meters.cached("r.example", "blob", Provenance(hit=False), 100)
    meters.cached("elsewhere.example", "tag", Provenance(hit=True), 7)
    meters.cached("", "tag", Provenance(hit=True, stale=True), 1)
    seen = {
        (sample.metric.name, *sample.labels): sample.value
        for sample in table.read()
        if sample.value and sample.metric in (CACHE, CACHE_BYTES)
    }
    assert seen == {
        ("cache_total", "r.example", "blob", "hit"): 3,
        ("cache_total", "r.example", "blob", "miss"): 1,
        ("cache_total", "other", "tag", "hit"): 1,
        ("cache_total", "other", "tag", "stale"): 1,
        ("cache_bytes_total", "r.example", "blob", "hit"): 300,
        ("cache_bytes_total", "r.example", "blob", "miss"): 100,
        ("cache_bytes_total", "other", "tag", "hit"): 7,
        ("cache_bytes_total", "other", "tag", "stale"): 1,
    }
    told = cache_status(table, "r.example")
    assert (told.hit_ratio_requests, told.hit_ratio_bytes, told.saved_bytes) == (0.75, 0.75, 300)
    assert cache_status(table).saved_bytes == 308
    assert cache_status(table, "nobody.example").hit_ratio_requests is None


@pytest.mark.parametrize(
    ("provenance", "result"),
    [
        (Provenance(hit=True), "hit"),
        (Provenance(hit=False), "miss"),
        (Provenance(hit=True, stale=True), "stale"),
    ],
)
async def test_only_a_cache_counts_where_answers_came_from(
    counted: Counted, provenance: Provenance, result: str
) -> None:
    shelf = counted.role.shelf("team/app")

    async def pieces(span: object) -> AsyncIterator[bytes]:
        yield b"abc"

    blob = shelf.script(b"abc", pieces)
    blob.provenance = provenance
    assert await counted.ask("GET", f"/v2/team/app/blobs/{blob.info.digest}") == 200
    expected = {result: 1} if counted.role.name == "site" else {}
    seen = {each: counted.of(CACHE, kind="blob", result=each) for each in ("hit", "miss", "stale")}
    assert {each: times for each, times in seen.items() if times} == expected
    assert counted.of(CACHE) == sum(expected.values())


async def test_what_a_bucket_sends_for_a_cache_is_a_hit_of_that_many_bytes(counted: Counted) -> None:
    async def pieces(span: object) -> AsyncIterator[bytes]:
        raise AssertionError("it is the bucket that sends it")
        yield b""

    blob = counted.role.shelf("team/app").script(bytes(20_000), pieces, "http://bucket/key?signed")
    assert await counted.ask("GET", f"/v2/team/app/blobs/{blob.info.digest}") == 307
    hits = int(counted.role.name == "site")
    assert counted.of(CACHE, kind="blob", result="hit") == counted.of(CACHE) == hits
    assert cache_status(counted.table).saved_bytes == 20_000 * hits
    assert (counted.of(REDIRECTED_BYTES), counted.of(SENT_BYTES)) == (20_000, 0)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (NotHeld("not held here, and nobody was to be asked for it"), 0),
        (SourceUnavailable("no parent answers"), 1),
    ],
    ids=["not-held", "no-parent"],
)
@pytest.mark.parametrize("counted", ["site"], indirect=True)
async def test_the_answer_that_only_if_cached_asks_for_is_no_failure(
    counted: Counted, fault: Failure, told: int
) -> None:
    counted.role.faults["open"] = fault
    assert await counted.ask("GET", f"/v2/team/app/blobs/{Digest.of(b'x')}") in (503, 504)
    assert counted.of(FAILURES) == len(counted.told) == told
