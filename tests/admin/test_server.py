"""The admin listener over real sockets, read by Prometheus' own parser."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

import aiohttp
import bcrypt
import pytest
from prometheus_client.parser import text_string_to_metric_families

from registry_mesh.access.gate import Gate
from registry_mesh.admin.node import Readiness
from registry_mesh.admin.server import AdminServer
from registry_mesh.admin.status import (
    NodeStatus,
    RegistryStatus,
    StoreStatus,
    WorkerStatus,
    counters,
    parent_status,
)
from registry_mesh.ports.standing import Quota, Standing, State
from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Layout, Table
from tests.eventually import eventually

DOWN = Standing(State.DOWN, 40.0, "timed out", 104.0, 0.012, "timed out", 98.0, Quota(7, 100, None))
PARENT = parent_status("http://p", DOWN, 100.0, available_to=1, lies=0)


class FakeNode:
    """Implements `admin.node.Node`."""

    def __init__(self) -> None:
        self.table = Table(Layout(values={"parent": ["http://p"]}), 2)
        self.answer = Readiness(True)

    def readiness(self) -> Readiness:
        return self.answer

    async def status(self) -> NodeStatus:
        return NodeStatus(
            role="site",
            name="zürich",
            version="1",
            uptime_seconds=1.5,
            ready=True,
            listen="127.0.0.1:5000",
            store=StoreStatus("disk", 5, None, None),
            workers=[WorkerStatus(7, "serving", 1.0, 0.0)],
            registries={"one.example": RegistryStatus(True, [[PARENT]])},
            scrub=None,
            replication=None,
            counters=counters(self.table),
        )


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
async def client(node: FakeNode) -> AsyncIterator[aiohttp.ClientSession]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = AdminServer(node, {"role": "site", "name": "s1", "version": "0"})
    await server.start(listener)
    port = listener.getsockname()[1]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session
    await server.close()


async def test_health_and_readiness(client: aiohttp.ClientSession, node: FakeNode) -> None:
    for path in ("/livez", "/healthz", "/readyz"):
        async with client.get(path) as answer:
            assert (answer.status, await answer.text()) == (200, "ok\n")
    node.answer = Readiness(False, "shutting down")
    async with client.get("/readyz") as answer:
        assert (answer.status, await answer.text()) == (503, "not ready: shutting down\n")
    async with client.get("/livez") as answer:
        assert answer.status == 200


async def test_whoever_was_let_in_is_answered_before_the_server_goes(node: FakeNode) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    after = listener.dup()  # the next server's
    server = AdminServer(node, {"role": "site", "name": "s1", "version": "0"})
    await server.start(listener)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{after.getsockname()[1]}") as session:
        async with session.get("/livez") as answer:
            await answer.read()
        leaving = asyncio.create_task(server.leave())
        async with session.get("/livez") as answer:  # on the same connection
            assert (answer.status, answer.headers["Connection"]) == (200, "close"), "and not for ever"
        await leaving
        await server.close()
        after.setblocking(False)
        with pytest.raises(BlockingIOError):
            after.accept()
        with socket.create_connection(after.getsockname()):
            assert await asyncio.get_running_loop().sock_accept(after), "the next is the next server's"
    after.close()


async def test_metrics_of_all_rows(client: aiohttp.ClientSession, node: FakeNode) -> None:
    for row in range(2):
        instruments = node.table.row(row)
        instruments.counter(names.REQUESTS, "other", "blob", "GET", "2xx").add(row + 1)
        instruments.histogram(names.REQUEST_SECONDS, "blob").observe(0.05)
        instruments.counter(names.UPSTREAM_BYTES, "other", "http://p").add(7)
    async with client.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        families = {family.name: family for family in text_string_to_metric_families(await answer.text())}
    values = {
        (s.name, tuple(sorted(s.labels.items()))): s.value for f in families.values() for s in f.samples
    }
    blob_gets = (("code", "2xx"), ("endpoint", "blob"), ("method", "GET"), ("registry", "other"))
    assert values["registry_mesh_requests_total", blob_gets] == 3
    assert values["registry_mesh_upstream_bytes_total", (("parent", "http://p"), ("registry", "other"))] == 14
    assert values["registry_mesh_request_seconds_bucket", (("endpoint", "blob"), ("le", "0.025"))] == 0
    assert values["registry_mesh_request_seconds_bucket", (("endpoint", "blob"), ("le", "+Inf"))] == 2
    assert values["registry_mesh_request_seconds_sum", (("endpoint", "blob"),)] == pytest.approx(0.1)
    assert values["registry_mesh_build_info", (("name", "s1"), ("role", "site"), ("version", "0"))] == 1
    assert not [name for name in families if name.endswith("_created")]


async def test_status_is_json(client: aiohttp.ClientSession) -> None:
    async with client.get("/status") as answer:
        assert answer.content_type == "application/json"
        told = await answer.json()
    assert (told["role"], told["name"], told["scrub"]) == ("site", "zürich", None)
    assert told["store"] == {"kind": "disk", "used_bytes": 5, "quota_bytes": None, "fault": None}
    [[parent]] = told["registries"]["one.example"]["parents"]
    assert told["registries"]["one.example"]["default"] is True
    assert (parent["url"], parent["state"], parent["why"]) == ("http://p", "down", "timed out")
    assert (parent["since_seconds"], parent["next_try_seconds"], parent["latency_ms"]) == (60.0, 4.0, 12.0)
    assert (parent["last_error"], parent["last_error_seconds"]) == ("timed out", 2.0)
    assert (parent["quota_remaining"], parent["quota_limit"]) == (7, 100)
    assert (parent["available_to"], parent["lies"]) == (1, 0)
    assert told["workers"][0]["state"] == "serving"


async def test_status_counts_what_is_not_zero(client: aiohttp.ClientSession, node: FakeNode) -> None:
    node.table.row(0).counter(names.LIES, "other", "http://p").add(3)
    node.table.row(1).counter(names.LIES, "other", "http://p").add(1)
    node.table.row(1).counter(names.ROTTEN).add(2)
    async with client.get("/status") as answer:
        told = await answer.json()
    assert told["counters"] == {names.LIES.name: {"http://p": 4}, names.ROTTEN.name: 2}


async def test_from_elsewhere_only_with_a_login(node: FakeNode) -> None:
    gate = Gate({"oona": bcrypt.hashpw(b"oona", bcrypt.gensalt(4)).decode()}, time.time)

    async def from_elsewhere(peer: str, authorization: str | None) -> bool:
        assert peer == "127.0.0.1"
        assert await gate.lets_in(peer, None), "the machine itself needs no login"
        return await gate.lets_in("192.0.2.1", authorization)

    server = AdminServer(node, {"role": "site", "name": "x", "version": "1"}, lets_in=from_elsewhere)
    listener = socket.create_server(("127.0.0.1", 0))
    await server.start(listener)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    good, wrong = (
        {"Authorization": aiohttp.encode_basic_auth("oona", password)} for password in ("oona", "wrong")
    )
    try:
        async with aiohttp.ClientSession() as client:
            for path in ("/", "/metrics", "/status", "/api/1/findings", "/api/1/images", "/nothing"):
                for headers in ({}, wrong):
                    async with client.get(url + path, headers=headers) as answer:
                        assert (answer.status, "WWW-Authenticate" in answer.headers) == (401, True), path
            for path in ("/livez", "/healthz", "/readyz"):
                async with client.get(url + path) as answer:
                    assert answer.status == 200
            for _ in ("hashed", "remembered"):
                async with client.get(f"{url}/status", headers=good) as answer:
                    assert answer.status == 200
            async with client.post(f"{url}/status", headers=wrong) as answer:
                assert answer.status == 401
    finally:
        await server.close()


async def test_actions_and_refused_logins_are_told(node: FakeNode) -> None:
    told: list[tuple[str, dict[str, object]]] = []
    let_in = [False, True]

    async def lets_in(peer: str, authorization: str | None) -> bool:
        return let_in.pop(0)

    server = AdminServer(
        node,
        {"role": "site", "name": "x", "version": "1"},
        lets_in=lets_in,
        audit=lambda e, **said: told.append((e, said)),
    )
    listener = socket.create_server(("127.0.0.1", 0))
    await server.start(listener)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    claimed = {"Authorization": aiohttp.encode_basic_auth("eve\n", "secret")}
    try:
        async with aiohttp.ClientSession() as client:
            for status in (401, 405):
                async with client.post(f"{url}/status?token=secret", headers=claimed) as answer:
                    assert answer.status == status
    finally:
        await server.close()
    said = {"subject": None, "client": "127.0.0.1", "method": "POST", "path": "/status", "reference": None}
    assert told == [("admin-refused", said | {"status": 401}), ("admin", said | {"status": 405})]


async def test_what_is_no_http_is_a_line_of_the_log(
    client: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    async with client.get("/livez") as answer:
        base = answer.url
    reader, writer = await asyncio.open_connection(base.host, base.port)
    writer.write(b"GET /status HTTP/1.1\r\nHost: x\r\nX: \0\r\n\r\n")
    assert (await reader.readline()).endswith(b" 400 Bad Request\r\n")
    writer.close()
    (record,) = [each for each in caplog.records if each.name == "registry_mesh.admin.connection"]
    assert (record.levelname, record.getMessage(), record.exc_info) == (
        "WARNING",
        "what came was no HTTP",
        None,
    )


@pytest.mark.parametrize(
    "said",
    [
        b"GET /status HTTP/1.1\r\nHost: x\r\nX: \0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nExpect: teapot\r\nConnection: close\r\n\r\n",
        b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"DELETE /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
    ids=["nul", "http2", "tls", "lengths", "line", "expect", "404", "405"],
)
async def test_no_answer_says_what_the_node_is_made_of(client: aiohttp.ClientSession, said: bytes) -> None:
    """By its name and version somebody finds out which holes of a library are open."""
    async with client.get("/livez") as answer:
        reader, writer = await asyncio.open_connection(answer.url.host, answer.url.port)
    writer.write(said)
    async with asyncio.timeout(60):
        answered = (await reader.read()).lower()
    writer.close()
    assert answered.startswith(b"http/1."), answered
    assert not [word for word in (b"aiohttp", b"python", b"llhttp", b"traceback") if word in answered], (
        answered
    )


@pytest.mark.parametrize("said", [b"", b"GET /livez HTTP/1.1\r\nHo", b"POST /api/1/runs HTTP/1.1\r\n"])
async def test_a_connection_that_never_asks_is_closed(node: FakeNode, said: bytes) -> None:
    """By anybody who reaches the address, login or not; one that asked is kept meanwhile, for its next request."""
    server = AdminServer(node, {"role": "site", "name": "x", "version": "1"})
    listener = socket.create_server(("127.0.0.1", 0))
    await server.start(listener, patience=0.5)
    try:
        port = listener.getsockname()[1]
        kept, asking = await eventually(lambda: one_that_asked(port), "one that asks in time")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        async with asyncio.timeout(60):
            with contextlib.suppress(ConnectionResetError):  # it came in the moment of the closing
                assert await reader.read() == b""
        asking.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await kept.readuntil(b"ok\n"), "it had asked before"
        for each in (writer, asking):
            each.close()
    finally:
        await server.close()


async def one_that_asked(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    """A connection on which a request was answered; none where the process stood still meanwhile."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    try:
        await reader.readuntil(b"ok\n")
    except (asyncio.IncompleteReadError, ConnectionResetError):
        writer.close()
        return None
    return reader, writer


