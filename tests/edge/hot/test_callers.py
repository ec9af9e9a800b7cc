"""Callers with credentials on the fast path: as fast as others, and never with more rights."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import math
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import bcrypt
import pytest
import pytest_asyncio

from registry_mesh.access.authorizer import Authorizer
from registry_mesh.access.tokens import Tokens, new_key
from registry_mesh.auth.access import PULLING, Action, Asked, Decision, Verdict
from registry_mesh.auth.basic import Login
from registry_mesh.auth.book import Book
from registry_mesh.auth.grants import Scope
from registry_mesh.auth.policies import Entry, Policies
from registry_mesh.edge.hot.callers import Right
from registry_mesh.edge.hot.entries import Hot
from registry_mesh.edge.hot.fast_path import FastPath
from registry_mesh.edge.hot.seconds import Seconds
from registry_mesh.edge.meters import Meters
from registry_mesh.edge.settings import Settings
from registry_mesh.edge.traffic import Traffic
from registry_mesh.telemetry.instruments import Instruments
from tests.edge.twins import BLOB, TARGETS, Twins, ask, open_twins, read_answer, settled
from tests.edge.twins import warm as warm_up

KEY = new_key()
HASHES = {user: bcrypt.hashpw(user.encode(), bcrypt.gensalt(4)).decode() for user in ("alice", "bob")}
READS = Policies((Entry("alice reads", frozenset({"alice"}), allow=PULLING),), {})


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def authorizer() -> Authorizer:
    return Authorizer(Book(READS, HASHES), Tokens(KEY, "twin", "twin", 300), time.time, ["registry.example"])


@pytest_asyncio.fixture
async def twins(tmp_path: Path, authorizer: Authorizer) -> AsyncIterator[Twins]:
    async with open_twins(tmp_path, authorizer) as twins:
        yield twins


async def bearer(authorizer: Authorizer, user: str, repository: str = "team/app") -> str:
    issued = await authorizer.issue(Login(user, user), [Scope("repository", repository, ("pull",))])
    return f"Bearer {issued.token}"


def request(target: str, authorization: str | None, method: str = "GET", more: str = "") -> str:
    line = f"Authorization: {authorization}\r\n" if authorization is not None else ""
    return f"{method} {target} HTTP/1.1\r\nHost: x\r\n{line}{more}\r\n"


async def warm(twins: Twins, authorization: str) -> None:
    await warm_up(twins.fast, f"Authorization: {authorization}\r\n")


async def test_each_caller_gets_what_the_slow_path_gives(twins: Twins, authorizer: Authorizer) -> None:
    alice = await bearer(authorizer, "alice")
    await warm(twins, alice)
    callers = [
        alice,
        basic("alice", "alice"),
        basic("alice", "wrong"),
        await bearer(authorizer, "alice", "team/other"),
        await bearer(authorizer, "bob"),
        basic("bob", "bob"),
        alice[:-1],
        alice + "x",
        alice.replace(".", "..", 1),
        f"{alice}\r\nAuthorization: {basic('bob', 'bob')}",
        f"{basic('bob', 'bob')}\r\nAuthorization: {alice}",
        f"{alice}\r\n folded",
        "",
        None,
    ]
    for authorization, target, more in itertools.product(callers, TARGETS[:4], ("", "Range: bytes=7-9\r\n")):
        text = request(target, authorization, more=more)
        for again in range(2):
            answers = [settled(await ask(server, text)) for server in (twins.fast, twins.slow)]
            assert answers[0] == answers[1], (authorization, target, more, again)
        may = authorization in (alice, basic("alice", "alice"))
        assert answers[0].split()[1] in ((b"200", b"206") if may else (b"400", b"401", b"403")), text


async def test_a_request_is_judged_by_itself_whatever_came_before_on_its_connection(
    twins: Twins, authorizer: Authorizer
) -> None:
    """What is remembered of the heads before speeds the next one up, and lends it nothing."""
    alice, bob = await bearer(authorizer, "alice"), await bearer(authorizer, "bob")
    await warm(twins, alice)
    part, trace = "Range: bytes=7-9\r\n", f"traceparent: 00-{'1' * 32}-{'2' * 16}-01\r\nX-Request-Id: a\r\n"
    shapes = [
        request(target, who, more=more)
        for who in (alice, bob, None)
        for target, more in ((TARGETS[2], ""), (BLOB, part), (TARGETS[2], trace), (TARGETS[3], ""))
    ]
    connections = [await asyncio.open_connection("127.0.0.1", each.port) for each in (twins.fast, twins.slow)]
    for before, after in itertools.product(shapes, shapes):
        for text in (before, after):
            answers = []
            for reader, writer in connections:
                writer.write(text.encode())
                answers.append(settled(await read_answer(reader)))
            assert answers[0] == answers[1], (before, after)
            may = alice in text
            assert answers[0].split()[1] in ((b"200", b"206") if may else (b"401", b"403")), text
    for _, writer in connections:
        writer.close()


async def test_a_known_caller_s_hits_do_not_reach_the_slow_path(
    twins: Twins, authorizer: Authorizer, answered: list[bool]
) -> None:
    callers = [await bearer(authorizer, "alice") for _ in range(3)]
    for each in callers:
        await warm(twins, each)
    answered.clear()
    for each, target in itertools.product(callers, TARGETS[:4]):
        await ask(twins.fast, request(target, each))
        await ask(twins.fast, request(BLOB, each, more="Range: bytes=7-9\r\n"))
    assert answered == [True] * 24


async def test_what_is_taken_away_is_gone_at_once(twins: Twins, authorizer: Authorizer) -> None:
    alice = await bearer(authorizer, "alice")
    await warm(twins, alice)
    assert b" 200 " in (await ask(twins.fast, request(BLOB, alice)))[:20]
    authorizer.replace(Book(READS, {}))
    assert b" 401 " in (await ask(twins.fast, request(BLOB, alice)))[:20]
    authorizer.replace(Book(Policies((), {}), HASHES))
    assert b" 403 " in (await ask(twins.fast, request(BLOB, alice)))[:20]


async def test_the_log_says_who(twins: Twins, authorizer: Authorizer, tmp_path: Path) -> None:
    alice = await bearer(authorizer, "alice")
    await warm(twins, alice)
    await ask(twins.fast, request(BLOB, alice))
    await ask(twins.fast, request(BLOB, None))
    await twins.fast.close()
    lines = [json.loads(line) for line in (tmp_path / "fast.log").open()]
    assert {line.get("subject") for line in lines[:-1]} == {"alice"}
    assert ("subject" in lines[-1], lines[-1]["status"]) == (False, 401)
    assert alice.split()[1] not in (tmp_path / "fast.log").read_text()


class Counting:
    """A policy whose answers hold until a time."""

    generation = 0
    asked = 0
    until = 0.0

    async def learn(self, authorization: str) -> None:
        pass

    def decide(self, authorization: str | None, asked: Asked) -> Decision:
        self.asked += 1
        return Decision(Verdict.ALLOW, "alice", until=self.until)

    def challenge(self, asked: Asked, base: str = "", error: str = "") -> str:
        return ""


async def test_a_right_is_asked_for_again_when_its_credentials_end() -> None:
    policy, hot = Counting(), Hot(1.0)
    traffic = Traffic(Settings(policy=policy), Meters(Instruments.alone()))
    path = FastPath(traffic, hot, asyncio.get_running_loop())
    hot.callers.keep("Bearer x", "alice")
    caller = hot.callers.by_value(b"Bearer x")
    right = Right(Asked(Action.PULL, "registry.example", "team/app"))
    policy.until = time.time() + 1000
    assert all(path.allows(caller, right, now) for now in (1.0, 2.0, 999.0))
    assert policy.asked == 1
    assert path.allows(caller, right, 1002.0)
    assert policy.asked == 2
    policy.generation += 1
    assert path.allows(caller, right, 1003.0)
    assert policy.asked == 3


def test_callers_are_compared_as_a_whole() -> None:
    hot = Hot(1.0)
    end = "x" * 100
    hot.callers.keep(f"Bearer a{end}", "alice")
    assert hot.callers.by_value(f"Bearer b{end}".encode()) is None
    hot.callers.keep(f"Bearer b{end}", "bob")
    caller = hot.callers.by_value(f"Bearer b{end}".encode())
    assert caller is not None
    assert caller.log == '"subject":"bob",'
    assert hot.callers.by_value(f"Bearer a{end}".encode()) is None
    hot.callers.keep("x" * 10_000, "alice")
    assert hot.callers.by_value(b"x" * 10_000) is None


async def exchanged(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str
) -> tuple[bytes, bytes]:
    """Status line and body of an answer on a connection that is kept."""
    writer.write(head.encode())
    told = await reader.readuntil(b"\r\n\r\n")
    length = int(told.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return told.partition(b"\r\n")[0], await reader.readexactly(length)


async def test_a_connection_whose_heads_change_their_shape_gives_each_its_own(
    twins: Twins, authorizer: Authorizer
) -> None:
    """It remembers where the lines were and whose credentials came last: neither may answer for another request."""
    alice, again, bob = [await bearer(authorizer, user) for user in ("alice", "alice", "bob")]
    forged = f"{alice[:30]}{'a' if alice[30] != 'a' else 'b'}{alice[31:]}"  # ends as a good one does
    await warm(twins, alice)
    await warm(twins, again)
    shown = (alice, again, bob, forged, f"{alice}x", alice[:-1], f"x{alice}")
    logins = ["", *(f"Authorization: {each}\r\n" for each in shown)]
    spans = [
        "",
        "Range: bytes=7-70\r\n",
        "Range: bytes=1000-70000\r\n",
        "Range: bytes=7-70\r\nRange: bytes=1-2\r\n",
    ]
    heads = [
        f"GET {target} HTTP/1.1\r\nHost: x\r\n{lines}\r\n"
        for target, login, span in itertools.product(TARGETS[:3], logins, spans)
        for lines in (login + span, span + login, f"Accept: */*\r\n{login}{span}")
    ]
    random.Random(4).shuffle(heads)
    fast, slow = [await asyncio.open_connection("127.0.0.1", each.port) for each in (twins.fast, twins.slow)]
    for head in heads:
        assert await exchanged(*fast, head) == await exchanged(*slow, head), head
    for _, writer in (fast, slow):
        writer.close()


async def test_no_shape_that_came_before_makes_a_known_one_slow(
    twins: Twins, authorizer: Authorizer, answered: list[bool]
) -> None:
    """Go writes the login before the range, curl behind it; a proxy has both on one connection."""
    alice = await bearer(authorizer, "alice")
    await warm(twins, alice)
    login, spans = f"Authorization: {alice}\r\n", ("Range: bytes=7-70\r\n", "Range: bytes=1000-70000\r\n")
    heads = [
        f"GET {TARGETS[0]} HTTP/1.1\r\nHost: x\r\n{lines}\r\n"
        for span in spans
        for lines in (login + span, span + login, f"Accept: */*\r\n{span}{login}", login)
    ]
    reader, writer = await asyncio.open_connection("127.0.0.1", twins.fast.port)
    for head in heads:
        await exchanged(reader, writer, head)
    answered.clear()
    for before, head in itertools.permutations(heads, 2):
        await exchanged(reader, writer, before)
        await exchanged(reader, writer, head)
    assert answered == [True] * 2 * len(list(itertools.permutations(heads, 2)))
    writer.close()


def test_thousands_share_what_is_the_same() -> None:
    """Each object of its own is one more to fetch from far, where every request shows another token."""
    hot = Hot(60, 16)
    for n in range(1000):
        hot.callers.keep(f"Bearer {n:0500}", "anonymous")
    callers = [hot.callers.by_value(b"Bearer %0500d" % n) for n in range(1000)]
    assert len({id(each.length) for each in callers if each is not None}) == 1


def test_ends_within_a_second_are_one_object() -> None:
    seconds = Seconds()
    ends = [seconds.at(1000 + n / 1000) for n in range(1000)]
    assert {id(each) for each in ends} == {id(ends[0])}
    assert ends[0] == 1000.0 and seconds.at(math.inf) == math.inf
