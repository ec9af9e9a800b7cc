"""Every refusal: its status, the specification's code, and a detail that says what is meant."""

from __future__ import annotations

import asyncio
import json
import os
from urllib.parse import urlsplit

import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_INDEX, OCI_MANIFEST
from tests.conformance.registry import Answer, Registry

ABSENT = Digest.of(b"nowhere")
INDEX = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
LACKING = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [{"mediaType": OCI_MANIFEST, "digest": str(ABSENT), "size": 1}],
    }
).encode()


def refused(answer: Answer, status: int, code: str) -> None:
    answer.expect(status)
    assert answer.code == code
    error = answer.json["errors"][0]
    assert error["message"]
    assert error["detail"], f"{answer.method} {answer.url} has no detail"
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
async def test_what_is_not_there(registry: Registry, method: str) -> None:
    (await registry.put_manifest("t", INDEX)).expect(201)
    for path, code in (
        (f"blobs/{ABSENT}", "BLOB_UNKNOWN"),
        (f"manifests/{ABSENT}", "MANIFEST_UNKNOWN"),
        ("manifests/absent", "MANIFEST_UNKNOWN"),
        ("blobs/uploads/" + "a" * 32, "BLOB_UPLOAD_UNKNOWN"),
        ("blobs/uploads/x", "BLOB_UPLOAD_UNKNOWN"),
    ):
        answer = await registry.ask(method, path)
        if method == "HEAD":
            assert (answer.expect(404).body, answer.headers["Content-Length"] != "0") == (b"", True)
        else:
            refused(answer, 404, code)


