"""A plain registry on a real socket that holds what a test gives it, and answers ranges as it should; or, where a test
says so, oddly."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_CONFIG, OCI_MANIFEST

LAYER = "application/vnd.oci.image.layer.v1.tar"

Odd = Callable[[web.BaseRequest], web.Response | None]


@dataclass
class PlainParent:
    """One repository, `team/app`."""

    port: int = 0
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    late: float = 0.0
    """Seconds before an answer about a manifest."""
    odd: Odd | None = None
    """Asked first; None is: as usual."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, data: bytes) -> Digest:
        digest = Digest.of(data)
        self.blobs[str(digest)] = data
        return digest

    def add_image(self, tag: str, *layers: bytes) -> Digest:
        config = b'{"architecture":"amd64","os":"linux"}'
        parts = [(OCI_CONFIG, config), *((LAYER, layer) for layer in layers)]
        named = [
            f'{{"mediaType":"{kind}","digest":"{self.add(data)}","size":{len(data)}}}' for kind, data in parts
        ]
        text = (
            f'{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{named[0]},'
            f'"layers":[{",".join(named[1:])}]}}'
        )
        return self.add_manifest(tag, text.encode(), OCI_MANIFEST)

    def add_manifest(self, tag: str, data: bytes, media_type: str) -> Digest:
        digest = Digest.of(data)
        self.manifests[tag] = self.manifests[str(digest)] = (media_type, data)
        return digest

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        if self.odd is not None and (answer := self.odd(request)) is not None:
            return answer
        if request.path == "/v2/":
            return web.json_response({})
        if request.path == "/v2/team/app/tags/list":
            tags = sorted(name for name in self.manifests if ":" not in name)
            return web.json_response({"name": "team/app", "tags": tags})
        found = re.fullmatch(r"/v2/team/app/(blobs|manifests)/(.+)", request.path)
        if found is None:
            return web.Response(status=404)
        if found[1] == "manifests":
            await asyncio.sleep(self.late)
            if found[2] not in self.manifests:
                return web.Response(status=404)
            media_type, data = self.manifests[found[2]]
            headers = {"Docker-Content-Digest": str(Digest.of(data)), "Content-Type": media_type}
            return web.Response(body=data, headers=headers)
        if found[2] not in self.blobs:
            return web.Response(status=404)
        return _blob(request, self.blobs[found[2]])


def _blob(request: web.BaseRequest, data: bytes) -> web.Response:
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if asked is None:
        return web.Response(body=data)
    start, stop = int(asked[1]), min(len(data), int(asked[2]) + 1 if asked[2] else len(data))
    if start >= len(data):
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    headers = {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}
    return web.Response(status=206, body=data[start:stop], headers=headers)


@asynccontextmanager
async def plain_parent(tls: ssl.SSLContext | None = None) -> AsyncIterator[PlainParent]:
    """Over https with `tls`."""
    parent = PlainParent()
    runner = web.ServerRunner(web.Server(parent.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    parent.port = runner.addresses[0][1]
    try:
        yield parent
    finally:
        await runner.cleanup()
