"""The bucket for bytes: one aiohttp session, signed by botocore. HEAD, GET, ranges, PUT, parts of multiparts.

Bookkeeping (multipart begin and end, listing, batch delete, lifecycle) is in `control`. Keys are given without
the settings' prefix; this is where it is put in front.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import PIECE
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.stores import points
from registry_mesh.stores.bucket.errors import RETRIED, code_in, refused, why
from registry_mesh.stores.bucket.retries import BROKEN, TRIES, Sleep, delay
from registry_mesh.stores.bucket.signing import EMPTY, UNSIGNED, BucketSigner
from registry_mesh.stores.bucket.spans import ObjectSpans

_WRITE: Final = 1 << 18  # bytes given to the socket at once
_SKIPPED: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_WRITING: Final = ("PUT", "DELETE")


@dataclass(frozen=True, slots=True)
class BucketAnswer:
    """A whole answer, small enough to be read at once."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """S3's code of the error; empty where there is none."""
        return code_in(self.body)


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """That an object is there."""

    size: int
    etag: str
    nonce: str = ""


async def _body(pieces: Sequence[bytes | memoryview]) -> AsyncIterator[bytes | memoryview]:
    for piece in pieces:
        view = memoryview(piece)
        for start in range(0, len(view), _WRITE):
            yield view[start : start + _WRITE]