async def test_an_unknown_repository(registry: Registry) -> None:
    refused(await registry.ask("GET", "tags/list"), 404, "NAME_UNKNOWN")
    refused(await registry.ask("GET", "manifests/t"), 404, "NAME_UNKNOWN")


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_writing_to_no_session(registry: Registry, method: str) -> None:
    path = f"blobs/uploads/{'b' * 32}?digest={ABSENT}"
    refused(await registry.ask(method, path, b"x"), 404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize(
    "digest",
    ["x", "sha256:", "sha256:x", "sha256:" + "A" * 64, "sha256:" + "0" * 63, "sha512:" + "0" * 64, "md5:" + "0" * 32],
)  # fmt: skip
async def test_malformed_digests(registry: Registry, digest: str) -> None:
    for method, path in (
        ("GET", f"blobs/{digest}"),
        ("DELETE", f"blobs/{digest}"),
        ("GET", f"referrers/{digest}"),
        ("POST", f"blobs/uploads/?digest={digest}"),
        ("POST", f"blobs/uploads/?mount={digest}"),
    ):
        refused(await registry.ask(method, path), 400, "DIGEST_INVALID")
    location = (await registry.begin()).location
    refused(await registry.ask("PUT", f"{location}?digest={digest}", b"x"), 400, "DIGEST_INVALID")
    (await registry.ask("GET", location)).expect(204)  # a slip of the pen does not cost the upload
    if ":" in digest:
        refused(await registry.put_manifest(digest, INDEX), 400, "DIGEST_INVALID")


async def test_uploads(registry: Registry) -> None:
    location = (await registry.begin()).location
    refused(await registry.ask("PUT", location, b"x"), 400, "DIGEST_INVALID")
    refused(await registry.ask("PATCH", location, b"ab", [("Content-Range", "0-6")]), 400, "SIZE_INVALID")
    for given in ("5-6", "x", "", "-3", "2-1"):
        answer = await registry.ask("PATCH", location, b"ab", [("Content-Range", given)])
        refused(answer, 416, "BLOB_UPLOAD_INVALID")
        assert answer.headers["Range"] == "0-0"
        assert answer.location
    refused(await registry.put(location, ABSENT, b"ab"), 400, "DIGEST_INVALID")
    refused(await registry.ask("POST", f"blobs/uploads/?digest={ABSENT}", b"x"), 400, "DIGEST_INVALID")
    for algorithm in ("md5", ""):
        answer = await registry.ask("POST", f"blobs/uploads/?digest-algorithm={algorithm}")
        refused(answer, 400, "DIGEST_INVALID")


async def test_a_session_of_another_repository(registry: Registry, other: Registry) -> None:
    location = (await registry.begin()).location
    elsewhere = location.replace(registry.name, other.name)
    for method in ("GET", "PATCH", "DELETE"):
        refused(await registry.ask(method, elsewhere), 404, "BLOB_UPLOAD_UNKNOWN")
    (await registry.ask("GET", location)).expect(204)


async def test_manifests(registry: Registry) -> None:
    refused(await registry.put_manifest("t", b"{", media_type=OCI_INDEX), 400, "MANIFEST_INVALID")
    refused(await registry.put_manifest("-t", INDEX), 400, "MANIFEST_INVALID")
    refused(await registry.put_manifest("t", INDEX, "?tag=-t"), 400, "MANIFEST_INVALID")
    refused(await registry.put_manifest("t", INDEX, media_type=OCI_MANIFEST), 400, "MANIFEST_INVALID")
    refused(await registry.put_manifest(str(ABSENT), INDEX), 400, "DIGEST_INVALID")
    refused(await registry.put_manifest("t", LACKING), 400, "MANIFEST_BLOB_UNKNOWN")
    refused(
        await registry.put_manifest("t", b"x" * ((16 << 20) + 1), media_type=OCI_INDEX),
        413,
        "MANIFEST_INVALID",
    )
    (await registry.ask("GET", "manifests/t")).expect(404)


async def test_false_preconditions(registry: Registry) -> None:
    (await registry.put_manifest("t", INDEX)).expect(201)
    digest = await registry.push_blob(b"x")
    for method, path in (
        ("GET", "manifests/t"),
        ("GET", f"manifests/{Digest.of(INDEX)}"),
        ("GET", f"blobs/{digest}"),
        ("DELETE", f"blobs/{digest}"),
        ("DELETE", "manifests/t"),
        ("DELETE", f"manifests/{Digest.of(INDEX)}"),
    ):
        refused(await registry.ask(method, path, headers=[("If-Match", '"other"')]), 412, "DENIED")
    for field, value in (
        ("If-Match", '"other"'),
        ("If-None-Match", "*"),
        ("If-None-Match", f'"{Digest.of(INDEX)}"'),
    ):
        answer = await registry.ask(
            "PUT", "manifests/t", INDEX, [("Content-Type", OCI_INDEX), (field, value)]
        )
        refused(answer, 412, "DENIED")
    answer = await registry.ask(
        "PUT", "manifests/new", INDEX, [("Content-Type", OCI_INDEX), ("If-Match", "*")]
    )
    refused(answer, 412, "DENIED")


async def test_immutable_tags(registry: Registry) -> None:
    (await registry.put_manifest("immutable-1", INDEX)).expect(201)
    (await registry.put_manifest("immutable-1", INDEX)).expect(201)
    refused(await registry.put_manifest("immutable-1", INDEX + b" "), 409, "DENIED")
    by_parameter = "?tag=free&tag=immutable-1"
    refused(
        await registry.put_manifest(str(Digest.of(INDEX + b" ")), INDEX + b" ", by_parameter), 409, "DENIED"
    )
    (await registry.ask("GET", "manifests/free")).expect(404)
    for reference in ("immutable-1", str(Digest.of(INDEX))):
        refused(await registry.ask("DELETE", f"manifests/{reference}"), 409, "DENIED")


async def test_ranges_that_are_not_there(registry: Registry) -> None:
    digest = await registry.push_blob(os.urandom(100))
    answer = await registry.ask("GET", f"blobs/{digest}", headers=[("Range", "bytes=100-")])
    refused(answer, 416, "UNSUPPORTED")
    assert answer.headers["Content-Range"] == "bytes */100"


@pytest.mark.parametrize("name", ["UPPER", "a//b", "-a", "a..b", "a/_b", "a" * 256])
async def test_malformed_names(registry: Registry, name: str) -> None:
    refused(await registry.ask("GET", f"{registry.url}/v2/{name}/tags/list"), 400, "NAME_INVALID")
    refused(await registry.ask("POST", f"{registry.url}/v2/{name}/blobs/uploads/"), 400, "NAME_INVALID")


@pytest.mark.parametrize("n", ["-1", "x", "", "1.5", "1e3", "+1", "9" * 50, "1&n=2"])
async def test_malformed_pages(registry: Registry, n: str) -> None:
    (await registry.put_manifest("t", INDEX)).expect(201)
    for path in ("tags/list", f"referrers/{ABSENT}", f"{registry.url}/v2/_catalog"):
        refused(await registry.ask("GET", f"{path}?n={n}"), 400, "UNSUPPORTED")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS"])
async def test_methods(registry: Registry, method: str) -> None:
    location = (await registry.begin()).location
    ends = {
        f"{registry.url}/v2/": "GET, HEAD",
        f"{registry.url}/v2/_catalog": "GET, HEAD",
        "tags/list": "GET, HEAD",
        f"referrers/{ABSENT}": "GET, HEAD",
        f"blobs/{ABSENT}": "GET, HEAD, DELETE",
        "blobs/uploads/": "POST",
        location: "GET, HEAD, PATCH, PUT, DELETE",
        "manifests/t": "GET, HEAD, PUT, DELETE",
    }
    for path, allowed in ends.items():
        if method in allowed.split(", "):
            continue
        answer = await registry.ask(method, path)
        refused(answer, 405, "UNSUPPORTED")
        assert answer.headers["Allow"] == allowed


async def test_no_end_point(registry: Registry) -> None:
    for path in ("", "v1/", "v2/x", "v2/a/b/c", "v2/_nothing", "v2/a/_oci/ext/discover"):
        refused(await registry.ask("GET", f"{registry.url}/{path}"), 404, "NAME_UNKNOWN")


@pytest.mark.parametrize(
    "request_",
    ["GET /v2/ HTTP/9.9\r\n\r\n", "\0\1\2\r\n\r\n", "GET /v2/ HTTP/1.1\r\nX: " + "a" * 40_000 + "\r\n\r\n",
     "POST {uploads} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
     "POST {uploads} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "PATCH {upload} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
     "PATCH {upload} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
     "GET /v2/#x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"],
)  # fmt: skip
async def test_what_is_hardly_http(registry: Registry, request_: str) -> None:
    upload = urlsplit((await registry.begin()).location).path
    text = request_.replace("{uploads}", f"/v2/{registry.name}/blobs/uploads/").replace("{upload}", upload)
    where = urlsplit(registry.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port or 80)
    writer.write(text.encode("latin-1"))
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.split(b" ")[1] == b"400"
    assert b"aiohttp" not in head
    (error,) = json.loads(body)["errors"]
    assert error["code"] in ("UNSUPPORTED", "SIZE_INVALID", "NAME_INVALID")
    assert error["message"] and error["detail"]
    assert (await registry.ask("GET", f"{registry.url}{upload}")).expect(204).headers["Range"] == "0-0"
