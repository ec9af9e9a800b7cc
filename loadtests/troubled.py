"""A parent in trouble, or only far away, in a process of its own: `python -m loadtests.troubled PORT ORDER`."""

from __future__ import annotations

import asyncio
import hashlib
import json
import mmap
import re
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from loadtests.corpus import KIB, MANIFEST_TYPE, MIB, Blob
from loadtests.processes import Server
from tests.simulators.ports import free_port
from tests.simulators.slow import SlowRegistry

SMALL: Final = 16 * KIB
"""Bytes of a numbered blob."""

_REFERENCE: Final = re.compile(r"/manifests/(\S+)")
_CONTENT: Final = re.compile(r"/(?:manifests|blobs)/([^\s?]+)")


@dataclass(frozen=True, slots=True)
class Manner:
    """How a parent answers: `SlowRegistry` says what the fields mean. `delay`: seconds until it does; `hung`: never,
    not even a ping; `frank`: with 404 for what it does not have, where others send bytes that do not fit."""

    step: int = MIB
    pause: float = 0.0
    most: int | None = None
    drips_head: bool = False
    resets: int = 0
    reset_after: int = 0
    reset_pause: float = 0.0
    delay: float = 0.0
    hung: bool = False
    frank: bool = False


WELL: Final = Manner()
NEVER: Final = 3600.0
"""Seconds to what never comes."""

HUNG: Final = Manner(hung=True)
PINGS_ALONE: Final = Manner(step=1, pause=NEVER, drips_head=True)
HEAD_ALONE: Final = Manner(step=1, pause=NEVER)


def _digest(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


def small(number: int) -> bytes:
    """The blob of that number."""
    return hashlib.shake_128(b"%d" % number).digest(SMALL)


def small_digest(number: int) -> str:
    """Its digest."""
    return _digest(small(number))


def manifest(number: int) -> bytes:
    """The manifest of the tag v`number`: some 2 KB."""
    blob = {"mediaType": "application/octet-stream", "digest": small_digest(number), "size": SMALL}
    document = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": blob, "layers": [blob] * 12}
    return json.dumps(document).encode()


_UNKNOWN: Final = manifest(-1)
"""What a tag names that nobody knows."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a parent was asked for and what it sent, pings left out; `waiting`: questions at once, at most."""

    asked: int
    sent: int
    waiting: int


class Troubled(Server):
    """A parent that has the blobs, and the numbered ones below `numbered` with as many manifests."""

    def __init__(self, folder: Path, manner: Manner, blobs: Sequence[Blob] = (), numbered: int = 0) -> None:
        port = free_port()
        held = {blob.digest: str(blob.file) for blob in blobs}
        order = json.dumps({"manner": asdict(manner), "blobs": held, "numbered": numbered})
        command = [sys.executable, "-m", "loadtests.troubled", str(port), order]
        super().__init__("parent", command, folder, port)
        self.environment = {"PYTHONPATH": str(Path(__file__).parent.parent)}

    def seen(self) -> Seen:
        """Since its start."""
        with urllib.request.urlopen(f"{self.url}/seen", timeout=30) as answer:
            return Seen(**json.load(answer))


class _Registry(SlowRegistry):
    """Answers in a manner, and tells what it has seen."""

    def __init__(self, manner: Manner, blobs: Mapping[str, Any], manifests: Mapping[str, bytes]) -> None:
        slow = {
            name: value for name, value in asdict(manner).items() if name not in ("delay", "hung", "frank")
        }
        super().__init__(data=bytes(SMALL), blobs=dict(blobs), **slow)
        self._manner = manner
        self._manifests = manifests
        self._now = 0
        self._questions = 0
        self._most_at_once = 0

    async def answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        if " /seen " in head:
            seen = json.dumps({"asked": self._questions, "sent": self.sent, "waiting": self._most_at_once})
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(seen)}\r\n\r\n{seen}".encode())
            return
        asked = " /v2/ " not in head
        self._questions += asked
        self._now += asked
        self._most_at_once = max(self._most_at_once, self._now)
        try:
            await self._answer_in_manner(head, writer)
        finally:
            self._now -= asked

    async def _answer_in_manner(self, head: str, writer: asyncio.StreamWriter) -> None:
        hangs = self._manner.hung or (self.drips_head and head.startswith("HEAD"))
        await asyncio.sleep(NEVER if hangs else self._manner.delay)
        named = _REFERENCE.search(head)
        if self._manner.frank and not self._has(head):
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        if named is None:
            await super().answer(head, writer)
            return
        body = self._manifests.get(named[1], _UNKNOWN)
        said = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nContent-Type: {MANIFEST_TYPE}\r\n"
        said += f"Docker-Content-Digest: {_digest(body)}\r\n\r\n"
        await self._send(writer, said.encode(), slowly=self.drips_head)
        if not head.startswith("HEAD"):
            await self._send(writer, body, slowly=True)

    def _has(self, head: str) -> bool:
        """Whether it is asked for what it has, or for no content at all."""
        asked = _CONTENT.search(head)
        return asked is None or asked[1] in self._manifests or asked[1] in self.blobs


def _mapped(file: str) -> memoryview:
    with open(file, "rb") as opened:
        return memoryview(mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ))


async def _serve(port: int, order: dict[str, Any]) -> None:
    held: dict[str, Any] = {digest: _mapped(file) for digest, file in order["blobs"].items()}
    manifests: dict[str, bytes] = {}
    for number in range(order["numbered"]):
        held[small_digest(number)] = small(number)
        body = manifest(number)
        manifests[f"v{number}"] = manifests[_digest(body)] = body
    registry = _Registry(Manner(**order["manner"]), held, manifests)
    server = await asyncio.start_server(registry, "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), json.loads(sys.argv[2])))
