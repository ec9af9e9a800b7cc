"""A site whose parent is a real docker-registry behind a real nginx, set up as people set it up."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
import trustme

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_CONFIG, OCI_MANIFEST
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from registry_mesh.upstream.tls_files import TlsFiles
from registry_mesh.upstream.way import Way
from tests.clients.registries import docker_registry, nginx_with, push
from tests.simulators.local_site import REGISTRY, LocalSite, local_site
from tests.simulators.parent import LAYER
from tests.simulators.upstream import PATIENT

pytestmark = pytest.mark.slow

BEFORE = """{server}
        location {prefix}/ {{
            {here}
            proxy_pass http://127.0.0.1:{registry}/;
            proxy_http_version 1.1;
        }}
        location = /v2/ {{ return 200; }}"""

AS_IT_IS = {
    "plain": "",
    "chunks instead of a length": "sub_filter_types *; sub_filter nowhere-in-it there; sub_filter_once off;",
    "a label of another coding": "add_header Content-Encoding x-gzip;",
    "compressed": "gzip on; gzip_min_length 1; gzip_types *; gzip_proxied any;",
    "HEAD is refused": "if ($request_method = HEAD) { return 405; }",
    "HEAD is forbidden": "if ($request_method = HEAD) { return 403; }",
    "HEAD is unknown": "if ($request_method = HEAD) { return 404; }",
    "ns is refused": "if ($arg_ns) { return 400; }",
    "no host is passed on": "proxy_set_header Host inner-api;",
    "no ranges": "proxy_force_ranges off; proxy_set_header Range ''; add_header Accept-Ranges none;",
    "types of its own": "proxy_hide_header Content-Type; add_header Content-Type application/octet-stream;",
    "no digest": "proxy_hide_header Docker-Content-Digest; proxy_hide_header ETag;",
}


@dataclass
class Image:
    """What the registry has."""

    registry: str
    store: Path
    layer: bytes
    text: bytes


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def image(clients: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Image]:
    folder = tmp_path_factory.mktemp("registry") / "docker"
    with docker_registry(folder) as url:
        async with aiohttp.ClientSession() as client:
            config, layer = b'{"architecture":"amd64","os":"linux"}', os.urandom(300_000) + b"end" * 50_000
            parts = [(OCI_CONFIG, config), (LAYER, layer)]
            named = [
                {"mediaType": kind, "digest": str(await push(client, url, data)), "size": len(data)}
                for kind, data in parts
            ]
            document = {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": named[0],
                "layers": named[1:],
            }
            text = json.dumps(document).encode()
            headers = {"Content-Type": OCI_MANIFEST}
            async with client.put(f"{url}/v2/team/app/manifests/1", data=text, headers=headers) as answer:
                assert answer.status == 201, await answer.text()
        yield Image(url, folder / "store", layer, text)


@asynccontextmanager
async def behind(
    image: Image,
    folder: Path,
    here: str,
    prefix: str = "",
    server: str = "",
    tls: Path | None = None,
    beside: str = "",
) -> AsyncIterator[str]:
    """The registry's address behind nginx; with `tls`, a file of a certificate and its key, that of https."""
    registry = image.registry.rpartition(":")[2]
    directives = BEFORE.format(server=server, prefix=prefix, here=here, registry=registry)
    with nginx_with(folder, directives, tls, beside) as url:
        yield url + prefix


async def demand_all(site: LocalSite, image: Image) -> None:
    """Everything a client asks for is as the registry has it."""
    digest, blob = Digest.of(image.text), Digest.of(image.layer)
    length = len(image.layer)
    for reference in ("1", str(digest)):
        for method in ("HEAD", "GET"):
            answer = await site.ask(method, f"/v2/team/app/manifests/{reference}")
            assert (answer.status, answer.headers["docker-content-digest"]) == (200, str(digest)), answer.body
            assert answer.headers["content-length"] == str(len(image.text))
            assert answer.headers["content-type"] == OCI_MANIFEST
        assert answer.body == image.text
    path = f"/v2/team/app/blobs/{blob}"
    head = await site.head(path)
    assert (head.status, head.headers["content-length"]) == (200, str(length))
    suffix = await site.get(path, Range="bytes=-9")
    assert (suffix.status, suffix.body) == (206, image.layer[-9:])
    part = await site.get(path, Range="bytes=70000-70009")
    assert (part.status, part.body) == (206, image.layer[70_000:70_010])
    whole = await site.get(path)
    assert (whole.status, whole.body == image.layer) == (200, True), whole.body[:300]
    tags = await site.get("/v2/team/app/tags/list")
    assert json.loads(tags.body)["tags"] == ["1"]
    referrers = await site.get(f"/v2/team/app/referrers/{digest}")
    assert (referrers.status, json.loads(referrers.body)["manifests"]) == (200, [])
    for unknown in (f"blobs/{Digest.of(b'none')}", f"manifests/{Digest.of(b'none')}", "manifests/none"):
        for method in ("HEAD", "GET"):
            assert (await site.ask(method, f"/v2/team/app/{unknown}")).status == 404


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("here", AS_IT_IS.values(), ids=AS_IT_IS.keys())
async def test_everything_comes_as_the_registry_has_it(image: Image, tmp_path: Path, here: str) -> None:
    async with behind(image, tmp_path, here) as url, local_site(url) as site:
        await demand_all(site, image)


@pytest.mark.asyncio(loop_scope="module")
async def test_below_a_path(image: Image, tmp_path: Path) -> None:
    async with behind(image, tmp_path, "", prefix="/hub") as url, local_site(url) as site:
        await demand_all(site, image)


@pytest.mark.asyncio(loop_scope="module")
async def test_referrers_that_the_proxy_refuses_are_none(image: Image, tmp_path: Path) -> None:
    refuses = "location ~ /referrers/ { return 405; }"
    async with behind(image, tmp_path, "", server=refuses) as url, local_site(url) as site:
        await demand_all(site, image)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_links_that_name_the_inner_host_lead_to_the_parent(
    image: Image, tmp_path: Path, scheme: str
) -> None:
    """The link of a parent, https as it may be, leads to http, another host, port and path."""
    for number in range(230):
        folder = image.store / f"docker/registry/v2/repositories/many/r{number:03}/_layers"
        folder.mkdir(parents=True, exist_ok=True)
    here = "proxy_hide_header Link; add_header Link $inner;"
    inner = 'map $upstream_http_link $inner { "~^<(.*)>(.*)$" "<http://inner-api:5000/deep$1>$2"; }'
    authority, tls = trustme.CA(), None
    if scheme == "https":
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            str(tmp_path / "tls.pem")
        )
        tls = tmp_path / "tls.pem"
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    trusted = ssl.create_default_context(cafile=str(ca))
    async with behind(image, tmp_path, here, prefix="/hub", tls=tls, beside=inner) as url:
        assert url.startswith(f"{scheme}://")
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"{url}/v2/_catalog?n=100", ssl=trusted) as answer,
        ):
            assert answer.headers["Link"].startswith("<http://inner-api:5000/deep/v2/_catalog?"), (
                "else this shows nothing"
            )
        way = Way(hosts=frozenset({"127.0.0.1"}), tls=TlsFiles(str(ca), None, None))
        async with open_session(way) as session:
            parent = UpstreamRegistry(ParentSession(session, url, None, PATIENT), REGISTRY)
            names = [name async for name in parent.repositories()]
    assert len([name for name in names if name.startswith("many/")]) == 230
