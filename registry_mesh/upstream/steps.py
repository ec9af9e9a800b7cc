"""A server tried step by step, as with dig, nc, openssl and curl: where it ends, and how long each step took."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.oci.refusals import Refusal
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import Failure, LoginRefused, SourceDenied, SourceRefused
from registry_mesh.ports.repositories import Repository
from registry_mesh.upstream.health.causes import cause
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.way import Way

_PATIENCE: Final = 10.0
"""Seconds for a step."""
_SAMPLE: Final = 4 << 20
"""Bytes of a layer that are fetched to see that they come."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what was tried, how many seconds it took, what was seen; `well` is False where it failed."""

    name: str
    seconds: float
    said: str
    well: bool = True


class _Ended(Exception):
    """A step failed: those after it would too."""


class Steps:
    """Collects steps. A step that fails ends the walk."""

    def __init__(self) -> None:
        self.taken: list[Step] = []

    async def take(self, name: str, work: Awaitable[str]) -> None:
        """Take one step; `work` gives what was seen. `_Ended` where it fails."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(_PATIENCE):
                said = await work
        except (Failure, Refusal) as fault:
            self._note(name, began, fault.reason, well=False)
        except (OSError, aiohttp.ClientError, ValueError) as fault:
            self._note(name, began, cause(fault), well=False)
        else:
            self._note(name, began, said)

    def _note(self, name: str, began: float, said: str, well: bool = True) -> None:
        self.taken.append(Step(name, time.monotonic() - began, said, well))
        if not well:
            raise _Ended


async def reach(url: str, tls: ssl.SSLContext | None = None, proxy: str | None = None) -> list[Step]:
    """The steps to a connection with the server at `url`: its name, a connection, TLS."""
    steps = Steps()
    with suppress(_Ended):
        await _reach(steps, URL(url), tls, proxy)
    return steps.taken


async def _reach(steps: Steps, url: URL, tls: ssl.SSLContext | None, proxy: str | None) -> None:
    near = URL(proxy) if proxy else url
    host, port = near.host or "", near.port or 80
    await steps.take("name", _resolved(host, port))
    by = "the proxy " if proxy else ""
    await steps.take("proxy" if proxy else "connect", _connected(host, port, by))
    if url.scheme == "https" and not proxy:
        await steps.take("TLS", _shaken(host, port, tls or ssl.create_default_context()))


async def walk(
    registry: UpstreamRegistry, way: Way, login: bool, image: tuple[RepositoryName, Tag] | None
) -> list[Step]:
    """All steps with a parent; with `image` also its tag, its manifest and some bytes of its largest layer."""
    steps, session = Steps(), registry.session
    url = URL(session.url)
    context = way.tls_of(url)
    with suppress(_Ended):
        await _reach(steps, url, context if isinstance(context, ssl.SSLContext) else None, way.proxy_of(url))
        await _speak(steps, registry, login)
        if image is not None:
            await _pull(steps, registry.repository(image[0]), image[1])
    return steps.taken


async def _speak(steps: Steps, registry: UpstreamRegistry, login: bool) -> None:
    """That it is a registry, and that it takes the login."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(_PATIENCE):
            said = await _base(registry)
    except (SourceDenied, LoginRefused) as fault:
        steps.taken.append(Step("/v2/", time.monotonic() - began, "asks for a login"))
        await steps.take("login", _again(fault))
    except (Failure, OSError) as fault:
        await steps.take("/v2/", _again(fault))
    else:
        steps.taken.append(Step("/v2/", time.monotonic() - began, said))
        if login:
            steps.taken.append(Step("login", 0.0, "taken, or not asked for"))


async def _again(fault: Exception) -> str:
    raise fault


async def _base(registry: UpstreamRegistry) -> str:
    async with registry.session.request("GET", "/v2/", scope="") as answer:
        if answer.status != 200:
            raise SourceRefused(f"answers {answer.status}: there is no registry at this address")
        if "html" in answer.media_type:
            raise SourceRefused("answers with a web page: there is no registry at this address")
        mesh = " of this mesh" if answer.field("Registry-Mesh") else ""
        return f"a registry{mesh}"


async def _pull(steps: Steps, repository: Repository, tag: Tag) -> None:
    found: list[Manifest] = []

    async def resolved() -> str:
        descriptor = (await repository.tags.resolve(tag)).descriptor
        found.append((await repository.manifests.manifest(descriptor.digest)).manifest)
        return f"{tag} is {descriptor.digest}"

    async def child() -> str:
        of = found[-1].manifests[0]
        found.append((await repository.manifests.manifest(of.digest)).manifest)
        return f"{of.digest}, {len(found[-1].layers)} layers"

    await steps.take("tag", resolved())
    if found[-1].manifests:
        await steps.take("manifest", child())
    if found[-1].layers:
        await steps.take("bytes", _some(repository, found[-1]))


async def _some(repository: Repository, manifest: Manifest) -> str:
    layer = max(manifest.layers, key=lambda each: each.size)
    wanted = min(layer.size, _SAMPLE)
    began, size = time.monotonic(), 0
    async with repository.blobs.open(layer.digest, Span(0, wanted)) as reading:
        async for piece in reading.pieces():
            size += len(piece)
    rate = size / max(1e-9, time.monotonic() - began)
    return f"{size:,} bytes of {layer.digest}, {rate / 1e6:.3g} MB/s"


async def _resolved(host: str, port: int) -> str:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as fault:
        raise OSError(f"{host} cannot be resolved by DNS: {fault.strerror}") from None
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
    return f"{host} is {addresses[0]}{more}"


async def _connected(host: str, port: int, by: str) -> str:
    _, writer = await asyncio.open_connection(host, port)
    writer.close()
    return f"{by}{host}:{port} accepts"


async def _shaken(host: str, port: int, context: ssl.SSLContext) -> str:
    _, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        certificate = tls.getpeercert() or {}
        return f"{tls.version()}, certificate until {certificate.get('notAfter', 'no known time')}"
    finally:
        writer.close()
