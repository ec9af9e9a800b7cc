"""Random requests, pipelined and split anyhow: each is answered once, in order, as the slow path answers it alone.

A failure prints its seed; `REGISTRY_MESH_SEED` repeats the run.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import re
from dataclasses import dataclass
from typing import Final

from registry_mesh.edge.server import Server
from tests.edge.twins import BLOB, DIGEST, FIELDS, NAMED, TARGETS, Twins, settled

SHAPES: Final = 1_000
"""Different requests in a run."""
REQUESTS: Final = 5_000
"""Requests in a run, on each of the two loops."""
TOGETHER: Final = 16
"""Connections at once."""

METHODS: Final = ("GET",) * 12 + ("HEAD",) * 4 + ("POST", "DELETE", "FOO", "get", "OPTIONS")
VERSIONS: Final = ("HTTP/1.1",) * 20 + ("HTTP/1.0", "HTTP/1.2", "http/1.1")
NAMES: Final = (
    "User-Agent",
    "user-agent",
    "ACCEPT",
    "Accept",
    "Range",
    "range",
    "Host",
    "Accept-Language",
    "X-Odd",
)
VALUES: Final = ("", "a", "bytes=0-9", "bytes=5-", "\t x \t", "x" * 3000, "a, b", '"', "\x7f", "a:b")
UPGRADES: Final = (
    "Upgrade: h2c\r\nConnection: Upgrade\r\n",
    "Upgrade: h2c\r\n",
    "Connection: upgrade\r\n",
    "upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: x\r\n",
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
    "Upgrade: TLS/1.2, h2c\r\nConnection: upgrade\r\n",
)
LINES: Final = (
    "Connection: keep-alive\r\n",
    "Connection: close\r\n",
    "Authorization: Bearer x\r\n",
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
    "tracestate: a=b\r\n",
    "Via: 1.1 proxy\r\n",
    "Via: 1.0 a, 1.1 b\r\n",
    "X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n",
    "X-Forwarded-Proto: https\r\n",
    "X-Forwarded-Host: elsewhere\r\n",
    "X-Request-Id: abc.def\r\n",
    "X-Request-Id: \x01\r\n",
    f'If-None-Match: "{DIGEST}", "{NAMED}"\r\n',
    'If-None-Match: W/"x"\r\n',
    "If-None-Match: *\r\n",
    f'If-Range: "{DIGEST}"\r\n',
    "Transfer-Encoding: identity\r\n",
    "TE: trailers\r\n",
    "Cache-Control: no-cache\r\n",
    " folded: line\r\n",
    "no colon\r\n",
    "Name : space\r\n",
    "Accept: a\nHost: b\r\n",
)
BODIES: Final = ("Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
LAST: Final = b"GET /v2/ HTTP/1.1\r\nHost: last\r\nConnection: close\r\n\r\n"


class Requests:
    """Makes them, from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def one(self) -> bytes:
        pick = self.random.choice
        target = (
            pick(TARGETS[:5]) if self.random.random() < 0.7 else pick([*TARGETS, BLOB[1:], "*", f"//{BLOB}"])
        )
        fields = [self._field() for _ in range(pick((0, 0, 1, 1, 2, 3)))]
        fields.insert(self.random.randrange(len(fields) + 1), "Host: x\r\n")
        if self.random.random() < 0.1:
            fields.append(pick(fields))
        end = pick(BODIES) if self.random.random() < 0.05 else "\r\n"
        return f"{pick(METHODS)} {target} {pick(VERSIONS)}\r\n{''.join(fields)}{end}".encode()

    def _field(self) -> str:
        pick, kind = self.random.choice, self.random.random()
        if kind < 0.1:
            return pick(UPGRADES)
        if kind < 0.2:
            return f"{pick(NAMES)}:{pick(('', ' '))}{pick(VALUES)}\r\n"
        if kind < 0.3:
            first = self.random.randrange(3_100_000)
            return f"Range: bytes={first}-{first + pick((0, 9, 70_000))}\r\n"
        return pick(LINES if kind < 0.7 else FIELDS)

    def pieces(self, stream: bytes, ends: list[int]) -> list[tuple[bytes, int]]:
        """The stream, cut anyhow, and how many turns of the loop to wait after each piece."""
        cuts = {
            self.random.choice([*ends, self.random.randrange(len(stream))])
            for _ in range(self.random.randrange(5))
        }
        edges = sorted({0, len(stream)} | cuts)
        return [(stream[a:b], self.random.choice((0, 0, 1, 2, 3, 10))) for a, b in itertools.pairwise(edges)]


