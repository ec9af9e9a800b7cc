"""Spans of a bucket's objects: read by presigned addresses, resumed where a stream broke off."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

import aiohttp
from yarl import URL

from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import SourceLied, StoreBroken
from registry_mesh.stores.bucket.errors import RETRIED, ObjectMissing, code_in, refused, why
from registry_mesh.stores.bucket.retries import BROKEN, TRIES, Sleep, delay

_PRESIGNED_KEPT: Final = 4096
_PRESIGNED_SECONDS: Final = 3600
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class ObjectSpans:
    """Reads by one session. `address` gives where anybody may GET an object, and for how many seconds."""

    def __init__(
        self, session: aiohttp.ClientSession, address: Callable[[str, int], Awaitable[str]], sleep: Sleep
    ) -> None:
        self._session = session
        self._address = address
        self._sleep = sleep
        self._presigned: OrderedDict[str, tuple[URL, float]] = OrderedDict()

    async def pieces(
        self, key: str, span: Span, size: int, tries: int = TRIES
    ) -> AsyncGenerator[bytes, None]:
        """The bytes of `span` of an object of `size` bytes, in order, as they come, at most `PIECE` at once.

        A stream that breaks off is resumed at the same byte; `tries` in a row without a byte are the end.
        `SourceLied` where the bucket answers with something else than the span, `ObjectMissing` where there is no
        object.
        """
        at, failed = span.start, 0
        while at < span.stop:
            before = at
            try:
                known = self._presigned.get(key)
                url = known[0] if known and known[1] > time.monotonic() else await self._presign(key)
                headers = {"Range": f"bytes={at}-{span.stop - 1}"}
                async with self._session.get(url, headers=headers, allow_redirects=False) as response:
                    await self._check(response, key, Span(at, span.stop), size)
                    content = response.content
                    while at < span.stop and (piece := await content.readany()):
                        at += len(piece)
                        if at > span.stop:
                            raise SourceLied(f"the bucket sent more of {key} than asked", source="bucket")
                        yield piece
                if at < span.stop:
                    raise aiohttp.ClientPayloadError("ended early")
            except BROKEN as error:
                failed = 1 if at > before else failed + 1
                if failed >= tries:
                    raise StoreBroken(f"the bucket broke off {key} at {at}: {why(error)}") from error
                await self._sleep(delay(failed))

    async def _check(self, response: aiohttp.ClientResponse, key: str, span: Span, size: int) -> None:
        if response.status == 206:
            found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if (
                found
                and (int(found[1]), int(found[2]) + 1) == (span.start, span.stop)
                and found[3] in (str(size), "*")
            ):
                return
            raise SourceLied(f"the bucket sent another range of {key}", source="bucket")
        if response.status == 200 and span == Span(0, size) and response.content_length == size:
            return
        if response.status == 403:
            self._presigned.pop(key, None)  # signed with credentials that are gone
        code = code_in(await response.content.read(4096))
        if response.status in RETRIED or response.status == 403:
            raise aiohttp.ClientPayloadError(f"{response.status} {code}")
        if response.status == 404 and code != "NoSuchBucket":
            raise ObjectMissing(f"{key} is not in the bucket")
        raise refused(f"GET {key}", response.status, code, response.headers)

    async def _presign(self, key: str) -> URL:
        """A presigned URL, used again for many ranges: signing once is cheaper than signing each request."""
        url = URL(await self._address(key, _PRESIGNED_SECONDS), encoded=True)
        self._presigned.pop(key, None)
        self._presigned[key] = (url, time.monotonic() + _PRESIGNED_SECONDS / 4)
        while len(self._presigned) > _PRESIGNED_KEPT:
            self._presigned.popitem(last=False)
        return url
