"""The wire that counts what crosses it adds nothing of its own, and says nothing too late."""

from __future__ import annotations

import asyncio
import io
import json
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.clients import wirelog
from tests.clients.wire import Wire
from tests.simulators.parent import plain_parent

pytestmark = pytest.mark.slow

SCRIPT: Any = wirelog


def blobs(wire: Wire) -> int:
    return len([request for request in wire.seen() if request.of_blob])


@pytest.mark.parametrize("size", [5, 65_536, 200_000])
async def test_each_request_crosses_once(tmp_path: Path, size: int) -> None:
    async with plain_parent() as parent:
        digest = parent.add(bytes(size))
        with Wire(f"http://127.0.0.1:{parent.port}", tmp_path / "to") as to_parent:
            with Wire(to_parent.url, tmp_path / "from") as wire:
                async with aiohttp.ClientSession() as client:
                    for _ in range(6):
                        async with client.get(f"{wire.url}/v2/team/app/blobs/{digest}") as answer:
                            assert len(await answer.read()) == size
                assert (blobs(wire), blobs(to_parent)) == (6, 6)


class Log(io.StringIO):
    """What the wire writes down, and what `client` had by then: bytes, and whether its connection was ended."""

    def __init__(self, client: socket.socket) -> None:
        super().__init__()
        self._client = client
        self.had: list[tuple[int, bool]] = []
        self.written = threading.Event()

    def write(self, line: str) -> int:
        waiting = select.poll()
        waiting.register(self._client, select.POLLRDHUP)
        had = b""
        with suppress(BlockingIOError):
            had = self._client.recv(1 << 20, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        self.had.append((len(had), bool(waiting.poll(0))))
        written = super().write(line)
        self.written.set()
        return written


@contextmanager
def wire_here(upstream: str, rules: Path) -> Iterator[Any]:
    """A wire in this process; its log is the caller's."""
    with SCRIPT.Server(("127.0.0.1", 0), SCRIPT.Handler) as server:
        server.upstream, server.rules = urlsplit(upstream), SCRIPT.Rules(rules)
        server.lock, server.inflight, server.conns = threading.Lock(), 0, 0
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield server
        finally:
            server.shutdown()
            serving.join()


def whole_answer(wire: Any, method: str, target: str) -> tuple[Log, bytes]:
    """All bytes that came until the connection ended, read once a line was written."""
    with socket.create_connection(wire.server_address[:2]) as client:
        wire.log = log = Log(client)
        client.sendall(f"{method} {target} HTTP/1.1\r\nHost: wire\r\nConnection: close\r\n\r\n".encode())
        assert log.written.wait(60)
        with client.makefile("rb") as answer:
            return log, answer.read()


@pytest.mark.parametrize(
    ("method", "rule"),
    [
        ("GET", {}),
        ("HEAD", {}),
        ("GET", {"do": "unlength"}),
        ("GET", {"do": "short", "at": 7}),
        ("GET", {"do": "short", "at": 0}),
        ("GET", {"do": "status", "code": 503, "body": "no"}),
        ("GET", {"do": "redirect"}),
        ("GET", {"do": "truncate", "at": 7}),
        ("GET", {"do": "reset"}),
    ],
)
async def test_a_request_is_written_down_before_its_answer_has_come(
    tmp_path: Path, method: str, rule: dict[str, Any]
) -> None:
    """What a client did is in the log as soon as the client has its answer."""
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps([{"match": "blobs", **rule}] if rule else []))
    async with plain_parent() as parent:
        digest = parent.add(bytes(50))
        with wire_here(parent.url, rules) as wire:
            log, answer = await asyncio.to_thread(whole_answer, wire, method, f"/v2/team/app/blobs/{digest}")
    ((had, ended),) = log.had
    assert not ended
    assert had < len(answer) or rule.get("do") in ("truncate", "reset"), "its end is what these are told by"
    body = answer.partition(b"\r\n\r\n")[2]
    sent = json.loads(log.getvalue())["sent"]
    assert sent == (50 if rule.get("do") == "unlength" else len(body))
