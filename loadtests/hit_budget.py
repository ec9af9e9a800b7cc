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
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvloop

from loadtests.hit_callers import measure_callers
from loadtests.hit_site import CALLS, FIELDS, RANGE, Client, accepted, opened_site, request, serving, timed
from loadtests.pull_budget import measure_pulls
from registry_mesh.edge.hot import blob_answers
from registry_mesh.edge.hot.blob import HotBlob
from registry_mesh.edge.hot.connection import FastConnection
from registry_mesh.edge.hot.layouts import NOTHING
from registry_mesh.edge.hot.recognise import KnownBlob
from registry_mesh.edge.server import Server
from registry_mesh.edge.wire import cold_pages
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span

BUDGET: Final = 10.0
"""Microseconds a hit may cost beside the send."""


async def measure(folder: Path) -> float:
    """Print the table; the cost of a ranged hit beside its send."""
    async with (
        opened_site(folder / "store") as (site, digest),
        serving(site, folder / "access.log") as (server, client),
    ):
        beside = await _measure_ranges(server, client, digest)
    await measure_pulls(folder)
    return beside


async def _measure_ranges(server: Server, client: Client, digest: Digest) -> float:
    assert server.hot is not None
    while not server.hot.blobs:
        await client.ask(f"GET /v2/team/app/blobs/{digest} HTTP/1.1\r\n{FIELDS}\r\n".encode())
        await client.ask(request(digest, 0))
        await asyncio.sleep(0.05)
    connection = accepted(server)
    assert connection.wire is not None
    sock = connection.wire.direct()
    entry = next(iter(server.hot.blobs.values()))
    assert sock is not None
    requests = [request(digest, number) for number in range(CALLS)]
    front = b"H" * 560

    def send(number: int) -> None:
        sock.send(front, socket.MSG_MORE)
        os.sendfile(sock.fileno(), entry.fd, number * 4096, RANGE)

    def whole() -> None:
        client.drop(RANGE + len(front) // 2)

    totals, sends = [], []
    for _ in range(3):
        totals.append(timed(lambda number: connection.data_received(requests[number]), whole))
        await asyncio.sleep(0)
        sends.append(timed(send, whole))
        await asyncio.sleep(0)
    total, alone = min(totals), min(sends)
    print(f"{'a range of 64 KiB, answered':52} {total:6.2f}")
    print(f"{'its send and sendfile alone':52} {alone:6.2f}")
    print(f"{f'beside the send (budget {BUDGET:.0f})':52} {total - alone:6.2f}")
    await measure_callers(server, connection, client, digest)
    await _measure_parts(connection, entry, requests)
    return total - alone


async def _measure_parts(connection: FastConnection, entry: HotBlob, requests: list[bytes]) -> None:
    """Each alone: their sum is not quite the whole."""
    path, loop = connection._path, asyncio.get_running_loop()
    assert path is not None
    asked = [each.partition(b"bytes=")[2].partition(b"\r")[0] for each in requests]
    bounds = [(int(text.split(b"-")[0]), int(text.split(b"-")[1]) + 1) for text in asked]
    heads = [
        each.replace(b"\r\nRange: bytes=" + text, b"") for each, text in zip(requests, asked, strict=True)
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
