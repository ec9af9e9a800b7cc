"""An origin behind a real nginx or HAProxy that offers it below a path, and takes that path off."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from registry_mesh.auth.access import AnonymousAccess, Level
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from tests.clients.registries import free_port, installed, nginx_with, serving
from tests.clients.scripts import run
from tests.simulators.role import SimulatedRole

PROXY = """client_max_body_size 0;
        location = /v2/ {{ return 200; }}
        location /registry/ {{
            proxy_pass http://127.0.0.1:{origin}{path};
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-Prefix /registry;
        }}
        location /v2/below/ {{
            proxy_pass http://127.0.0.1:{origin}/v2/;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Host $http_host;
            proxy_redirect /v2/ /v2/below/;
        }}
        location /v2/ {{
            proxy_pass http://127.0.0.1:{origin};
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Host $http_host;
        }}"""


HAPROXY = """defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    option http-keep-alive
    option forwardfor
    retries 3
    option redispatch
    retry-on conn-failure empty-response 503
    http-reuse always
frontend all
    bind 127.0.0.1:{port}
    http-request return status 200 if {{ path /v2/ }}
    http-request set-header X-Forwarded-Prefix /registry if {{ path_beg /registry/ }}
    http-request replace-path /registry(/.*) \\1
    http-request set-var(txn.below) bool(true) if {{ path_beg /v2/below/ }}
    http-request replace-path /v2/below/(.*) /v2/\\1
    http-response replace-header Location ^/v2/(.*) /v2/below/\\1 if {{ var(txn.below) -m bool }}
    default_backend origin
backend origin
    server origin 127.0.0.1:{origin}
"""


@pytest_asyncio.fixture(params=["/", "//", "haproxy"], ids=["nginx", "nginx, a slash too many", "haproxy"])
async def proxied(clients: None, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    server = Server(SimulatedRole(), Settings(policy=AnonymousAccess(Level.ADMIN)))
    await server.start()
    if request.param == "haproxy":
        port = free_port()
        (tmp_path / "conf").write_text(HAPROXY.format(port=port, origin=server.port))
        proxy = serving([installed("/usr/sbin/haproxy"), "-db", "-f", str(tmp_path / "conf")], tmp_path, port)
    else:
        proxy = nginx_with(tmp_path, PROXY.format(origin=server.port, path=request.param))
    with proxy as url:
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


async def test_what_is_refused_leaves_the_proxys_connection_to_others(proxied: str) -> None:
    """A body that nobody reads, a HEAD of nothing, an upgrade: the next request gets its own answer."""
    data = os.urandom(3 << 20)
    digest = Digest.of(data)
    base = f"{proxied}/registry/v2/team/app"
    async with aiohttp.ClientSession() as client:
        async with client.post(f"{base}/blobs/uploads/?digest={digest}", data=data) as answer:
            assert answer.status == 201
        for _ in range(2):
            for method, path, body, status in (
                ("PUT", "manifests/t", data, 400),
                ("PATCH", f"blobs/uploads/{'a' * 32}", data, 404),
                ("HEAD", f"blobs/{Digest.of(b'none')}", None, 404),
                ("POST", f"blobs/uploads/?digest={Digest.of(b'other')}", data, 400),
            ):
                async with client.request(method, f"{base}/{path}", data=body) as answer:
                    assert answer.status == status, (method, path, await answer.text())
                upgrade = {"Connection": "Upgrade", "Upgrade": "h2c"}
                async with client.get(f"{base}/tags/list", headers=upgrade) as answer:
                    assert answer.status == 200
                async with client.get(f"{base}/blobs/{digest}") as answer:
                    assert await answer.read() == data
                async with client.get(f"{base}/blobs/{digest}", headers={"Range": "bytes=-7"}) as answer:
                    assert (answer.status, await answer.read()) == (206, data[-7:])


def layout(folder: Path) -> dict[str, bytes]:
    """An image of two layers as a folder that `skopeo` reads (`dir:`); its files."""
    config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
    blobs = [config, gzip.compress(os.urandom(3 << 20), 0), gzip.compress(b"small")]
    kinds = [OCI_CONFIG, *["application/vnd.oci.image.layer.v1.tar+gzip"] * 2]
    named = [
        {"mediaType": kind, "digest": str(Digest.of(data)), "size": len(data)}
        for kind, data in zip(kinds, blobs, strict=True)
    ]
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": named[0],
        "layers": named[1:],
    }
    files = {Digest.of(data).hex: data for data in blobs} | {"manifest.json": json.dumps(document).encode()}
    folder.mkdir()
    (folder / "version").write_text("Directory Transport Version: 1.1\n")
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return files


@pytest.mark.parametrize("below", ["", "below/"], ids=["as it is", "names below a folder"])
async def test_skopeo_pushes_and_pulls_the_same(proxied: str, tmp_path: Path, below: str) -> None:
    """Clients ask below `/v2/` alone: a prefix of theirs is a part of the name, which the proxy takes off."""
    files = layout(tmp_path / "pushed")
    image = f"docker://{proxied.removeprefix('http://')}/{below}team/app:1"
    copy = ("skopeo", "--insecure-policy", "copy")
    await asyncio.to_thread(run, *copy, "--dest-tls-verify=false", f"dir:{tmp_path}/pushed", image)
    await asyncio.to_thread(run, *copy, "--src-tls-verify=false", image, f"dir:{tmp_path}/pulled")
    assert {name: (tmp_path / "pulled" / name).read_bytes() for name in files} == files
