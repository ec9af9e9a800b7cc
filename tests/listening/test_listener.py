"""The door: a crowd is let in together, and want of descriptors shuts nobody out for good."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import nullcontext, suppress

import pytest
import trustme

from registry_mesh.listening.listener import AT_ONCE, Listener
from tests.eventually import eventually
from tests.simulators.descriptors import no_more_descriptors


class Guest(asyncio.Protocol):
    """Greets, and is counted."""

    def __init__(self, guests: list[Guest]) -> None:
        self._guests = guests

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport
        self._guests.append(self)
        transport.write(b"welcome")  # type: ignore[attr-defined]  # uvloop's are no subclasses


@pytest.fixture
async def guests() -> list[Guest]:
    return []


@pytest.fixture
async def door(guests: list[Guest]) -> AsyncIterator[Listener]:
    sock = socket.create_server(("127.0.0.1", 0), backlog=256)
    door = Listener(sock, lambda: Guest(guests), None, pause=0.1)
    yield door
    door.close()
    for guest in guests:
        guest.transport.close()
    await asyncio.sleep(0.01)


def knock(door: Listener) -> socket.socket:
    return socket.create_connection(door.sock.getsockname())


async def test_a_crowd_is_let_in_within_a_few_turns(door: Listener, guests: list[Guest]) -> None:
    crowd = [knock(door) for _ in range(2 * AT_ONCE)]  # the loop stands still meanwhile
    turns = 0
    while len(guests) < len(crowd) and turns < 1000:
        await asyncio.sleep(0)
        turns += 1
    assert len(guests) == len(crowd)
    assert turns < AT_ONCE, "more than one in a turn"
    for each in crowd:
        each.settimeout(60)
        assert await asyncio.to_thread(each.recv, 7) == b"welcome"
        each.close()


async def test_without_descriptors_it_waits_and_then_lets_in(
    door: Listener, guests: list[Guest], caplog: pytest.LogCaptureFixture
) -> None:
    with knock(door) as client:
        with no_more_descriptors():
            while not caplog.records:
                await asyncio.sleep(0)
            await asyncio.sleep(0.05)
            assert not guests
        assert "cannot let connections in" in caplog.text
        await eventually(lambda: guests, "a guest")
        assert await asyncio.to_thread(client.recv, 7) == b"welcome"


@pytest.mark.parametrize("few", [0, 1 << 20])
async def test_where_descriptors_are_few_or_none_somebody_makes_room(few: int, guests: list[Guest]) -> None:
    sock = socket.create_server(("127.0.0.1", 0), backlog=256)

    def make_room() -> bool:
        if guests:
            guests.pop(0).transport.close()
            return True
        return False

    door = Listener(sock, lambda: Guest(guests), None, pause=0.01, few=few, make_room=make_room)
    with knock(door) as first, socket.socket() as second:
        await eventually(lambda: guests, "a guest")
        assert await asyncio.to_thread(first.recv, 7) == b"welcome"
        with no_more_descriptors() if few else nullcontext():
            second.connect(sock.getsockname())
            assert await asyncio.to_thread(first.recv, 1) == b"", "closed for another"
        assert await asyncio.to_thread(second.recv, 7) == b"welcome"
    door.close()


async def test_who_comes_after_the_end_is_refused(guests: list[Guest]) -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    address = sock.getsockname()
    Listener(sock, lambda: Guest(guests), None).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    assert not guests


@pytest.mark.parametrize("said", [b"", b"\x16", b"\x16\x03\x01\x02"])
async def test_whoever_agrees_on_no_tls_keeps_nobody_out(
    guests: list[Guest], caplog: pytest.LogCaptureFixture, said: bytes
) -> None:
    authority = trustme.CA()
    context, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(trusting)
    listener = Listener(
        socket.create_server(("127.0.0.1", 0), backlog=64), lambda: Guest(guests), context, handshakes=3
    )
    silent = []
    try:
        for _ in range(6):
            silent.append(await asyncio.open_connection(*listener.sock.getsockname()))
            silent[-1][1].write(said)
        for reader, _ in silent[:3]:
            with suppress(ConnectionResetError):
                async with asyncio.timeout(20):
                    assert await reader.read() == b"", "dropped"
        reader, writer = await asyncio.open_connection(*listener.sock.getsockname(), ssl=trusting)
        async with asyncio.timeout(20):
            assert await reader.readexactly(7) == b"welcome"
        assert not silent[-1][0].at_eof()
        writer.close()
        (line,) = [each.getMessage() for each in caplog.records if each.name.startswith("registry_mesh")]
        assert line == "more than 3 connections have not agreed upon TLS: the oldest are dropped"
    finally:
        listener.close()
        for _, writer in silent:
            writer.close()
        for guest in guests:
            guest.transport.close()
        await asyncio.sleep(0.01)