class S3Client:
    """Requests to one bucket. Every method may raise `StoreBroken` or `StoreFull`, after its tries are used up."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        signer: BucketSigner,
        base: str,
        prefix: str = "",
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._session = session
        self._signer = signer
        self.base = base
        self._prefix = prefix
        self._sleep = sleep
        self._spans = ObjectSpans(session, self.presigned, sleep)

    @staticmethod
    def session(
        tls: ssl.SSLContext | None = None, proxy: str | None = None, timeout: float = 60.0
    ) -> aiohttp.ClientSession:
        """A session with the settings that bytes need: no total timeout, but `timeout` seconds without a byte; no
        decoding, no re-quoting; no limit of connections, for a stream that waits for a slow reader would have others
        wait for it."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=30, ssl=tls if tls is not None else True, use_dns_cache=True
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=timeout),
            proxy=proxy,
            auto_decompress=False,
            read_bufsize=1 << 18,
            requote_redirect_url=False,
            skip_auto_headers=_SKIPPED,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    def url(self, key: str) -> str:
        """Where the object is, unsigned."""
        return f"{self.base}/{quote(self._prefix + key, safe='/-_.~')}"

    async def get(self, key: str) -> bytes | None:
        """A small object, whole; None where there is none."""
        answer = await self._exchange("GET", key)
        if answer.status == 404 and answer.code != "NoSuchBucket":
            return None
        return self._good(answer, f"GET {key}").body

    async def head(self, key: str) -> ObjectHead | None:
        """Its size and ETag; None where there is none."""
        answer = await self._exchange("HEAD", key)
        if answer.status == 404:
            return None
        what = f"HEAD {key}"
        headers = self._good(answer, what).headers
        size = int(_needed(answer, "Content-Length", what))
        return ObjectHead(size, headers.get("ETag", ""), headers.get("x-amz-meta-nonce", ""))

    async def put(self, key: str, data: bytes) -> None:
        """Create or replace a small object."""
        self._good(
            await self._exchange("PUT", key, body=(data,), payload=sha256(data).hexdigest()), f"PUT {key}"
        )

    async def put_object(
        self, key: str, pieces: Sequence[bytes | memoryview], payload: str, md5: bytes
    ) -> None:
        """Create an object of some size; `payload` its sha256 in hex where it is known, else `UNSIGNED`."""
        headers = {"Content-MD5": base64.b64encode(md5).decode()}
        answer = await self._exchange("PUT", key, body=pieces, payload=payload, headers=headers)
        self._good(answer, f"PUT {key}")

    async def create(self, key: str, data: bytes) -> bool:
        """Create-only (If-None-Match: *). Of all who try, on any host, exactly one is told True.

        A try whose answer got lost may have won: the object then bears our nonce.
        """
        nonce = uuid.uuid4().hex
        headers = {"If-None-Match": "*", "x-amz-meta-nonce": nonce}
        payload = sha256(data).hexdigest()
        answer = await self._exchange(
            "PUT", key, body=(data,), payload=payload, headers=headers, conflicts=True
        )
        if answer.status == 412:
            entity = await self.head(key)
            return entity is not None and entity.nonce == nonce
        self._good(answer, f"PUT {key}")
        return True

    async def put_new(self, key: str, data: bytes) -> int:
        """One PUT with If-None-Match: *, and the status that the bucket answers; for its probe."""
        headers = {"If-None-Match": "*"}
        payload = sha256(data).hexdigest()
        url = self.url(key)
        for attempt in range(1, TRIES):
            try:
                answer = await self._once("PUT", url, (data,), payload, headers)
            except BROKEN:
                answer = None
            if answer is not None and (answer.status == 501 or answer.status not in RETRIED):
                return answer.status
            await self._sleep(delay(attempt))
        return (await self._exchange("PUT", key, body=(data,), payload=payload, headers=headers)).status

    async def delete(self, key: str) -> None:
        """Forget it, if it is there."""
        answer = await self._exchange("DELETE", key)
        if answer.status != 404:
            self._good(answer, f"DELETE {key}")

    async def put_part(
        self, key: str, upload: str, number: int, pieces: Sequence[bytes | memoryview], md5: bytes
    ) -> str:
        """Part `number` of a multipart upload; gives its ETag."""
        headers = {"Content-MD5": base64.b64encode(md5).decode()}
        query = f"?partNumber={number}&uploadId={quote(upload, safe='-_.~')}"
        answer = await self._exchange("PUT", key, query, body=pieces, payload=UNSIGNED, headers=headers)
        what = f"PUT part {number} of {key}"
        return _needed(self._good(answer, what), "ETag", what)

    async def presigned(self, key: str, seconds: int) -> str:
        """Where anybody may GET the object for `seconds`."""
        await self._signer.ready()
        return self._signer.presign(self.url(key), seconds)

    def pieces(self, key: str, span: Span, size: int, tries: int = TRIES) -> AsyncGenerator[bytes, None]:
        """See `ObjectSpans.pieces`."""
        return self._spans.pieces(key, span, size, tries)

    async def _exchange(
        self,
        method: str,
        key: str,
        query: str = "",
        *,
        body: Sequence[bytes | memoryview] = (),
        payload: str = EMPTY,
        headers: Mapping[str, str] | None = None,
        conflicts: bool = False,
    ) -> BucketAnswer:
        """One request and its whole answer, tried again while that may help. `conflicts`: 409 is tried again too."""
        url = self.url(key) + query
        if method in _WRITING:
            points.reach(f"bucket.{method.lower()}")
        for attempt in range(1, TRIES + 1):
            try:
                answer = await self._once(method, url, body, payload, headers or {})
                if method in _WRITING:
                    points.reach(f"bucket.{method.lower()}_answered")
                if answer.status not in RETRIED and not (conflicts and answer.status == 409):
                    return answer
            except BROKEN as error:
                if attempt == TRIES:
                    reason = f"the bucket did not answer to {method} {key}: {why(error)}"
                    raise StoreBroken(reason) from error
            if attempt < TRIES:
                await self._sleep(delay(attempt))
        raise refused(f"{method} {key}", answer.status, answer.code, answer.headers)

    async def _once(
        self,
        method: str,
        url: str,
        body: Sequence[bytes | memoryview],
        payload: str,
        headers: Mapping[str, str],
    ) -> BucketAnswer:
        await self._signer.ready()
        signed = self._signer.headers(method, url, dict(headers), payload)
        data: AsyncIterator[bytes | memoryview] | None = None
        if method == "PUT":
            signed["Content-Length"] = str(sum(map(len, body)))
            data = _body(body)
        async with self._session.request(
            method, URL(url, encoded=True), headers=signed, data=data, allow_redirects=False
        ) as response:
            return BucketAnswer(response.status, response.headers, await response.read())

    def _good(self, answer: BucketAnswer, what: str) -> BucketAnswer:
        if 200 <= answer.status < 300:
            return answer
        raise refused(what, answer.status, answer.code, answer.headers)


def _needed(answer: BucketAnswer, header: str, what: str) -> str:
    value = answer.headers.get(header, "")
    if not value:
        raise StoreBroken(f"the bucket's answer to {what}: no {header}")
    return value


assert _WRITE <= PIECE
