"""Another registry as a source: the ear for what the edge speaks (distribution-spec, "Pulling", "Listing")."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any, Final
from urllib.parse import parse_qsl, urljoin, urlsplit

import aiohttp

from registry_mesh.auth.challenge import same_place
from registry_mesh.chunks.chunk_map import ChunkMap, ChunkMapInvalid
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.endpoints import Endpoint
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import ACCEPT
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag, is_tag, parse_name
from registry_mesh.oci.refusals import (
    BlobUnknown,
    DigestInvalid,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    Refusal,
)
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import PIECE, TO_END, BlobInfo, DirectBody, Provenance, Streamed
from registry_mesh.ports.failures import SourceLied, SourceRefused, SourceUnavailable, SpanUnsatisfiable
from registry_mesh.ports.repositories import FetchedManifest, Referrers, Repository, Resolved, TagPage
from registry_mesh.upstream.direct import direct_body
from registry_mesh.upstream.referrers import ParentReferrers
from registry_mesh.upstream.session import ParentSession
from registry_mesh.upstream.stall import Stall

MANIFEST_LIMIT: Final = 64 << 20
LIST_LIMIT: Final = 16 << 20
"""Bytes of one page of a list."""
PAGES: Final = 10_000

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_UNSATISFIED: Final = re.compile(r"bytes \*/(\d{1,18})")


class UpstreamRegistry:
    """One parent, asked for one registry's repositories.

    `ns` is sent as containerd does: where the parent's host is not the registry's own name.
    """

    def __init__(self, session: ParentSession, registry: RegistryName) -> None:
        self.session = session
        self.registry = registry
        own = {registry, "registry-1.docker.io" if registry == "docker.io" else registry}
        self.query: Mapping[str, str] = {} if session.name in own else {"ns": registry}

    @property
    def name(self) -> str:
        return self.session.name

    @property
    def parent(self) -> ParentSession:
        return self.session

    def repository(self, name: RepositoryName) -> Repository:
        source = UpstreamRepository(self, name)
        return Repository(self.registry, name, source, source, source, source)

    async def repositories(self) -> AsyncIterator[RepositoryName]:
        """Those that the parent lists, by `_catalog`. `SourceUnavailable` where it does not offer that."""
        path: str | None = Endpoint.CATALOG.path() + "?n=1000"
        seen: set[str] = set()
        for _ in range(PAGES):
            if path is None or path in seen:
                return
            seen.add(path)
            document, path = await self.page(path, "registry:catalog:*", "list of repositories")
            for name in document.get("repositories") or ():
                try:
                    yield parse_name(name)
                except (NameInvalid, TypeError):
                    continue
        raise SourceLied("an endless list of repositories", source=self.name)

    async def page(self, path: str, scope: str, what: str) -> tuple[dict[str, Any], str | None]:
        """One page of a list, and the path of the next. Any: JSON."""
        parts = urlsplit(path)
        query = {**dict(parse_qsl(parts.query)), **self.query}
        async with self.session.request("GET", parts.path, scope=scope, query=query) as response:
            if response.status == 404:
                raise NameUnknown(f"{self.name} knows no such {what}")
            if response.status != 200:
                raise SourceRefused(f"answered {response.status} to a {what}", source=self.name)
            data = await limited(response, LIST_LIMIT, self.session)
            following = self._next(response, path)
        try:
            document = json.loads(data)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise SourceLied(f"sent a {what} that is no JSON object", source=self.name)
        return document, following

    def _next(self, response: aiohttp.ClientResponse, path: str) -> str | None:
        """Where Link leads: only to the parent itself, only to where we were, only further."""
        link = response.links.get("next")
        if link is None:
            return None
        base = self.session.url
        target = urljoin(base + path, str(link["url"]))
        there = urlsplit(target)
        if not same_place(target, base) or there.path != urlsplit(base + path).path:
            raise SourceLied("a list goes on at another place", source=self.name)
        prefix = urlsplit(base).path
        return there.path.removeprefix(prefix) + (f"?{there.query}" if there.query else "")


class UpstreamRepository:
    """Blobs, manifests, tags and referrers of one repository of a parent."""

    def __init__(self, registry: UpstreamRegistry, name: RepositoryName) -> None:
        self._registry = registry
        self._session = registry.session
        self._name = name
        self._scope = f"repository:{name}:pull"

    def _request(
        self,
        method: str,
        endpoint: Endpoint,
        reference: str,
        headers: Mapping[str, str] | None = None,
    ) -> Any:  # Any: an async context manager of aiohttp's answer
        return self._session.request(
            method,
            endpoint.path(self._name, reference),
            scope=self._scope,
            query=self._registry.query,
            headers=headers,
        )

    @property
    def _here(self) -> Provenance:
        return Provenance(hit=False, source=self._session.name)

    # -- blobs ------------------------------------------------------------------------------------------------

    async def stat(self, digest: Digest) -> BlobInfo:
        async with self._request("HEAD", Endpoint.BLOB, str(digest)) as response:
            self._expect(response, 200, BlobUnknown)
            return BlobInfo(digest, self._length(response))

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[_Streaming]:
        headers = {"Accept": "*/*"}
        if span is not None:
            headers["Range"] = f"bytes={span.start}-{'' if span.stop >= TO_END else span.stop - 1}"
        async with self._request("GET", Endpoint.BLOB, str(digest), headers) as response:
            if response.status == 416:
                raise self._unsatisfiable(response)
            if response.status == 404:
                raise BlobUnknown(f"{self._session.name} does not have it", digest=str(digest))
            yield self._streaming(response, digest, span)

    def _unsatisfiable(self, response: aiohttp.ClientResponse) -> Exception:
        found = _UNSATISFIED.fullmatch(response.headers.get("Content-Range", ""))
        if found is None:
            return SourceLied("answered 416 without the size", source=self._session.name)
        return SpanUnsatisfiable(int(found[1]))

    def _streaming(self, response: aiohttp.ClientResponse, digest: Digest, span: Span | None) -> _Streaming:
        """Check the head. An answer of 200 to a range is used by passing over what was not asked for."""
        if response.status == 200:
            size = self._length(response)
            wanted = span or Span(0, size)
            if wanted.start >= size and size:
                raise SpanUnsatisfiable(size)
            clipped = Span(min(wanted.start, size), min(wanted.stop, size))
            return _Streaming(response, BlobInfo(digest, size), clipped, clipped.start, self._session)
        if response.status != 206 or span is None:
            raise SourceUnavailable(f"answered {response.status} to a blob", source=self._session.name)
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if found is None:
            raise SourceLied("answered 206 without a readable Content-Range", source=self._session.name)
        first, last, size = (int(group) for group in found.groups())
        clipped = Span(span.start, max(span.start, min(span.stop, size)))
        if (first, last + 1) != (clipped.start, clipped.stop):
            raise SourceLied(
                f"answered bytes {first}-{last}/{size} where {span} was asked for",
                source=self._session.name,
            )
        stated = response.content_length
        if stated is not None and stated != len(clipped):
            raise SourceLied("Content-Length and Content-Range differ", source=self._session.name)
        return _Streaming(response, BlobInfo(digest, size), clipped, 0, self._session)

    async def chunk_map(self, digest: Digest) -> ChunkMap | None:
        """From a parent of our own kind; None from any other. Which it is tells its first answer."""
        if self._session.mesh is None and not await self._session.ping():
            raise SourceUnavailable("has not answered yet", source=self._session.name)
        if not self._session.mesh:
            return None
        async with self._request("GET", Endpoint.CHUNK_MAP, str(digest)) as response:
            if response.status == 404:
                return None
            self._expect(response, 200, BlobUnknown)
            data = await limited(response, MANIFEST_LIMIT, self._session)
        try:
            return ChunkMap.decode(data)
        except ChunkMapInvalid as fault:
            raise SourceLied(f"sent a chunk map that is none: {fault}", source=self._session.name) from None

    # -- manifests --------------------------------------------------------------------------------------------

    async def manifest(self, digest: Digest) -> FetchedManifest:
        headers = {"Accept": ", ".join((*ACCEPT, "*/*"))}
        async with self._request("GET", Endpoint.MANIFEST, str(digest), headers) as response:
            self._expect(response, 200, ManifestUnknown)
            data = await limited(response, MANIFEST_LIMIT, self._session)
            media_type = response.headers.get("Content-Type", "")
        if Digest.of(data, digest.algorithm) != digest:
            raise SourceLied("sent a manifest that does not have its digest", source=self._session.name)
        try:
            return FetchedManifest(Manifest.parse(data, media_type, digest), self._here)
        except ManifestInvalid as refusal:
            raise SourceLied(
                f"sent a manifest that is none: {refusal.reason}", source=self._session.name
            ) from None

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        """One HEAD; on the condition that it is no longer `known`, by the entity tag that registries make of a digest.
        Those that make it of something else, or read no conditions, answer in full."""
        headers = {"Accept": ", ".join((*ACCEPT, "*/*"))}
        if known is not None:
            headers["If-None-Match"] = f'"{known.digest}"'
        async with self._request("HEAD", Endpoint.MANIFEST, tag, headers) as response:
            if response.status == 304 and known is not None:
                self._confirmed(response, known.digest)
                return Resolved(known, self._here)
            self._expect(response, 200, ManifestUnknown)
            stated = response.headers.get("Docker-Content-Digest")
            length = response.content_length
            media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
        if stated is None or length is None or not media_type:
            return Resolved((await self._by_tag(tag)).descriptor, self._here)
        try:
            digest = Digest.parse(stated)
        except DigestInvalid as refusal:
            raise SourceLied(
                f"named a tag's digest badly: {refusal.reason}", source=self._session.name
            ) from None
        return Resolved(Descriptor(media_type, digest, length), self._here)

    def _confirmed(self, response: aiohttp.ClientResponse, known: Digest) -> None:
        """Whether a 304 is about what was asked. It need not say more (distribution's says nothing); what it says must
        fit. The entity tag may have been weakened on its way, by a proxy that compresses: the digest in it is the same.
        """
        stated = response.headers.get("Docker-Content-Digest", str(known)).strip()
        tag = response.headers.get("ETag", f'"{known}"').strip()
        if stated != str(known) or tag.removeprefix("W/") != f'"{known}"':
            raise SourceLied("confirmed what was not asked", source=self._session.name)

    async def _by_tag(self, tag: Tag) -> Manifest:
        """For registries that tell no digest: take the manifest and compute it."""
        headers = {"Accept": ", ".join((*ACCEPT, "*/*"))}
        async with self._request("GET", Endpoint.MANIFEST, tag, headers) as response:
            self._expect(response, 200, ManifestUnknown)
            data = await limited(response, MANIFEST_LIMIT, self._session)
            media_type = response.headers.get("Content-Type", "")
        try:
            return Manifest.parse(data, media_type)
        except ManifestInvalid as refusal:
            raise SourceLied(
                f"sent a manifest that is none: {refusal.reason}", source=self._session.name
            ) from None

    # -- lists ------------------------------------------------------------------------------------------------

    async def tags(self, limit: int, last: str = "") -> TagPage:
        path = f"{Endpoint.TAGS.path(self._name)}?n={limit}" + (f"&last={last}" if last else "")
        document, following = await self._registry.page(path, self._scope, "list of tags")
        tags = document.get("tags") or []
        if not isinstance(tags, list):
            raise SourceLied("sent tags that are no list", source=self._session.name)
        good = sorted(Tag(t) for t in tags if isinstance(t, str) and is_tag(t))
        return TagPage(tuple(good), following is not None, self._here)

    async def referrers(self, subject: Digest, tagged: bool = True) -> Referrers:
        asked = ParentReferrers(
            self._name,
            self._session.name,
            lambda path: self._registry.page(path, self._scope, "list of referrers"),
            self._by_tag,
            self.manifest,
        )
        return Referrers(await asked.of(subject, tagged), self._here)

    # -- heads ------------------------------------------------------------------------------------------------

    def _expect(self, response: aiohttp.ClientResponse, status: int, unknown: type[Refusal]) -> None:
        if response.status == 404:
            raise unknown(f"{self._session.name} does not have it")
        if response.status != status:
            raise SourceRefused(f"answered {response.status}", source=self._session.name)

    def _length(self, response: aiohttp.ClientResponse) -> int:
        if response.content_length is None:
            raise SourceLied("told no Content-Length", source=self._session.name)
        return response.content_length


class _Streaming(Streamed):
    """A reading of an answer's body. More or less than was announced is a failure, never an end."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        info: BlobInfo,
        span: Span,
        skip: int,
        session: ParentSession,
    ) -> None:
        self._response = response
        self._session = session
        self._skip = skip
        self.info = info
        self.span = span
        self.provenance = Provenance(hit=False, source=session.name)

    def direct(self) -> AbstractContextManager[DirectBody | None]:
        if self._skip:
            return nullcontext()
        return direct_body(self._response, len(self.span), self._session)

    async def pieces(self) -> AsyncIterator[bytes]:
        left, skip = len(self.span), self._skip
        with Stall(self._session.stall, self._response.close) as stall:
            while left:
                data = await self._next(stall, left)
                if skip:
                    passed = min(skip, len(data))
                    skip -= passed
                    data = data[passed:]
                if len(data) > left:
                    data = data[:left]
                left -= len(data)
                for start in range(0, len(data), PIECE):
                    yield data[start : start + PIECE] if len(data) > PIECE else data

    async def _next(self, stall: Stall, left: int) -> bytes:
        """A buffer as it came, without joining several."""
        data = await received(self._response, stall, self._session)
        if not data:
            raise SourceUnavailable(f"broke off {left} bytes before the end", source=self.provenance.source)
        return data


async def received(response: aiohttp.ClientResponse, stall: Stall, session: ParentSession) -> bytes:
    """The next bytes of a body, as they came; empty at its end."""
    stall.wait()
    try:
        data, _ = await response.content.readchunk()
    except aiohttp.ClientError:
        if stall.stalled:
            raise SourceUnavailable("stands still", source=session.name) from None
        raise
    stall.came()
    session.heard(len(data))
    return data


async def limited(response: aiohttp.ClientResponse, limit: int, session: ParentSession) -> bytes:
    """The whole body; `SourceLied` where it is longer than `limit` bytes."""
    source = session.name
    if (response.content_length or 0) > limit:
        raise SourceLied(f"sent more than {limit} bytes", source=source)
    parts: list[bytes] = []
    total = 0
    with Stall(session.stall, response.close) as stall:
        while data := await received(response, stall, session):
            total += len(data)
            if total > limit:
                raise SourceLied(f"sent more than {limit} bytes", source=source)
            parts.append(data)
    return b"".join(parts)