@dataclass(frozen=True)
class Said:
    """An answer; `ends` where the connection ends with it."""

    text: bytes
    ends: bool


async def converse(server: Server, pieces: list[tuple[bytes, int]]) -> tuple[bytes, bool]:
    """All that comes back until the server closes, and whether it ended in a reset: of what was sent before that the
    kernel may have dropped the end."""
    answer, reset = bytearray(), False
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        for piece, turns in pieces:
            if writer.transport.is_closing():
                break
            writer.write(piece)
            for _ in range(turns):
                await asyncio.sleep(0)
        while part := await asyncio.wait_for(reader.read(1 << 20), 20):
            answer += part
    except ConnectionError:
        reset = True
    finally:
        writer.transport.abort()
    return bytes(answer), reset


def taken_apart(answers: bytes, reset: bool, methods: list[bytes]) -> list[Said]:
    """The answers to requests of `methods`; without a last one that was cut by a reset."""
    said: list[Said] = []
    while answers:
        head, empty, rest = answers.partition(b"\r\n\r\n")
        if reset and not empty:
            break
        assert head.startswith(b"HTTP/1.1 ") and empty, answers[:200]
        length = re.search(rb"\r\nContent-Length: (\d+)", head)
        bodyless = len(said) < len(methods) and methods[len(said)] == b"HEAD" and b"X-Request-Id" in head
        size = 0 if bodyless or length is None else int(length[1])
        if reset and len(rest) < size:
            break
        ends = re.search(rb"\r\nConnection: close", head) is not None
        said.append(Said(settled(head + empty + rest[:size]), ends))
        answers = rest[size:]
    return said


async def alone(server: Server, request: bytes) -> Said:
    """What comes of a request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    answer = bytearray(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20))
    length = re.search(rb"\r\nContent-Length: (\d+)", answer)
    bodyless = request.startswith(b"HEAD ") and b"X-Request-Id" in answer
    if length is not None and not bodyless:
        answer += await asyncio.wait_for(reader.readexactly(int(length[1])), 20)
    writer.transport.abort()
    (said,) = taken_apart(bytes(answer), False, [request.split(b" ", 1)[0]])
    return said


def is_malformed(said: Said) -> bool:
    """Whether the parser has answered, and no handler."""
    return b'"detail": {"protocol": "HTTP/1.1"}' in said.text and said.ends


async def check(server: Server, requests: Requests, stream: list[bytes], expected: dict[bytes, Said]) -> None:
    """Each of the stream is answered as when it was alone, up to one that ends the connection, or to `LAST`.

    The parser drops requests that came in the same bytes before a malformed one, or before one that comes after a
    last one: its answer then is theirs, and ends the connection."""
    pieces = requests.pieces(b"".join(stream) + LAST, [*itertools.accumulate(map(len, stream))])
    answers, reset = await converse(server, pieces)
    said = taken_apart(answers, reset, [each.split(b" ", 1)[0] for each in stream])
    due = [expected[each] for each in stream]
    stop = next((number + 1 for number, each in enumerate(due) if each.ends), None)
    if reset and not (said and is_malformed(said[-1])):
        assert stop is not None and said == due[: min(stop, len(said))], (pieces, said, due)
    elif stop is None:
        assert said[:-1] == due, (pieces, said, due)
        assert b"200 OK" in said[-1].text[:20] and said[-1].ends
    elif said and is_malformed(said[-1]):
        assert len(said) <= stop + 1 and said[:-1] == due[: len(said) - 1], (pieces, said, due)
    else:
        assert said == due[:stop], (pieces, said, due)


async def test_whatever_comes_is_answered_once_and_as_the_slow_path_does(twins: Twins) -> None:
    seed = int(os.environ.get("REGISTRY_MESH_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"REGISTRY_MESH_SEED={seed}")
    await twins.warm()
    requests = Requests(seed)
    shapes = [requests.one() for _ in range(SHAPES)]
    expected: dict[bytes, Said] = {}
    for first in range(0, SHAPES, TOGETHER):
        group = shapes[first : first + TOGETHER]
        answers = await asyncio.gather(*(alone(twins.slow, each) for each in group))
        expected |= zip(group, answers, strict=True)
    pick, asked = requests.random.choice, 0
    while asked < REQUESTS:
        streams = [[pick(shapes) for _ in range(requests.random.randrange(1, 8))] for _ in range(TOGETHER)]
        await asyncio.gather(*(check(twins.fast, requests, stream, expected) for stream in streams))
        asked += sum(map(len, streams))
