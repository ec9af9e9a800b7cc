"""HTTP as bare bytes, for registries that choose themselves when which byte of an answer leaves."""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from registry_mesh.oci.span import Span

_BLOB: Final = re.compile(r"/blobs/(\S+)")
_RANGE: Final = re.compile(r"\r\nrange: bytes=(\d+)-(\d*)", re.IGNORECASE)


class BareRegistry(ABC):
    """Answers one request after another on each of its connections."""

    url: str

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                await self.answer(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @abstractmethod
    async def answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        """Write the answer to the request that has this head."""


def blob_of(head: str) -> str | None:
    """The digest of the blob that a request names."""
    named = _BLOB.search(head)
    return named[1] if named else None


def span_of(head: str, size: int) -> Span | None:
    """What a request asks for of a blob of `size` bytes; None where that is the whole."""
    found = _RANGE.search(head)
    if found is None:
        return None
    return Span(int(found[1]), min(size, int(found[2]) + 1) if found[2] else size)


def answer_head(span: Span | None, size: int) -> bytes:
    """The head of the answer that gives `span`, or the whole, of a blob of `size` bytes."""
    if span is None:
        return f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode()
    said = f"206 Partial Content\r\nContent-Range: bytes {span.start}-{span.stop - 1}/{size}"
    return f"HTTP/1.1 {said}\r\nContent-Length: {len(span)}\r\n\r\n".encode()


B = TypeVar("B", bound=BareRegistry)


@asynccontextmanager
async def listening(registry: B) -> AsyncIterator[B]:
    """The registry on a port of its own."""
    server = await asyncio.start_server(registry, "127.0.0.1", 0)
    registry.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield registry
    finally:
        server.close()
