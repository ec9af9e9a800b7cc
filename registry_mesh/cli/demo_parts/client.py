"""A container client in small: pushes and pulls one image, and checks every digest. Standard library only."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from registry_mesh.cli.demo_parts.image import Blob, Image

_AT_ONCE: Final = 3
"""Layers, as containerd."""
_PIECE: Final = 1 << 20


class Unexpected(Exception):
    """A registry did what it should not."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull came to."""

    size: int
    verified: int
    hits: int
    misses: int


def push(url: str, name: str, tag: str, image: Image) -> None:
    """Blobs, then the manifest (distribution-spec, "Pushing")."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(lambda blob: _push_blob(url, name, blob), image.blobs))
    with _answer(
        url, "PUT", f"/v2/{name}/manifests/{tag}", image.manifest, {"Content-Type": image.media_type}
    ) as answer:
        _expect(answer, 201)


def _push_blob(url: str, name: str, blob: Blob) -> None:
    with _answer(url, "POST", f"/v2/{name}/blobs/uploads/", b"") as answer:
        _expect(answer, 202)
        location = answer.headers["Location"]
    place = urlsplit(location)
    query = f"{place.query}&" if place.query else ""
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
    with blob.path.open("rb") as data:
        with _answer(url, "PUT", f"{place.path}?{query}digest={blob.digest}", data, headers) as answer:
            _expect(answer, 201)


def pull(url: str, registry: str, name: str, tag: str) -> Pulled:
    """Manifest by tag, then config and layers, each checked against its digest."""
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    with _answer(url, "GET", f"/v2/{name}/manifests/{tag}?ns={registry}", headers=accept) as answer:
        _expect(answer, 200)
        manifest = answer.read()
        told, hit = answer.headers["Docker-Content-Digest"], _is_hit(answer)
    if told != f"sha256:{hashlib.sha256(manifest).hexdigest()}":
        raise Unexpected(f"the manifest does not have the digest that was told: {told}")
    document = json.loads(manifest)
    wanted = [document["config"], *document["layers"]]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        results = list(threads.map(lambda each: _pull_blob(url, registry, name, each), wanted))
    hits = [hit, *(was_hit for _, was_hit in results)]
    size = len(manifest) + sum(got for got, _ in results)
    return Pulled(size, len(hits), hits.count(True), hits.count(False))


def _pull_blob(url: str, registry: str, name: str, descriptor: dict[str, Any]) -> tuple[int, bool]:
    digest = str(descriptor["digest"])
    found = hashlib.sha256()
    size = 0
    with _answer(url, "GET", f"/v2/{name}/blobs/{digest}?ns={registry}") as answer:
        _expect(answer, 200)
        while data := answer.read(_PIECE):
            found.update(data)
            size += len(data)
        hit = _is_hit(answer)
    if digest != f"sha256:{found.hexdigest()}" or size != descriptor["size"]:
        raise Unexpected(f"{digest}: {size} bytes came, with digest sha256:{found.hexdigest()}")
    return size, hit


def fetch_json(url: str, path: str) -> Any:
    """The decoded JSON at a URL."""
    with _answer(url, "GET", path) as answer:
        _expect(answer, 200)
        return json.loads(answer.read())


@contextmanager
def _answer(
    url: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> Iterator[http.client.HTTPResponse]:
    """Any: bytes or an open file."""
    with closing(
        http.client.HTTPConnection(urlsplit(url).netloc, timeout=60, blocksize=_PIECE)
    ) as connection:
        connection.request(method, path, body, headers or {})
        yield connection.getresponse()


def _expect(answer: http.client.HTTPResponse, status: int) -> None:
    if answer.status != status:
        raise Unexpected(
            f"answered {answer.status}, not {status}: {answer.read(500).decode(errors='replace')}"
        )


def _is_hit(answer: http.client.HTTPResponse) -> bool:
    """The last member is the cache that answered (RFC 9211, section 2): `"replica"; hit, "site"; hit`."""
    return re.search(r";\s*hit\b[^,]*$", answer.headers.get("Cache-Status", "")) is not None
