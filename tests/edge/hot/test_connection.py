"""The fast path answers what the slow path would, byte for byte, or leaves the request to it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import ssl
import time
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from registry_mesh.auth.access import Level
from registry_mesh.edge.call import Call
from registry_mesh.edge.exchange import Exchange
from registry_mesh.edge.hot import connection as fast
from registry_mesh.edge.server import Server
from registry_mesh.stores.disk.locks import try_flock
from tests.edge.twins import (
    BLOB,
    DATA,
    DIGEST,
    FIELDS,
    GIVEN,
    MANIFEST,
    NAMED,
    TARGETS,
    Twins,
    ask,
    counts,
    hot_of,
    narrow,
    read_answer,
    settled,
)
from tests.eventually import eventually


async def test_every_shape_of_request_is_answered_logged_and_counted_the_same(
    twins: Twins, tmp_path: Path
) -> None:
    warmed = await twins.warm()
    assert len(twins.hot.blobs) == 2
    assert len(twins.hot.manifests) == 6
    before = [counts(table) for table in twins.tables]
    for target, fields, method in itertools.product(TARGETS, FIELDS, ("GET", "HEAD")):
        request = f"{method} {target} HTTP/1.1\r\nHost: site\r\n{fields}\r\n"
        answers = [await ask(server, request) for server in (twins.fast, twins.slow)]
        assert settled(answers[0]) == settled(answers[1]), request
    await twins.fast.close()
    await twins.slow.close()
    logs = [[json.loads(line) for line in (tmp_path / name).open()] for name in ("fast.log", "slow.log")]
    fast_lines, slow_lines = logs[0][warmed:], logs[1]
    malformed = sum("Host: again" in fields or fields.lower().count("user-agent:") > 1 for fields in FIELDS)
    assert len(fast_lines) == len(slow_lines) == len(TARGETS) * (len(FIELDS) - malformed) * 2
    for quick, slow in zip(fast_lines, slow_lines, strict=True):
        assert (quick["id"] == GIVEN) == (slow["id"] == GIVEN)
        for line in (quick, slow):
            assert line.pop("seconds") < 10
            del line["time"], line["id"]
        assert quick == slow
    fast, slow = (
        {key: count - was[key] for key, count in counts(table).items()}
        for table, was in zip(twins.tables, before, strict=True)
    )
    assert fast == slow


async def test_hits_do_not_reach_the_slow_path(twins: Twins, answered: list[bool]) -> None:
    await twins.warm()
    answered.clear()
    for target in TARGETS[:5]:
        await ask(twins.fast, f"GET {target} HTTP/1.1\r\nHost: x\r\nUser-Agent: y\r\n\r\n")
    for span in ("0-65535", "100000-165535", "2000000-", "-5", "-9999999"):
        await ask(twins.fast, f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nRange: bytes={span}\r\n\r\n")
    assert answered == [True] * 10


async def test_what_proxies_and_tracers_add_does_not_reach_the_slow_path(
    twins: Twins, answered: list[bool]
) -> None:
    await twins.warm()
    answered.clear()
    fields = (
        "traceparent: 00-{0:032x}-{0:016x}-01\r\n",
        "Traceparent: 00-{0:032x}-{0:016x}-01\r\ntracestate: a={0},b=c\r\n",
        "Via: 1.1 proxy\r\nX-Forwarded-For: 10.0.0.{0}, 10.1.1.1\r\nX-Forwarded-Proto: https\r\n",
        "X-Forwarded-Host: site\r\nX-Forwarded-Port: 443\r\nX-Forwarded-Prefix: /a\r\nX-Real-IP: ::{0}\r\n",
        "Forwarded: for=10.0.0.{0}\r\nConnection: Keep-Alive\r\n",
        "X-Request-ID: of-a-proxy.{0}\r\n",
        'x-request-id:of_{0} \r\nIf-None-Match: "sha256:{0:064x}", W/"x"\r\n',
        'If-None-Match: "sha256:{0:064x}"\r\ntraceparent: 00-{0:032x}-{0:016x}-01\r\n',
    )
    asked = 0
    for line, target, span, number in itertools.product(
        fields, TARGETS[:4], ("", "Range: bytes=7-9\r\n"), (1, 2)
    ):
        if span and target not in (BLOB, TARGETS[1]):
            continue
        request = f"GET {target} HTTP/1.1\r\nHost: x\r\n{line.format(number)}{span}\r\n"
        answers = [await ask(server, request) for server in (twins.fast, twins.slow)]
        assert settled(answers[0]) == settled(answers[1]), request
        if "of-a-proxy" in line:
            assert f"\r\nX-Request-Id: of-a-proxy.{number}\r\n".encode() in answers[0]
        asked += 1
    assert answered == [True] * asked


async def test_a_manifest_that_the_client_has_is_not_sent_again(twins: Twins) -> None:
    await twins.warm()
    for tag in (f'"{NAMED}"', f'W/"{NAMED}"', f'"x" , "{NAMED}"', "*"):
        for target, method in itertools.product(TARGETS[2:4], ("GET", "HEAD")):
            request = f"{method} {target} HTTP/1.1\r\nHost: x\r\nIf-None-Match: {tag}\r\n\r\n"
            answers = [await ask(server, request) for server in (twins.fast, twins.slow)]
            assert answers[0].startswith(b"HTTP/1.1 304 Not Modified\r\n")
            assert b"Content-Length" not in answers[0]
            assert settled(answers[0]) == settled(answers[1]), request


async def test_a_hit_asked_for_at_once_after_a_slow_answer_is_a_fast_one(
    twins: Twins, answered: list[bool]
) -> None:
    """It comes before aiohttp waits again: a client that asks at once would find it so each time."""
    hit = f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nRange: bytes=7-9\r\n\r\n".encode()

    async def answer_and_be_asked(exchange: Exchange, call: Call) -> None:
        await exchange.reply(200, [], b"{}")
        asyncio.get_running_loop().call_soon(exchange.connection.data_received, hit)

    server = Server(twins.site, twins.settings, extensions={"slow": answer_and_be_asked})
    await server.start()
    await twins.warm(server)
    answered.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /v2/_mesh/slow HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"{}"), 60)
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    assert await asyncio.wait_for(reader.readexactly(3), 60) == DATA[7:10]
    assert answered == [False, True]
    writer.close()
    await server.close()


@pytest.mark.parametrize("at_once", [True, False])
async def test_pipelined_split_and_mixed_requests_are_answered_in_order(twins: Twins, at_once: bool) -> None:
    await twins.warm()
    one = f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-2999999\r\n\r\n".encode()
    two = f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nRange: bytes=7-9\r\n\r\n".encode()
    three = b"GET /v2/team/app/manifests/1 HTTP/1.1\r\nHost: x\r\n\r\n"
    slow = b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"
    expected = [DATA, DATA[7:10], MANIFEST, b"{}", DATA[7:10]]
    for cuts in ([], [len(one)], [10, len(one) + 5], [len(one), len(one) + len(two) + len(three)]):
        stream = one + two + three + slow + two
        sock = socket.create_connection(("127.0.0.1", twins.fast.port)) if at_once else narrow(twins.fast)
        reader, writer = await asyncio.open_connection(sock=sock)
        start = 0
        for cut in [*cuts, len(stream)]:
            writer.write(stream[start:cut])
            await asyncio.sleep(0.02)
            start = cut
        for body in expected:
            assert (await read_answer(reader)).partition(b"\r\n\r\n")[2] == body
        writer.close()


@pytest.mark.parametrize("abruptly", [True, False])
async def test_a_client_that_hangs_up_in_the_middle_leaves_nothing_behind(
    twins: Twins, tmp_path: Path, abruptly: bool
) -> None:
    await twins.warm()
    for _ in range(20):
        reader, writer = await asyncio.open_connection(sock=narrow(twins.fast), limit=1024)
        writer.write(f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-2999999\r\n\r\n".encode())
        await reader.read(100)
        assert sum(entry.sending for entry in twins.hot.blobs.values()) == twins.fast.running > 0
        assert counts(twins.tables[0])["requests_running", ()] == twins.fast.running
        if abruptly:
            writer.transport.abort()
        else:
            writer.close()
    await eventually(lambda: not twins.fast.running, "the end of the answer")
    await eventually(lambda: not any(each.sending for each in twins.hot.blobs.values()), "what was sent")
    answer = await ask(twins.fast, f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nRange: bytes=5-9\r\n\r\n")
    assert answer.endswith(DATA[5:10])
    await twins.fast.close()
    assert (tmp_path / "fast.log").read_text().count('"broken":"client"') == 20


async def test_rights_are_asked_on_every_hit(twins: Twins) -> None:
    await twins.warm()
    object.__setattr__(twins.settings.policy, "level", Level.NOTHING)
    for target in TARGETS[:4]:
        answer = await ask(twins.fast, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 401 ")


async def test_a_stored_byte_that_rots_is_not_sent(twins: Twins, tmp_path: Path) -> None:
    await twins.warm()
    path = next(p for p in tmp_path.rglob(DIGEST.hex) if p.is_file())
    with path.open("r+b") as file:
        file.seek(1_500_000)
        file.write(bytes([DATA[1_500_000] ^ 1]))
    request = f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nRange: bytes=1499990-1500010\r\n\r\n"
    answer = await ask(twins.fast, request)
    assert answer.endswith(DATA[1_499_990:1_500_011])


async def test_a_chunk_that_nobody_has_proven_is_not_sent_unseen(twins: Twins, tmp_path: Path) -> None:
    """Ranges of one chunk are hot when the rest of the blob has not been read since the start."""
    await ask(twins.fast, f"GET {BLOB} HTTP/1.1\r\nHost: x\r\n\r\n")
    path = next(p for p in tmp_path.rglob(DIGEST.hex) if p.is_file())
    with path.open("r+b") as file:
        file.seek(2_500_000)
        file.write(bytes([DATA[2_500_000] ^ 1]))
    for _ in range(5):
        await asyncio.sleep(0.01)
        answer = await ask(twins.fast, f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nRange: bytes=5-9\r\n\r\n")
        assert answer.endswith(DATA[5:10])
    for _ in range(3):
        answer = await ask(
            twins.fast, f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nRange: bytes=2499990-2500010\r\n\r\n"
        )
        assert answer.endswith(DATA[2_499_990:2_500_011])


async def test_more_requests_than_are_kept_while_an_answer_is_on_its_way_wait_in_the_socket(
    twins: Twins,
) -> None:
    await twins.warm()
    one = f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-2999999\r\n\r\n".encode()
    other = f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nRange: bytes=%d-%d\r\n\r\n"
    reader, writer = await asyncio.open_connection(sock=narrow(twins.fast))
    writer.write(one)
    await eventually(lambda: twins.fast.running, "the answer to begin")
    spans = [(i, i + i % 7) for i in range(4 * fast.STASH // len(other))]
    writer.write("".join(other % span for span in spans).encode())
    await asyncio.sleep(0.2)
    assert (await read_answer(reader)).endswith(b"\r\n\r\n" + DATA)
    for first, last in spans:
        assert (await read_answer(reader)).endswith(b"\r\n\r\n" + DATA[first : last + 1])
    writer.close()


async def until_hot(server: Server) -> None:
    """Ask for the blob until it is kept open."""

    async def hot() -> bool:
        await ask(server, f"GET {BLOB} HTTP/1.1\r\nHost: x\r\n\r\n")
        return bool(hot_of(server).blobs)

    await eventually(hot, "the blob to be hot")


async def test_a_client_that_reads_nothing_any_more_is_cut_off(twins: Twins, tmp_path: Path) -> None:
    log = tmp_path / "cut.log"
    server = Server(twins.site, replace(twins.settings, send_timeout=1, access_log=str(log)))
    await server.start()
    await until_hot(server)
    with narrow(server) as sock:
        sock.send(f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nRange: bytes=1-\r\n\r\n".encode())
        async with asyncio.timeout(20):
            await eventually(lambda: server.running, "the answer to begin")
            assert sum(entry.sending for entry in hot_of(server).blobs.values()) == 1
            await eventually(
                lambda: not server.running and not server.connections, "the answer to be given up"
            )
        sock.settimeout(20)
        with pytest.raises(ConnectionResetError):  # the kernel keeps nothing for it either
            while sock.recv(1 << 16):
                pass
    assert [entry.sending for entry in hot_of(server).blobs.values()] == [0]
    await server.close()
    (line,) = [line for line in map(json.loads, log.open()) if line.get("range") == "bytes=1-"]
    assert line["broken"] == "slow client" and line["bytes"] < len(DATA) - 1


async def test_a_client_slow_to_read_is_not_taken_for_an_idle_one(twins: Twins) -> None:
    await twins.warm()
    server = Server(twins.site, replace(twins.settings, keepalive_timeout=0.1, access_log=None))
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    await server.start(listener)
    await until_hot(server)
    for sent in (b"", b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"):
        reader, writer = await asyncio.open_connection(sock=narrow(server), limit=4096)
        writer.write(f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nRange: bytes=1-\r\n\r\n".encode() + sent)
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.3)
        assert server.running == 1
        assert await reader.readexactly(len(DATA) - 1) == DATA[1:]
        if sent:
            assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200 ")
        writer.close()
    await server.close()


async def test_a_client_that_has_hits_alone_is_not_taken_for_an_idle_one(twins: Twins) -> None:
    """Its connection began with an answer of the slow path, from which the time is counted."""
    await twins.warm()
    server = Server(twins.site, replace(twins.settings, keepalive_timeout=1.0, access_log=None))
    await server.start()
    await until_hot(server)
    request = f"GET {TARGETS[3]} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    for _ in range(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"{}")
        began = asked = time.monotonic()
        longest = 0.0
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while asked - began < 1.3:
                writer.write(request)
                await read_answer(reader)
                await asyncio.sleep(0.05)
                longest = max(longest, time.monotonic() - asked)
                asked = time.monotonic()
        writer.close()
        if longest < 0.5:  # else the machine was asleep, and so was the client
            break
    assert asked - began >= 1.3
    await server.close()


async def test_a_connection_too_many_is_refused_what_is_hot(twins: Twins) -> None:
    await twins.warm()
    server = Server(twins.site, replace(twins.settings, max_connections=1, access_log=None))
    await server.start()
    request = f"GET {TARGETS[3]} HTTP/1.1\r\nHost: x\r\n\r\n"
    for _ in range(3):
        assert (await ask(server, request)).endswith(MANIFEST)
        await eventually(lambda: not server.connections, "the connection to close")
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await eventually(lambda: server.connections, "the connection")
    assert (await ask(server, request)).startswith(b"HTTP/1.1 503 ")
    writer.close()
    await server.close()


async def test_over_tls(twins: Twins, answered: list[bool]) -> None:
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server_context)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    servers = [
        Server(twins.site, replace(twins.settings, fast=fast, access_log=None)) for fast in (True, False)
    ]
    for server in servers:
        await server.start(ssl=server_context)

    async def hot() -> bool:
        for target in TARGETS[:4]:
            await ask(servers[0], f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n", context)
        return bool(hot_of(servers[0]).blobs and hot_of(servers[0]).manifests)

    await eventually(hot, "a blob and a manifest to be hot")
    answered.clear()
    for target, fields in itertools.product(TARGETS, [*FIELDS[::2], "Range: bytes=0-262144\r\n"]):
        request = f"GET {target} HTTP/1.1\r\nHost: site\r\n{fields}\r\n"
        answers = [await ask(server, request, context) for server in servers]
        assert settled(answers[0]) == settled(answers[1]), request
    assert sum(answered) >= 10, "the fast one answered them"
    for server in servers:
        await server.close()


async def test_what_nobody_asks_for_may_be_evicted_and_is_let_go(twins: Twins, tmp_path: Path) -> None:
    await twins.warm()
    twins.hot.idle = 0.1
    path = next(file for file in tmp_path.rglob(DIGEST.hex) if file.is_file())

    def evictable() -> bool:
        fd = os.open(path, os.O_RDONLY)
        try:
            return try_flock(fd, shared=False)
        finally:
            os.close(fd)

    assert not evictable()
    await eventually(evictable, "the blob to be let go")
    held = len(twins.hot.blobs)
    assert held, "its file is open"
    twins.hot.idle = 30
    before = counts(twins.tables[0])
    request = f"GET /v2/team/app/blobs/{DIGEST} HTTP/1.1\r\nHost: site\r\nRange: bytes=7-99\r\n\r\n"
    assert b"206 Partial" in await ask(twins.fast, request)
    assert not evictable(), "it is hot again"
    assert before != counts(twins.tables[0]) and len(twins.hot.blobs) == held
    twins.hot.idle, twins.hot.open_for = 0.1, 0.2
    await eventually(lambda: not twins.hot.blobs, "the blobs to be closed")


async def test_where_all_places_are_taken_what_is_unused_goes_sooner(twins: Twins) -> None:
    await twins.warm()
    twins.hot.idle = 0.1
    twins.hot.crowded_for = 0.2
    await asyncio.sleep(1)
    assert twins.hot.blobs, "there is room"
    twins.hot.most = 2
    await eventually(lambda: not twins.hot.blobs, "the blobs to be closed")
