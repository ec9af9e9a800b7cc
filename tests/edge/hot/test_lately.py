"""Tables of the fast path are bounded in bytes and keep what is used."""

from __future__ import annotations

import asyncio
import os

from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.auth.access import Action, Asked
from registry_mesh.edge.hot import entries
from registry_mesh.edge.hot.callers import Right
from registry_mesh.edge.hot.entries import Hot
from registry_mesh.edge.hot.lately import EACH, Lately
from registry_mesh.edge.hot.manifest import HotManifest
from registry_mesh.edge.hot.recognise import HEADS, LONGEST, Recogniser
from registry_mesh.edge.hot.shape import Shape
from registry_mesh.edge.hot.tally import Tallies
from registry_mesh.edge.keep_hot import RENEWED
from registry_mesh.edge.meters import Meters
from registry_mesh.telemetry.instruments import Instruments
from tests.edge.twins import BLOB, TARGETS, Twins, ask

HALF = 20 * (EACH + 10)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60))))
def test_whatever_is_put_and_asked_it_stays_within_bounds_and_right(steps: list[tuple[bool, int]]) -> None:
    table: Lately[int] = Lately(HALF, 100)
    new = table.new
    for put, number in steps:
        key = b"%010d" % number
        if put:
            table.put(key, number)
            assert new[key] == number
        else:
            assert table.get(key) in (None, number)
        assert table.new is new
        assert len(table) <= 40


def test_what_is_used_outlives_a_flood_of_what_is_asked_once() -> None:
    table: Lately[str] = Lately(HALF, 100)
    table.put(b"used", "yes")
    for number in range(1000):
        table.put(b"%010d" % number, "no")
        if number % 10 == 0:
            assert table.get(b"used") == "yes"
    assert table.get(b"%010d" % 0) is None
    table.put(b"x" * 101, "too long")
    assert table.get(b"x" * 101) is None


def manifest(size: int) -> HotManifest:
    right = Right(Asked(Action.PULL, "registry.example", "team/app"))
    shape = Shape(right, "GET", b"", b"", b"\r\n", "")
    return HotManifest(shape, "manifest", size, os.urandom(size), None, float("inf"))


def test_a_manifest_that_is_asked_for_stays_when_others_need_the_room() -> None:
    hot = Hot(1.0)
    used = manifest(1000)
    hot.keep_manifest(b"used", used)
    for number in range(3 * entries.MEMORY // (1 << 20)):
        used.used = True
        hot.keep_manifest(b"%d" % number, manifest(1 << 20))
    assert hot.manifests[b"used"] is used and not used.gone
    assert sum(each.size for each in hot.manifests.values()) <= entries.MEMORY


async def test_a_hot_manifest_is_read_again_now_and_then_for_the_store_to_hear_of_its_use(
    twins: Twins,
) -> None:
    await twins.warm()
    later = asyncio.get_running_loop().time() + RENEWED
    assert twins.hot.manifests
    assert not any(each.renew(later) for each in twins.hot.manifests.values())


async def test_queries_that_mean_nothing_are_no_keys(twins: Twins) -> None:
    await twins.warm()
    before = set(twins.hot.blobs) | set(twins.hot.manifests)
    host = "http://a.host"
    for odd in (
        f"{BLOB}?x=1",
        f"{BLOB}?",
        f"{BLOB}?ns=registry.example&x=1",
        f"{BLOB}?x=1&ns=registry.example",
        f"{BLOB}?ns=registry.exampl%65",
        BLOB.replace("team", "te%61m"),
        host + BLOB,
        f"{TARGETS[3]}?x=1",
        f"{host}{TARGETS[3]}",
        f"{TARGETS[2]}?{'y' * 30_000}",
    ):
        for _ in range(3):
            answer = await ask(twins.fast, f"GET {odd} HTTP/1.1\r\nHost: x\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200 "), odd
            await asyncio.sleep(0.005)
    assert set(twins.hot.blobs) | set(twins.hot.manifests) == before


async def test_a_flood_of_different_heads_is_bounded_and_takes_no_room_from_the_usual_one() -> None:
    hot, loop = Hot(1.0), asyncio.get_running_loop()
    hot.keep_manifest(b"GET /v2/a/manifests/1", manifest(100))
    recogniser = Recogniser(hot, Tallies(Meters(Instruments.alone()), loop))
    head = "GET /v2/a/manifests/1 HTTP/1.1\r\nHost: x\r\nAccept: %s\r\n\r\n"
    usual, *_ = recogniser.recognise((head % "usual").encode())
    assert usual is not None
    for number in range(20_000):
        assert recogniser.recognise((head % f"{number}{'a' * (number % 2500)}").encode())[0] is not None
        if number % 1000 == 0:
            assert recogniser.recognise((head % "usual").encode())[0] is usual
    assert sum(map(len, recogniser.known)) <= HEADS
    assert max(map(len, recogniser.known)) <= LONGEST
