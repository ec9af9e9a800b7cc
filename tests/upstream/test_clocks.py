"""What time it is elsewhere, by what answers say."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from aiohttp import web

from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.health.board import Board
from registry_mesh.upstream.health.clocks import ahead
from registry_mesh.upstream.session import ParentSession
from tests.simulators.parent import plain_parent

NOW = 1_795_516_936.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Date": formatdate(NOW - 660, usegmt=True)}, 660.0),
        ({"Date": formatdate(NOW + 5, usegmt=True)}, -5.0),
        ({"Date": formatdate(NOW - 660, usegmt=True), "Age": "700"}, None),
        ({"Date": "yesterday"}, None),
        ({"Date": "Tue, 99 Nov 2026 10:42:16 GMT"}, None),
        ({"Date": ""}, None),
        ({}, None),
    ],
)
def test_by_how_much_this_clock_is_ahead(headers: dict[str, str], seconds: float | None) -> None:
    assert ahead(headers, NOW) == seconds


async def test_a_parent_whose_clock_is_another_is_told_of_to_all_processes() -> None:
    board = Board(["p"], 2)

    def late(request: web.BaseRequest) -> web.Response:
        return web.Response(headers={"Date": formatdate(1_000_000_000, usegmt=True)})

    async with plain_parent() as parent, open_session() as client:
        parent.odd = late
        session = ParentSession(client, parent.url, card=board.card("p", 0))
        async with session.request("GET", "/v2/", scope=""):
            pass
    told = board.sheet("p").standing(board.card("p", 1).clock()).clock_ahead
    assert told is not None
    assert told > 500_000_000
