"""What says nothing of a parent: one answer that no parser takes, and none for want of what a connection takes here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest

from registry_mesh.ports.failures import SourceErred, SourceUnavailable
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.session import ParentSession
from tests.simulators.descriptors import no_more_descriptors

WELL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
LENGTHS = {
    "one length twice": WELL.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n"),
    "a list of lengths": WELL.replace(b": 2\r\n", b": 2, 2\r\n"),
    "two lengths": WELL.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n"),
}
ODD = {
    "length and chunks": WELL.replace(b"\r\n\r\n{}", b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "no such version": WELL.replace(b"1.1", b"1.2"),
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
}


@dataclass
class Scripted:
    """A parent that answers `odd` for the repository `odd`, and `base` for everything else."""

    odd: bytes = WELL
    base: bytes = WELL
    port: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split()[1].decode()
                odd = path.startswith("/v2/odd/")
                writer.write(self.odd if odd else self.base)
        writer.close()


@asynccontextmanager
async def asked(scripted: Scripted, host: str = "127.0.0.1") -> AsyncIterator[ParentSession]:
    server = await asyncio.start_server(scripted, "127.0.0.1", 0)
    scripted.port = server.sockets[0].getsockname()[1]
    async with server, open_session() as client:
        yield ParentSession(client, f"http://{host}:{scripted.port}", ns="always")


async def ask(session: ParentSession, repository: str) -> bytes:
    async with session.request("GET", f"/v2/{repository}/tags/list", scope="") as answer:
        return await answer.body(100)


@pytest.mark.parametrize("odd", [*LENGTHS.values(), *ODD.values()], ids=[*LENGTHS, *ODD])
async def test_one_repository_takes_no_parent_away_from_the_others(odd: bytes) -> None:
    told = "sends Content-Length twice" if odd in LENGTHS.values() else "sends what is no HTTP"
    async with asked(Scripted(odd)) as session:
        for _ in range(9):
            with pytest.raises(SourceErred, match=told):
                await ask(session, "odd")
            assert session.parent.available
        assert await session.parent.ping()
        assert session.parent.available
        assert await ask(session, "team") == b"{}"


async def test_who_speaks_no_http_at_all_is_down() -> None:
    odd = ODD["no HTTP"]
    async with asked(Scripted(odd, odd)) as session:
        with pytest.raises(SourceErred, match="sends what is no HTTP"):
            await ask(session, "odd")
        assert not await session.parent.ping()
        assert not session.parent.available
        assert "sends what is no HTTP" in session.parent.reason


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["address", "name"])
async def test_no_parent_is_down_for_want_of_descriptors_here(host: str) -> None:
    async with asked(Scripted(), host) as session:
        with no_more_descriptors():
            for _ in range(4):
                with pytest.raises(SourceUnavailable, match="this process has no file descriptors left"):
                    await ask(session, "team")
                assert not await session.parent.ping()
            assert session.parent.available
        assert await ask(session, "team") == b"{}"
