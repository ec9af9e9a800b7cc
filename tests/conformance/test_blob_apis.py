"""Blobs of both algorithms: every way in, ranges, bad digests, cancelling, deleting."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest

from registry_mesh.oci.digest import Digest
from tests.conformance.registry import Answer, Registry

OCTETS = ("Content-Type", "application/octet-stream")

pytestmark = pytest.mark.parametrize("algorithm", ["sha256", "sha512"])


async def post_only(registry: Registry, data: bytes, digest: Digest) -> Answer:
    return await registry.ask("POST", f"blobs/uploads/?digest={quote(str(digest))}", data, [OCTETS])


async def post_put(registry: Registry, data: bytes, digest: Digest) -> Answer:
    return await registry.put((await registry.begin()).location, digest, data, [OCTETS])


async def post_put_of_algorithm(registry: Registry, data: bytes, digest: Digest) -> Answer:
    begun = await registry.begin(f"?digest-algorithm={digest.algorithm}")
    return await registry.put(begun.location, digest, data, [OCTETS])


async def chunked(registry: Registry, data: bytes, digest: Digest) -> Answer:
    location, rest = await _chunks(registry, data, len(data))
    assert not rest
    return await registry.put(location, digest)


async def chunked_and_put(registry: Registry, data: bytes, digest: Digest) -> Answer:
    size = max(1, len(data) // 3 + 1)
    location, rest = await _chunks(registry, data, len(data) - size)
    start = len(data) - len(rest)
    span = ("Content-Range", f"{start}-{len(data) - 1}")
    return await registry.put(location, digest, rest, [OCTETS, span] if rest else [OCTETS])


async def streamed(registry: Registry, data: bytes, digest: Digest) -> Answer:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 100):
            yield data[start : start + 100]

    begun = await registry.begin()
    answer = (await registry.ask("PATCH", begun.location, pieces(), [OCTETS])).expect(202)
    return await registry.put(answer.location, digest)


async def _chunks(registry: Registry, data: bytes, until: int) -> tuple[str, bytes]:
    """PATCH thirds up to `until`; the next location and what is left."""
    size = max(1, len(data) // 3 + 1)
    location = (await registry.begin()).location
    start = 0
    while start < until:
        chunk = data[start : start + size]
        headers = [OCTETS, ("Content-Range", f"{start}-{start + len(chunk) - 1}")]
        answer = (await registry.ask("PATCH", location, chunk, headers)).expect(202)
        start += len(chunk)
        assert answer.headers["Range"] == f"0-{start - 1}"
        location = answer.location
    return location, data[start:]


WAYS = [post_only, post_put, post_put_of_algorithm, chunked, chunked_and_put, streamed]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [512, 3 * 4096 - 5], ids=["small", "chunks"])
async def test_push(registry: Registry, algorithm: str, way: type[None], size: int) -> None:
    data = os.urandom(size)
    digest = Digest.of(data, algorithm)
    await registry.expect_no_blob(digest)
    answer: Answer = (await way(registry, data, digest)).expect(201)  # type: ignore[call-arg, misc]
    assert answer.headers["Docker-Content-Digest"] == str(digest)
    assert (await registry.ask("GET", answer.location)).expect(200).body == data
    await registry.expect_blob(digest, data)
    (await registry.ask("DELETE", f"blobs/{digest}")).expect(202)
    await registry.expect_no_blob(digest)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("data", [b"", b"{}"], ids=["empty", "empty-json"])
async def test_push_of_well_known_bytes(
    registry: Registry, algorithm: str, way: type[None], data: bytes
) -> None:
    digest = Digest.of(data, algorithm)
    (await way(registry, data, digest)).expect(201)  # type: ignore[call-arg, misc]
    await registry.expect_blob(digest, data)


@pytest.mark.parametrize("way", WAYS)
async def test_push_with_a_bad_digest(registry: Registry, algorithm: str, way: type[None]) -> None:
    data = os.urandom(999)
    digest = Digest.of(data, algorithm)
    answer: Answer = (await way(registry, data + b"oh no", digest)).expect(400)  # type: ignore[call-arg, misc]
    assert answer.code == "DIGEST_INVALID"
    await registry.expect_no_blob(digest)


async def test_a_digest_that_is_none(registry: Registry, algorithm: str) -> None:
    for given in (
        f"{algorithm}:bad",
        f"{algorithm}:",
        "bad",
        "",
        f"{algorithm}:{'A' * 64}",
        "md5:" + "0" * 32,
    ):
        begun = await registry.begin()
        answer = await registry.ask("PUT", f"{begun.location}?digest={given}", b"x")
        assert answer.expect(400).code == "DIGEST_INVALID"
    begun = await registry.begin()
    assert (await registry.ask("PUT", begun.location, b"x")).expect(400).code == "DIGEST_INVALID"
    (await registry.ask("POST", "blobs/uploads/?digest-algorithm=md5")).expect(400)


@pytest.mark.parametrize("last_by_put", [False, True])
async def test_chunks_out_of_order(registry: Registry, algorithm: str, last_by_put: bool) -> None:
    data = os.urandom(3 * 1024 - 5)
    digest = Digest.of(data, algorithm)
    location = (await registry.begin()).location
    for start in range(0, len(data), 1024):
        wrong = start + 1024 if start + 1024 < len(data) else 0
        chunk = data[wrong : wrong + 1024]
        span = [OCTETS, ("Content-Range", f"{wrong}-{wrong + len(chunk) - 1}")]
        if last_by_put and wrong + len(chunk) == len(data):
            (await registry.put(location, digest, chunk, span)).expect(416)
        else:
            (await registry.ask("PATCH", location, chunk, span)).expect(416)
        status = (await registry.ask("GET", location)).expect(204)
        assert status.headers["Range"] == f"0-{max(0, start - 1)}"
        location = status.location
        chunk = data[start : start + 1024]
        span = [OCTETS, ("Content-Range", f"{start}-{start + len(chunk) - 1}")]
        if last_by_put and start + 1024 >= len(data):
            (await registry.put(location, digest, chunk, span)).expect(201)
            break
        location = (await registry.ask("PATCH", location, chunk, span)).expect(202).location
    else:
        await registry.finish(location, digest)
    await registry.expect_blob(digest, data)


async def test_mount_from_a_repository(registry: Registry, other: Registry, algorithm: str) -> None:
    data = os.urandom(512)
    digest = await other.push_blob(data, algorithm)
    query = f"?mount={quote(str(digest))}&from={other.name}"
    answer = (await registry.ask("POST", f"blobs/uploads/{query}")).expect(201)
    assert answer.headers["Docker-Content-Digest"] == str(digest)
    assert (await registry.ask("GET", answer.location)).expect(200).body == data
    await registry.expect_blob(digest, data)
    (await registry.ask("DELETE", f"blobs/{digest}")).expect(202)
    await registry.expect_no_blob(digest)
    await other.expect_blob(digest, data)


async def test_mount_from_anywhere(registry: Registry, other: Registry, algorithm: str) -> None:
    data = os.urandom(512)
    digest = await other.push_blob(data, algorithm)
    (await registry.ask("POST", f"blobs/uploads/?mount={quote(str(digest))}")).expect(201)
    await registry.expect_blob(digest, data)


async def test_mount_of_what_is_not_there_becomes_an_upload(
    registry: Registry, other: Registry, algorithm: str
) -> None:
    data = os.urandom(512)
    digest = Digest.of(data, algorithm)
    query = f"?mount={quote(str(digest))}&from={other.name}"
    answer = (await registry.ask("POST", f"blobs/uploads/{query}")).expect(202)
    await registry.finish(answer.location, digest, data)
    await registry.expect_blob(digest, data)


async def test_cancel(registry: Registry, algorithm: str) -> None:
    data = os.urandom(512)
    location = (await registry.begin()).location
    location = (await registry.ask("PATCH", location, data[:100], [OCTETS])).expect(202).location
    (await registry.ask("DELETE", location)).expect(204)
    assert (await registry.ask("GET", location)).expect(404).code == "BLOB_UPLOAD_UNKNOWN"
    (await registry.ask("PATCH", location, data, [OCTETS])).expect(404)
    (await registry.put(location, Digest.of(data, algorithm), data)).expect(404)
    (await registry.ask("DELETE", location)).expect(404)


@pytest.mark.parametrize(
    ("given", "first", "stop"),
    [("500-1499", 500, 1500), ("500-", 500, 2048), ("-500", 1548, 2048), ("2000-5000", 2000, 2048)],
)
async def test_range(registry: Registry, algorithm: str, given: str, first: int, stop: int) -> None:
    data = os.urandom(2048)
    digest = await registry.push_blob(data, algorithm)
    answer = (await registry.ask("GET", f"blobs/{digest}", headers=[("Range", f"bytes={given}")])).expect(206)
    assert answer.body == data[first:stop]
    assert answer.headers["Content-Length"] == str(stop - first)
    assert answer.headers["Content-Range"] == f"bytes {first}-{stop - 1}/2048"


@pytest.mark.parametrize("given", ["5000-10000", "500-0"])
async def test_range_that_is_not_there(registry: Registry, algorithm: str, given: str) -> None:
    digest = await registry.push_blob(os.urandom(2048), algorithm)
    (await registry.ask("GET", f"blobs/{digest}", headers=[("Range", f"bytes={given}")])).expect(416)


async def test_an_unknown_blob(registry: Registry, algorithm: str) -> None:
    digest = Digest.of(os.urandom(9), algorithm)
    assert (await registry.ask("GET", f"blobs/{digest}")).expect(404).code in ("BLOB_UNKNOWN", "NAME_UNKNOWN")
    (await registry.ask("DELETE", f"blobs/{digest}")).expect(404)