async def test_of_many_connections_the_oldest_is_dropped(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever was let in stays, and whoever comes is heard: the probes of a scheduler and the operator's commands."""
    server = AdminServer(node, {"role": "site", "name": "x", "version": "1"})
    listener = socket.create_server(("127.0.0.1", 0))
    await server.start(listener, most=4)
    port = listener.getsockname()[1]
    try:
        kept, asking = await asyncio.open_connection("127.0.0.1", port)
        asking.write(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await kept.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        crowd = []
        for said in 6 * (
            b"",
            b"GET /livez HTTP/1.1\r\nHo",
            b"POST /api/1/runs HTTP/1.1\r\nContent-Length: 9\r\n\r\n",
        ):
            crowd.append(await asyncio.open_connection("127.0.0.1", port))
            crowd[-1][1].write(said)
            async with aiohttp.request("GET", f"http://127.0.0.1:{port}/livez") as answer:
                assert answer.status == 200
        async with asyncio.timeout(60):
            for reader, _ in crowd[:-4]:
                with contextlib.suppress(ConnectionResetError):
                    await reader.read()
        asking.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(60):
            assert b"HTTP/1.1 200 " in await kept.readuntil(b"ok\n"), "it was let in before"
        (line,) = [each.getMessage() for each in caplog.records if each.name == "registry_mesh.admin.crowd"]
        assert line == "more than 4 connections to the operator's listener: the oldest are dropped"
        for _, writer in [*crowd, (kept, asking)]:
            writer.close()
    finally:
        await server.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /status HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 200,
        b"GET /status HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 10_000,
        b"GET /" + b"y" * 10_000 + b" HTTP/1.1\r\n",
    ],
)
async def test_a_head_without_end_is_refused(node: FakeNode, head: bytes) -> None:
    server = AdminServer(node, {"role": "site", "name": "x", "version": "1"})
    listener = socket.create_server(("127.0.0.1", 0))
    await server.start(listener)
    try:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(head)
        async with asyncio.timeout(60):
            assert (await reader.readuntil(b"\r\n")).split()[1] == b"400"
        writer.close()
    finally:
        await server.close()
