"""Whom the operator's listener answers without a login: nobody's web page, whatever name it gave itself."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import bcrypt
import pytest

from registry_mesh.access.gate import Gate
from registry_mesh.admin.asked_as import AskedAs
from registry_mesh.admin.guard import PROBES
from registry_mesh.admin.server import AdminServer
from tests.admin.test_server import FakeNode

READ = ("/", "/metrics", "/status", "/api/1/findings", "/api/1/events", "/api/1/fills")
LOGIN = {"Authorization": aiohttp.encode_basic_auth("oona", "oona")}
WRONG = {"Authorization": aiohttp.encode_basic_auth("oona", "wrong")}

Ask = Callable[..., AbstractAsyncContextManager[aiohttp.ClientResponse]]


@asynccontextmanager
async def asking(gate: Gate | None, told: list[str] | None = None) -> AsyncIterator[Ask]:
    """Asks a node from its own machine."""
    server = AdminServer(
        FakeNode(),
        {"role": "site", "name": "x", "version": "1"},
        lets_in=gate.lets_in if gate is not None else None,
        audit=lambda event, **said: told.append(f"{event} {said['status']}") if told is not None else None,
        hosts=["site-1", "mesh.example:5001"],
    )
    listener = socket.create_server(("127.0.0.1", 0))
    await server.start(listener)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        async with aiohttp.ClientSession(url) as client:
            yield lambda path, method="GET", **headers: client.request(
                method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
            )
    finally:
        await server.close()


@pytest.fixture
def gate() -> Gate:
    return Gate({"oona": bcrypt.hashpw(b"oona", bcrypt.gensalt(4)).decode()}, time.time)


KNOWN = (
    *("127.0.0.1:5001", "127.0.0.1", "127.8.0.1:1", "[::1]:5001", "[::ffff:127.0.0.1]"),
    *("localhost:5001", "LocalHost", "localhost.", "site-1", "SITE-1:80", "mesh.example"),
)
STRANGE = (
    *("page.example", "page.example:5001", "localhost.page.example", "127.0.0.1.page.example:5001"),
    *("site-1.page.example", "10.1.2.3", "[2001:db8::1]", "0.0.0.0:5001", "0x7f000001", "2130706433"),
    *("", ":5001", "[::1", "127.0.0.1@page.example", "page.example, localhost", "localhost page.example"),
)


def test_names_of_the_node_and_of_others() -> None:
    asked_as = AskedAs(["site-1", "mesh.example:5001"])
    assert [host for host in KNOWN if not asked_as.knows(host, "127.0.0.1")] == []
    assert [host for host in STRANGE if asked_as.knows(host, "127.0.0.1")] == []
    assert asked_as.knows(None, "127.0.0.1"), "no browser"


@pytest.mark.parametrize("own", ["192.0.2.7", "2001:db8::7", ""])
def test_an_address_is_that_of_the_connection(own: str) -> None:
    asked_as = AskedAs([])
    assert asked_as.knows(f"[{own}]:5001" if ":" in own else f"{own}:5001", own) == bool(own)
    assert not asked_as.knows("127.0.0.1:5001", own), "it came to another one"
    assert not asked_as.knows("192.0.2.8", own)


async def test_a_page_whose_name_leads_here_reads_nothing() -> None:
    """DNS rebinding: the page's name resolves to 127.0.0.1, and the browser asks there for the page."""
    told: list[str] = []
    async with asking(None, told) as ask:
        for path in (*READ, "/nothing"):
            async with ask(path, Host="page.example:5001") as answer:
                assert answer.status == 421
                assert await answer.text() == (
                    "this node is not asked as 'page.example:5001': ask it by its address, as localhost or by its"
                    " name, add the name to admin.hosts, or guard the listener with admin.users\n"
                )
        assert told == ["admin-refused 421"] * (len(READ) + 1)
        for host in ("127.0.0.1:9", "localhost", "site-1", "mesh.example"):
            async with ask("/status", Host=host) as answer:
                assert answer.status == 200
        for path in PROBES:  # a kubelet asks by the pod's address, others by any name
            async with ask(path, Host="10.1.2.3:5001") as answer:
                assert answer.status == 200


async def test_a_login_opens_under_any_name(gate: Gate) -> None:
    """A scraper that asks by a service's name, and a proxy that hands on the name it was asked by."""
    async with asking(gate) as ask:
        for headers, status in (
            ({}, 200),
            ({"Host": "page.example"}, 401),
            ({"Host": "page.example", **WRONG}, 401),
            ({"Host": "mesh-admin.monitoring.svc:5001", **LOGIN}, 200),
            ({"X_Forwarded_For": "192.0.2.1"}, 401),
            ({"Forwarded": "for=192.0.2.1"}, 401),
            ({"X_Real_IP": "192.0.2.1", **LOGIN}, 200),
        ):
            async with ask("/status", **headers) as answer:
                assert answer.status == status, headers


@pytest.mark.parametrize(
    "page",
    [
        {"Origin": "http://page.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:5001"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
async def test_no_page_changes_anything(gate: Gate, page: dict[str, str]) -> None:
    """Not even by a browser that has the operator's login."""
    for guard in (None, gate):
        told: list[str] = []
        async with asking(guard, told) as ask:
            for path in ("/api/1/runs", "/api/1/images/evict", "/status"):
                async with ask(path, "POST", **page, **LOGIN) as answer:
                    assert (answer.status, "web page" in await answer.text()) == (403, True)
            async with ask("/status", "POST", Sec_Fetch_Site="none", **LOGIN) as answer:
                assert answer.status == 405, "nobody's page"
        assert told == ["admin-refused 403"] * 3 + ["admin 405"]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET http://page.example/status HTTP/1.1\r\nHost: localhost\r\n", 421),
        (b"GET http://localhost/status HTTP/1.1\r\nHost: page.example\r\n", 200),
        (b"GET /status HTTP/1.1\r\nHost: localhost\r\nHost: page.example\r\n", 400),
        (b"GET /livez/../status HTTP/1.1\r\nHost: page.example\r\n", 421),
        (b"GET /status HTTP/1.0\r\n", 200),
    ],
)
async def test_whom_a_head_asks(head: bytes, status: int) -> None:
    server = AdminServer(FakeNode(), {"role": "site", "name": "x", "version": "1"})
    listener = socket.create_server(("127.0.0.1", 0))
    await server.start(listener)
    try:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(head + b"\r\n")
        async with asyncio.timeout(60):
            assert int((await reader.readuntil(b"\r\n")).split()[1]) == status
        writer.close()
    finally:
        await server.close()
