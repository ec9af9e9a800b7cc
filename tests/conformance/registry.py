"""A client that says exactly what the specification says, and checks what every answer must hold."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, urljoin

import aiohttp
from yarl import URL

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_INDEX, OCI_MANIFEST

CODES = frozenset(
    {
        "BLOB_UNKNOWN",
        "BLOB_UPLOAD_INVALID",
        "BLOB_UPLOAD_UNKNOWN",
        "DIGEST_INVALID",
        "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID",
        "MANIFEST_UNKNOWN",
        "NAME_INVALID",
        "NAME_UNKNOWN",
        "SIZE_INVALID",
        "UNAUTHORIZED",
        "DENIED",
        "UNSUPPORTED",
        "TOOMANYREQUESTS",
    }
)


@dataclass(frozen=True)
class Answer:
    url: str
    method: str
    status: int
    headers: Mapping[str, str]
    lines: Sequence[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """The values of a list-valued field, over all its lines."""
        values = ",".join(value for key, value in self.lines if key.lower() == name.lower())
        return [value.strip() for value in values.split(",") if value.strip()]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def location(self) -> str:
        assert self.headers.get("Location"), f"{self.method} {self.url}: no Location"
        return urljoin(self.url, self.headers["Location"])

    def expect(self, *statuses: int) -> Self:
        assert self.status in statuses, f"{self.method} {self.url}: {self.status} {self.body[:300]!r}"
        if self.status >= 400 and self.method != "HEAD":
            assert self.code in CODES
        return self

    @property
    def code(self) -> str:
        return str(self.json["errors"][0]["code"])


class Registry:
    """One repository of the registry under test."""

    def __init__(self, url: str, name: str) -> None:
        self.url = url
        self.name = name

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes | AsyncIterator[bytes] | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Answer:
        """`path` is absolute, or below the repository."""
        url = path if path.startswith("http") else f"{self.url}/v2/{self.name}/{path}"
        async with self._session.request(
            method, URL(url, encoded=True), data=body, headers=headers, skip_auto_headers=["Content-Type"]
        ) as response:
            return Answer(
                url,
                method,
                response.status,
                response.headers,
                [(str(name), value) for name, value in response.headers.items()],
                await response.read(),
            )

    # Blobs

    async def begin(self, query: str = "") -> Answer:
        return (await self.ask("POST", f"blobs/uploads/{query}")).expect(202)

    async def push_blob(self, data: bytes, algorithm: str = "sha256") -> Digest:
        digest = Digest.of(data, algorithm)
        begun = await self.begin()
        await self.finish(begun.location, digest, data)
        return digest

    async def put(
        self,
        location: str,
        digest: Digest,
        data: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
    ) -> Answer:
        joint = "&" if "?" in location else "?"
        return await self.ask("PUT", f"{location}{joint}digest={quote(str(digest))}", data, headers)

    async def finish(self, location: str, digest: Digest, data: bytes = b"") -> Answer:
        answer = (await self.put(location, digest, data)).expect(201)
        assert answer.headers.get("Docker-Content-Digest", str(digest)) == str(digest)
        return answer

    async def expect_blob(self, digest: Digest, data: bytes) -> None:
        """HEAD and GET tell the truth about it."""
        for method in ("HEAD", "GET"):
            answer = (await self.ask(method, f"blobs/{digest}")).expect(200)
            assert answer.headers["Content-Length"] == str(len(data))
            assert answer.headers["Docker-Content-Digest"] == str(digest)
            assert answer.body == (data if method == "GET" else b"")

    async def expect_no_blob(self, digest: Digest) -> None:
        (await self.ask("HEAD", f"blobs/{digest}")).expect(404)
        (await self.ask("GET", f"blobs/{digest}")).expect(404)

    # Manifests

    async def put_manifest(
        self, reference: str, data: bytes, query: str = "", media_type: str = ""
    ) -> Answer:
        media_type = media_type or json.loads(data).get("mediaType", OCI_MANIFEST)
        headers = [("Content-Type", media_type)]
        return await self.ask("PUT", f"manifests/{reference}{query}", data, headers)

    async def expect_manifest(self, reference: str, data: bytes, digest: Digest) -> None:
        accept = [("Accept", OCI_INDEX), ("Accept", OCI_MANIFEST)]
        for method in ("HEAD", "GET"):
            answer = (await self.ask(method, f"manifests/{reference}", headers=accept)).expect(200)
            assert answer.headers["Content-Type"] == json.loads(data).get("mediaType", OCI_MANIFEST)
            assert answer.headers["Content-Length"] == str(len(data))
            assert answer.headers["Docker-Content-Digest"] == str(digest)
            assert answer.body == (data if method == "GET" else b"")

    async def tags(self, query: str = "") -> list[str]:
        answer = (await self.ask("GET", f"tags/list{query}")).expect(200)
        assert answer.json["name"] == self.name
        return list(answer.json["tags"])

    async def referrers(self, subject: Digest, query: str = "") -> tuple[list[dict[str, Any]], Answer]:
        answer = (await self.ask("GET", f"referrers/{subject}{query}")).expect(200)
        assert answer.headers["Content-Type"] == OCI_INDEX
        assert answer.json["mediaType"] == OCI_INDEX
        assert answer.json["schemaVersion"] == 2
        return list(answer.json["manifests"]), answer
