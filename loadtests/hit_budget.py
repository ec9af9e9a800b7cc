"""`python -m loadtests.hit_budget`: what a hit costs beside the send, whole and part by part, in microseconds.

A real server over a real store on this machine's disk; a client on loopback. `data_received` of the accepted
connection is called with the bytes of a request, the clock stands still while the client reads. The system calls
that carry the bytes are timed alone, on the same connection, and taken off: the rest is parsing, rights, head,
counters, log line, and the looks at file and pages.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvloop

from loadtests.steady import BATCH, over_the_first
from registry_mesh.access.authorizer import Authorizer
from registry_mesh.access.tokens import Tokens, new_key
from registry_mesh.auth.access import PULLING, AnonymousAccess, Level
from registry_mesh.auth.book import Book
from registry_mesh.auth.grants import Scope
from registry_mesh.auth.policies import Policies, levels
from registry_mesh.content.fill.fills import Fills
from registry_mesh.edge.client_limits import ClientLimits, Limits
from registry_mesh.edge.hot import blob_answers
from registry_mesh.edge.hot.blob import HotBlob
from registry_mesh.edge.hot.connection import FastConnection
from registry_mesh.edge.hot.entries import Hot
from registry_mesh.edge.hot.fast_path import FastPath
from registry_mesh.edge.hot.layouts import NOTHING
from registry_mesh.edge.hot.recognise import KnownBlob
from registry_mesh.edge.pulled import Pulled
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.edge.wire import cold_pages
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.oci.span import Span
from registry_mesh.ports.place import Place
from registry_mesh.roles.site import Site, SiteRegistry
from registry_mesh.stores.disk.store import DiskStore

BUDGET: Final = 10.0
"""Microseconds a hit may cost beside the send."""
SIZE: Final = 32 << 20
RANGE: Final = 64 << 10
SHORT: Final = 1 << 10
"""Bytes of a range where only differences are looked at."""
TOKENS: Final = 10_000
CONNECTIONS: Final = 200
ANYBODY: Final = Book(Policies(levels(PULLING, PULLING), {}))
ROUNDS: Final = 60
CALLS: Final = 100
REGISTRY: Final = RegistryName("registry.example")
FIELDS: Final = "Host: site\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: identity\r\n"


class Client:
    """The other end of one connection; it reads so that the server's socket is never full."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port))
        self._sock.setblocking(False)

    async def ask(self, request: bytes) -> bytes:
        """The whole answer."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._sock, request)
        answer = await loop.sock_recv(self._sock, 1 << 20)
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += await loop.sock_recv(self._sock, 1 << 20)
        return head + b"\r\n\r\n" + body

    def drop(self) -> int:
        """Let the kernel drop all that has come."""
        total = 0
        while True:
            try:
                total += len(self._sock.recv(1 << 20))
            except BlockingIOError:
                return total

    def close(self) -> None:
        self._sock.close()


def timed(call: Callable[[int], object], between: Callable[[], object] = lambda: None) -> float:
    """Microseconds of one call: the lowest of the means of rounds, for what others do on the machine only adds to
    it. `between` is not counted."""
    clock, means = time.perf_counter_ns, []
    for _ in range(ROUNDS):
        spent = 0
        for number in range(CALLS):
            begun = clock()
            call(number)
            spent += clock() - begun
            between()
        means.append(spent / CALLS / 1000)
    return min(means)


async def _site(folder: Path) -> tuple[Site, DiskStore, Fills, Digest]:
    store = await DiskStore.start(folder, evict=True)
    data = os.urandom(SIZE)
    digest = Digest.of(data)
    async with store.ingest(digest, SIZE) as ingest:
        for start in range(0, SIZE, 1 << 20):
            await ingest.write(data[start : start + (1 << 20)])
        await ingest.commit(digest)
    await store.note_names(Place(REGISTRY, RepositoryName("team/app")), [digest])
    fills = Fills(store)
    return Site(store, store.records, fills, {REGISTRY: SiteRegistry([[]])}), store, fills, digest


async def measure(folder: Path) -> float:
    """Print the table; the cost of a ranged hit beside its send."""
    site, store, fills, digest = await _site(folder / "store")
    settings = Settings(
        policy=AnonymousAccess(Level.PULL),
        default_registry=REGISTRY,
        access_log=str(folder / "access.log"),
        hot_idle=60,
    )
    server = Server(site, settings)
    await server.start()
    client = Client(server.port)
    try:
        return await _measure_ranges(server, client, digest)
    finally:
        client.close()
        await server.close()
        await site.close()
        await fills.close()
        await store.close()


def _request(digest: Digest, number: int, length: int = RANGE) -> bytes:
    start = number * 7919 * 4096 % (SIZE - RANGE)
    path = f"/v2/team/app/blobs/{digest}"
    return f"GET {path} HTTP/1.1\r\n{FIELDS}Range: bytes={start}-{start + length - 1}\r\n\r\n".encode()


async def _measure_ranges(server: Server, client: Client, digest: Digest) -> float:
    assert server.hot is not None
    while not server.hot.blobs:
        await client.ask(f"GET /v2/team/app/blobs/{digest} HTTP/1.1\r\n{FIELDS}\r\n".encode())
        await client.ask(_request(digest, 0))
        await asyncio.sleep(0.05)
    connection = next(server.connections_open())
    assert isinstance(connection, FastConnection) and connection.wire is not None
    sock = connection.wire.direct()
    entry = next(iter(server.hot.blobs.values()))
    assert sock is not None
    requests = [_request(digest, number) for number in range(CALLS)]
    front = b"H" * 560

    def send(number: int) -> None:
        sock.send(front, socket.MSG_MORE)
        os.sendfile(sock.fileno(), entry.fd, number * 4096, RANGE)

    totals, sends = [], []
    for _ in range(3):
        totals.append(timed(lambda number: connection.data_received(requests[number]), client.drop))
        await asyncio.sleep(0)
        sends.append(timed(send, client.drop))
        await asyncio.sleep(0)
    total, alone = min(totals), min(sends)
    print(f"{'a range of 64 KiB, answered':52} {total:6.2f}")
    print(f"{'its send and sendfile alone':52} {alone:6.2f}")
    print(f"{f'beside the send (budget {BUDGET:.0f})':52} {total - alone:6.2f}")
    await _measure_fields(connection, client, requests)
    await _measure_callers(server, connection, client, digest)
    await _measure_parts(connection, entry, requests)
    return total - alone


async def _measure_callers(
    server: Server, connection: FastConnection, client: Client, digest: Digest
) -> None:
    """What a hit costs more by callers that show tokens, each another one than the last, and where pulls are counted,
    or clients bounded. Ranges are short: all but the send is the same."""
    path = connection._path
    assert path is not None and server.hot is not None
    shown = await _tokens(server.hot, path)
    asked = [_request(digest, number, SHORT) for number in range(CALLS)]
    lines = [_showing(each, asked[n % CALLS]) for n, each in enumerate(shown)]
    behind = [
        asked[n % CALLS][:-2] + f"Authorization: {each}\r\n\r\n".encode() for n, each in enumerate(shown)
    ]
    same = [_showing(shown[0], each) for each in asked]
    pulled, limits = Pulled(), ClientLimits(Limits(requests=1e9, bytes=1e15))
    plain: dict[int, bytes] = {}
    shows: dict[int, bytes] = {}
    again: dict[int, bytes] = {}
    after: dict[int, bytes] = {}

    def receive(numbers: range) -> None:
        """As a socket gives them: the bytes of a request are new, and near, where what is known of its token is far."""
        for come, sent in ((plain, asked), (shows, lines), (again, same), (after, behind)):
            come.clear()
            come.update({n: bytes(bytearray(sent[n % len(sent)])) for n in numbers})

    def ask(request: bytes, pulls: Pulled | None = None, bounds: ClientLimits | None = None) -> None:
        path.pulled, path.client_limits = pulls, bounds
        connection.data_received(request)

    for request in lines:  # a right is asked for once in a token's life
        ask(request)
        client.drop()
    costs = over_the_first(
        {
            "by nobody": lambda n: ask(plain[n]),
            "  more with the same token again": lambda n: ask(again[n]),
            f"  more with one of {TOKENS} tokens (budget 1)": lambda n: ask(shows[n]),
            "  more where its line comes behind the range": lambda n: ask(after[n]),
            "  more where pulls are counted": lambda n: ask(plain[n], pulls=pulled),
            "  more where clients are bounded": lambda n: ask(plain[n], bounds=limits),
        },
        client.drop,
        rounds=4 * TOKENS // BATCH,
        before=receive,
    )
    for name, cost in costs.items():
        print(f"{name:52} {cost:6.2f}")
    path.pulled = path.client_limits = None
    await _measure_connections(server, asked, lines)


def _showing(authorization: str, request: bytes) -> bytes:
    """The request with the credentials before its range, as Go writes them: its fields are sorted."""
    line = f"\r\nAuthorization: {authorization}\r\nRange: "
    return request.replace(b"\r\nRange: ", line.encode())


async def _measure_connections(server: Server, asked: list[bytes], lines: list[bytes]) -> None:
    """The same by clients that each have a connection and a token of their own, asked in turn."""
    known = set(server.connections_open())
    clients = [Client(server.port) for _ in range(CONNECTIONS)]
    while len(known) + CONNECTIONS > len(list(server.connections_open())):
        await asyncio.sleep(0.01)
    connections = [each for each in server.connections_open() if each not in known]
    own = lines[:: TOKENS // CONNECTIONS]
    plain: dict[int, bytes] = {}
    shows: dict[int, bytes] = {}

    def receive(numbers: range) -> None:
        for come, sent in ((plain, asked), (shows, own)):
            come.clear()
            come.update({n: bytes(bytearray(sent[n % len(sent)])) for n in numbers})

    def drop() -> None:
        for each in clients:
            each.drop()

    costs = over_the_first(
        {
            f"by nobody, over {CONNECTIONS} connections": lambda n: connections[
                n % CONNECTIONS
            ].data_received(plain[n]),
            f"  more with a token each, of {TOKENS} (budget 1)": lambda n: connections[
                n % CONNECTIONS
            ].data_received(shows[n]),
        },
        drop,
        rounds=8 * CONNECTIONS // BATCH,
        before=receive,
    )
    for name, cost in costs.items():
        print(f"{name:52} {cost:6.2f}")
    for each in clients:
        each.close()


async def _tokens(hot: Hot, path: FastPath) -> list[str]:
    """Credentials that are all known, and good for the repository."""
    authorizer = Authorizer(ANYBODY, Tokens(new_key(), "node", "node", 86_400), time.time)
    path._policy = authorizer
    shown = []
    for _ in range(TOKENS):
        issued = await authorizer.issue(None, [Scope.parse("repository:team/app:pull")])
        authorization = f"Bearer {issued.token}"
        await authorizer.learn(authorization)
        hot.callers.keep(authorization, "anonymous")
        shown.append(authorization)
    await asyncio.sleep(0)
    return shown


SHAPES: Final = {
    "traceparent": "traceparent: 00-{0:032x}-{0:016x}-01\r\n",
    "Via": "Via: 1.1 proxy\r\n",
    "X-Forwarded-For": "X-Forwarded-For: 10.0.{0}.1\r\n",
    "X-Request-Id": "X-Request-Id: {0:032x}\r\n",
    "Connection: keep-alive": "Connection: keep-alive\r\n",
    "If-None-Match": 'If-None-Match: "sha256:{0:064x}"\r\n',
    "all of them": "",
}
"""Fields that clients, proxies and tracers add, with a value of its own in each request where they have one."""


async def _measure_fields(connection: FastConnection, client: Client, requests: list[bytes]) -> None:
    """What each costs beside the same request without it: the shapes are taken in turns."""
    lines = dict(SHAPES, **{"all of them": "".join(SHAPES.values())})
    shapes = {name: _with(line, requests) for name, line in {"": "", **lines}.items()}
    lowest = dict.fromkeys(shapes, float("inf"))
    for _ in range(5):
        for name, asked in shapes.items():
            cost = timed(lambda number, asked=asked: connection.data_received(asked[number]), client.drop)  # type: ignore[misc]
            lowest[name] = min(lowest[name], cost)
            await asyncio.sleep(0)
    for name in lines:
        print(f"{'  more with ' + name:52} {lowest[name] - lowest['']:6.2f}")


def _with(line: str, requests: list[bytes]) -> list[bytes]:
    """The requests, each with the line before its end."""
    return [each[:-2] + line.format(number).encode() + b"\r\n" for number, each in enumerate(requests)]


async def _measure_parts(connection: FastConnection, entry: HotBlob, requests: list[bytes]) -> None:
    """Each alone: their sum is not quite the whole."""
    path, loop = connection._path, asyncio.get_running_loop()
    assert path is not None
    asked = [request.partition(b"bytes=")[2].partition(b"\r")[0] for request in requests]
    bounds = [(int(text.split(b"-")[0]), int(text.split(b"-")[1]) + 1) for text in asked]
    heads = [
        request.replace(b"\r\nRange: bytes=" + text, b"")
        for request, text in zip(requests, asked, strict=True)
    ]
    known, *_ = path.recogniser.recognise(heads[0])
    assert isinstance(known, KnownBlob)
    entry.pages.begin(entry.fd, loop.time())
    pages = cold_pages.Pages(entry.size, cold_pages.Pressure())
    pages.begin(entry.fd, loop.time())

    def at_hand(number: int) -> None:
        entry.until = entry.shape.right.until = loop.time() + 1
        connection._may_send(path, entry, None, *bounds[number], loop.time())

    def probe(number: int) -> None:
        cold_pages.resident(entry.fd, *bounds[number])

    parts: dict[str, Callable[[int], object]] = {
        "on every hit": lambda _: None,
        "  idle, and the head known by its bytes": lambda n: (
            connection._idle(),
            connection._heads.read(requests[n]),
        ),
        "  the range's bounds": lambda n: blob_answers._bounds(asked[n], entry.size),
        "  rights, file and pages as seen before": at_hand,
        "  head and log line": lambda n: connection._render(path, known, None, NOTHING, asked[n], *bounds[n]),
        "  the line kept": lambda _: path.log("line"),
        "  counters and the connection's times": lambda _: connection._used(path, known.tally, RANGE, 0.0),
        "once a turn of the loop": lambda _: None,
        "  rights asked (each repository)": lambda _: path._ask(entry.shape.right),
        "  file looked at (each blob)": lambda n: entry.ready(Span(*bounds[n]), loop.time()),
        "  counters settled": lambda _: path.tallies.add_up(),
        "  date and time rendered": lambda _: path.turn(loop.time()),
        "once in 30 s": lambda _: None,
        "  two pages of a piece probed": probe,
    }
    for name, call in parts.items():
        print(f"{name:52} {timed(call) - timed(lambda _: None):6.2f}" if name.startswith(" ") else name)
        await asyncio.sleep(0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.hit_budget", description=__doc__)
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    options = parser.parse_args()
    factory = uvloop.new_event_loop if options.loop == "uvloop" else asyncio.new_event_loop
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=factory) as runner:
        beside = runner.run(measure(Path(folder)))
    return 0 if beside <= BUDGET else 1


if __name__ == "__main__":
    sys.exit(main())
