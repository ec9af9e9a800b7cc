"""What is counted of requests, and that a mesh node says it is one."""

from __future__ import annotations

import aiohttp

from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.telemetry.instruments import Layout, Table
from registry_mesh.telemetry.names import REQUESTS, REQUESTS_RUNNING, SENT_BYTES
from tests.simulators.role import SimulatedRole


async def test_requests_are_counted_by_what_they_asked_and_got() -> None:
    table = Table(Layout(), 1)
    role = SimulatedRole()
    server = Server(role, Settings(), instruments=table.row(0))
    await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
        async with client.get("/v2/") as response:
            assert response.headers["Registry-Mesh"] == role.name
            assert await response.read() == b"{}"
        async with client.get("/v2/team/app/manifests/none") as response:
            assert response.status == 404
        async with client.get("/elsewhere") as response:
            assert response.status == 404
    await server.close()
    assert table.total(REQUESTS, endpoint="base", method="GET", code="2xx") == 1
    assert table.total(REQUESTS, endpoint="manifest", method="GET", code="4xx") == 1
    assert table.total(REQUESTS, endpoint="other") == 1
    assert table.total(SENT_BYTES, endpoint="base") == 2
    assert table.total(REQUESTS_RUNNING) == 0
