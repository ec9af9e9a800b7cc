"""A parent that answers, and says that none of its own parents does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from registry_mesh.assembly.supervision.told import Told
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.findings.finding import Finding
from registry_mesh.ports.cut_off import LIMIT, parsed, written
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.health.board import TOLD_AGAIN, Board, Card
from registry_mesh.upstream.session import ParentSession
from tests.eventually import eventually
from tests.simulators.nests import Ground, Plain, no_bucket

OFFLINE = Finding(
    "offline",
    "No parent of r.example answers.",
    "r.example",
    (),
    "",
    1_795_516_936.7,
    registries=("r.example",),
)
SLOW = Finding("parent-slow", "p gives 3 kB/s.", "p", (), "", 1_795_516_900.0, registries=("r.example",))


@asynccontextmanager
async def below(told: Told, card: Card, folder: Path) -> AsyncIterator[ParentSession]:
    """A node's way to a site that says what it is `told` of."""
    async with AsyncExitStack() as stack:
        nothing = await Ground(stack, folder, no_bucket).empty_origin()
        server = Server(Plain(nothing, "site"), Settings(node="b" * 16, cut_off=told.cut_off))
        await server.start()
        stack.push_async_callback(server.close)
        client = await stack.enter_async_context(open_session())
        session = ParentSession(client, f"http://127.0.0.1:{server.port}", card=card)
        stack.push_async_callback(session.close)
        yield session


async def test_those_below_hear_of_it_and_of_its_end(tmp_path: Path) -> None:
    told, board = Told(), Board(["parent"], processes=2, node="a" * 16)
    async with below(told, board.card("parent", 1), tmp_path) as session:
        for findings, heard in [
            ([], {}),
            ([SLOW, OFFLINE], {"r.example": 1_795_516_937.0}),
            ([SLOW], {}),
        ]:
            told.show(findings)
            assert await session.parent.ping()
            assert parsed(board.sheet("parent").cut_off()) == heard
        told.show([OFFLINE])
        assert await session.parent.ping()
    board.clear(1)
    assert board.sheet("parent").cut_off() == "", "its successor has heard nothing"


async def test_who_gives_something_is_asked_at_once_whether_it_is_cut_off_still(tmp_path: Path) -> None:
    told, now = Told(), 1000.0
    board = Board(["parent"], node="a" * 16)
    async with below(told, board.card("parent", 0, lambda: now), tmp_path) as session:
        told.show([OFFLINE])
        assert await session.parent.ping()
        assert board.sheet("parent").cut_off()
        told.show([])
        now += TOLD_AGAIN
        async with session.request("GET", "/v2/team/app/tags/list", scope=""):
            pass
        await eventually(lambda: not board.sheet("parent").cut_off(), "its answer to the ping")


def test_what_is_written_is_read() -> None:
    since = {"registry.example": 1_795_516_936.7, "other.example:5000": 3.0}
    assert written(since) == "registry.example=1795516937 other.example:5000=3"
    assert parsed(written(since)) == {"registry.example": 1_795_516_937.0, "other.example:5000": 3.0}
    assert written({}) == ""


def test_it_is_the_same_time_at_every_tier() -> None:
    """A tier reckons with what has passed since, in tenths."""
    since, now = 1_795_516_936.0, 1_795_517_000.03
    for _ in range(8):
        since = parsed(written({"r.example": now - round(now - since, 1)}))["r.example"]
    assert since == 1_795_516_936.0


def test_as_many_are_told_of_as_there_is_room_for() -> None:
    told = written({f"registry-{index}.example": 1_795_516_936.0 for index in range(100)})
    assert len(told) <= LIMIT
    assert 15 < len(parsed(told)) < 100


@pytest.mark.parametrize(
    "said", ["nonsense", "a=b", "=3", "a=3=4", "a=-1", f"{'a' * 300}=3", f"a={'9' * 20}"]
)
def test_what_cannot_be_read_is_left_out(said: str) -> None:
    assert parsed(f"{said} b=4") == {"b": 4.0}
