"""Hits that are counted by caller and thing: each once, whatever a connection was asked before."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
import trustme

from registry_mesh.access.authorizer import Authorizer
from registry_mesh.access.tokens import Tokens, new_key
from registry_mesh.auth.access import PULLING
from registry_mesh.auth.book import Book
from registry_mesh.auth.policies import EVERYBODY, Entry, Policies
from registry_mesh.edge.server import Server
from tests.edge.hot.test_callers import HASHES, bearer, request
from tests.edge.twins import BLOB, DIGEST, NAMED, TARGETS, Twins, hot_of, open_twins, read_answer
from tests.eventually import eventually

Counted = Counter[tuple[str, str, str, str]]
PEER = "127.0.0.1"
TAG, NAME = TARGETS[2:4]


@pytest.fixture
def authorizer() -> Authorizer:
    all_read = Policies((Entry("all read", frozenset({EVERYBODY}), allow=PULLING),), {})
    return Authorizer(Book(all_read, HASHES), Tokens(new_key(), "twin", "twin", 300), time.time, [])


@pytest_asyncio.fixture
async def twins(tmp_path: Path, authorizer: Authorizer) -> AsyncIterator[Twins]:
    async with open_twins(tmp_path, authorizer) as twins:
        yield twins


class Tried:
    """A server, what clients fetched of it, and what it says that they did."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.fetched: Counted = Counter()
        self.told: Counted = Counter()

    def take(self) -> None:
        for pull in self.server.take_pulls("2026-11-29"):
            thing = (pull.digest, pull.tag, pull.who)
            self.told[*thing, "pulls"] += pull.pulls
            self.told[*thing, "bytes"] += pull.bytes

    async def connect(self, tls: ssl.SSLContext | None) -> Connected:
        return Connected(self, *await asyncio.open_connection(PEER, self.server.port, ssl=tls))

    def settled(self) -> bool:
        """Whether all is told; the slow path counts after the client has its answer."""
        self.take()
        return self.told == self.fetched


class Connected:
    def __init__(self, tried: Tried, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tried = tried
        self._reader = reader
        self.writer = writer

    async def ask(self, target: str, who: str, token: str | None, method: str, more: str) -> None:
        self.writer.write(request(target, token, method, more).encode())
        answer = await read_answer(self._reader, bodyless=method == "HEAD")
        head, _, body = answer.partition(b"\r\n\r\n")
        if method == "GET" and head.split()[1] != b"304":
            assert head.split()[1] in (b"200", b"206"), head
            thing = (str(DIGEST if target == BLOB else NAMED), "1" if target == TAG else "", who)
            self._tried.fetched[*thing, "pulls"] += 1
            self._tried.fetched[*thing, "bytes"] += len(body)


@pytest.mark.parametrize("encrypted", [False, True])
async def test_each_answer_is_told_once(
    twins: Twins, authorizer: Authorizer, answered: list[bool], encrypted: bool
) -> None:
    """Several connections of several callers, which ask for one thing after another, end and begin, while counts are
    taken now and then."""
    authority, serving = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(PEER).configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    tls = trusting if encrypted else None
    server = Server(twins.site, replace(twins.settings, count_pulls=True, access_log=None))
    await server.start(ssl=serving if encrypted else None)
    tried, chance = Tried(server), random.Random(7)
    callers = [(who, await bearer(authorizer, who)) for who in ("alice", "alice", "bob")] + [(PEER, None)]
    connections = [await tried.connect(tls) for _ in range(3)]

    async def step() -> None:
        number = chance.randrange(3)
        target, (who, token) = chance.choice((TAG, NAME, BLOB)), chance.choice(callers)
        method, more = chance.choice(("GET", "GET", "GET", "HEAD")), ""
        if target == BLOB:
            first = chance.randrange(1000)
            more = (
                f"Range: bytes={first}-{first + chance.randrange(1000)}\r\n" if chance.random() < 0.9 else ""
            )
        elif chance.random() < 0.2:
            more = f'If-None-Match: "{NAMED}"\r\n'
        for _ in range(chance.choice((1, 1, 2, 5))):
            await connections[number].ask(target, who, token, method, more)
        if chance.random() < 0.1:
            connections[number].writer.close()
            connections[number] = await tried.connect(tls)
        if chance.random() < 0.1:
            tried.take()

    async def hot() -> bool:
        await step()
        return bool(hot_of(server).blobs) and len(hot_of(server).manifests) == 4

    await eventually(hot, "all to be hot", pause=0)
    answered.clear()
    for _ in range(300):
        await step()
    assert sum(answered) > len(answered) / 2, "the fast path answered most of them"
    for connection in connections:
        connection.writer.close()
    await eventually(tried.settled, lambda: (tried.told - tried.fetched, tried.fetched - tried.told))
    await server.close()
