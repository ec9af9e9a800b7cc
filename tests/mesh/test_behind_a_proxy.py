"""An origin behind a real nginx that offers it below a path, and takes that path off."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from registry_mesh.auth.access import AnonymousAccess, Level
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_INDEX
from tests.clients.registries import TEMPORARY, free_port, installed, serving
from tests.simulators.role import SimulatedRole

PROXY = """daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/errors;
events {{}}
http {{
    access_log off;
    {temporary}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 0;
        location = /v2/ {{ return 200; }}
        location /registry/ {{
            proxy_pass http://127.0.0.1:{origin}{path};
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-Prefix /registry;
        }}
    }}
}}
"""


@pytest_asyncio.fixture(params=["/", "//"], ids=["a path taken off", "with a slash too many"])
async def proxied(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    server = Server(SimulatedRole(), Settings(policy=AnonymousAccess(Level.ADMIN)))
    await server.start()
    port = free_port()
    temporary = "\n    ".join(f"{name}_temp_path {tmp_path}/{name};" for name in TEMPORARY)
    (tmp_path / "conf").write_text(
        PROXY.format(folder=tmp_path, temporary=temporary, port=port, origin=server.port, path=request.param)
    )
    with ExitStack() as stack:
        command = [installed("/usr/sbin/nginx"), "-c", str(tmp_path / "conf")]
        url = stack.enter_context(serving(command, tmp_path, port))
        yield url
    await server.close()


async def test_a_push_and_a_walk_of_tags_stay_below_the_path(proxied: str) -> None:
    data = os.urandom(100_000)
    digest = Digest.of(data)
    async with aiohttp.ClientSession() as client:
        async with client.post(f"{proxied}/registry/v2/team/app/blobs/uploads/") as answer:
            assert answer.status == 202
            location = answer.headers["Location"]
            assert location.startswith("/registry/v2/team/app/blobs/uploads/")
        async with client.patch(proxied + location, data=data[:50_000]) as answer:
            assert answer.status == 202
        async with client.put(f"{proxied}{location}?digest={digest}", data=data[50_000:]) as answer:
            assert answer.status == 201
        async with client.get(proxied + answer.headers["Location"]) as answer:
            assert await answer.read() == data
        tags = "&".join(f"tag=t{number:03}" for number in range(220))
        index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []})
        path = f"/registry/v2/team/app/manifests/{Digest.of(index.encode())}?{tags}"
        async with client.put(proxied + path, data=index, headers={"Content-Type": OCI_INDEX}) as answer:
            assert answer.status == 201, "nginx takes 4 KiB of header, and 220 lines are more"
            assert len(answer.headers["OCI-Tag"].split(", ")) == 220
        following: str | None = "/registry/v2/team/app/tags/list?n=50"
        seen: list[str] = []
        while following:
            async with client.get(proxied + following) as answer:
                seen += (await answer.json())["tags"]
                following = str(answer.links["next"]["url"].path_qs) if answer.links else None
        assert len(set(seen)) == len(seen) == 220
