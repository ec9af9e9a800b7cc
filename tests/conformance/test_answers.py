"""What every answer holds: HEAD as GET, no body where none may be, conditions, and what deletes leave."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from registry_mesh.oci.digest import ALGORITHMS, Digest
from registry_mesh.oci.media_types import OCI_INDEX, OCI_MANIFEST
from registry_mesh.oci.reference import referrers_tag
from tests.conformance.registry import Registry

OF_THE_REQUEST = {"date", "x-request-id"}


def index(*manifests: dict[str, Any], **more: Any) -> bytes:
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(manifests)}
    return json.dumps(document | more).encode()


def described(data: bytes, algorithm: str = "sha256", media_type: str = OCI_INDEX) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(Digest.of(data, algorithm)), "size": len(data)}


async def stocked(registry: Registry) -> tuple[Digest, Digest]:
    """A blob, and a manifest with the tag `t`."""
    (await registry.put_manifest("t", index())).expect(201)
    return await registry.push_blob(b"some bytes"), Digest.of(index())


async def test_head_is_get_without_its_body(registry: Registry) -> None:
    blob, manifest = await stocked(registry)
    ends = ["tags/list", f"referrers/{manifest}", f"blobs/{blob}", "manifests/t", f"manifests/{manifest}",
            f"{registry.url}/v2/", f"{registry.url}/v2/_catalog"]  # fmt: skip
    for path in ends:
        answers = [(await registry.ask(method, path)).expect(200) for method in ("GET", "HEAD")]
        got, headed = ({k: v for k, v in each.lines if k.lower() not in OF_THE_REQUEST} for each in answers)
        assert got == headed, path
        assert answers[0].headers["Content-Length"] == str(len(answers[0].body))
        assert answers[1].body == b""
    location = (await registry.begin()).location
    for method in ("GET", "HEAD"):
        answer = (await registry.ask(method, location)).expect(204)
        assert answer.headers["Range"] == "0-0"


async def raw(url: str, method: str, *fields: str) -> tuple[str, bytes]:
    """The head and whatever follows it until the server hangs up."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    head = [f"{method} {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close", *fields, "", ""]
    writer.write("\r\n".join(head).encode())
    answer, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return answer.decode(), rest


async def test_no_byte_follows_where_no_body_may_be(registry: Registry) -> None:
    blob, manifest = await stocked(registry)
    base = f"{registry.url}/v2/{registry.name}"
    location = (await registry.begin()).location
    asked = [
        (f"{base}/blobs/{blob}", "HEAD", "200", ()),
        (f"{base}/blobs/{Digest.of(b'absent')}", "HEAD", "404", ()),
        (f"{base}/manifests/t", "HEAD", "200", ()),
        (f"{base}/manifests/absent", "HEAD", "404", ()),
        (f"{base}/blobs/{blob}", "GET", "304", (f'If-None-Match: "{blob}"',)),
        (f"{base}/manifests/t", "GET", "304", (f'If-None-Match: "{manifest}"',)),
        (location, "GET", "204", ()),
        (location, "DELETE", "204", ()),
    ]
    for url, method, status, fields in asked:
        head, rest = await raw(url, method, *fields)
        assert head.split(" ")[1] == status
        assert rest == b""
        assert ("content-length:" in head.lower()) == (status in ("200", "404"))


def _conditions(current: Digest) -> Iterable[tuple[str, str, int]]:
    yield from (("If-None-Match", value, 304) for value in (f'"{current}"', "*", f'"x", W/"{current}"'))
    yield from (("If-None-Match", value, 200) for value in ('"x"', f'"{current}', str(current)))
    yield from (("If-Match", value, 200) for value in (f'"{current}"', "*", f'"x", "{current}"'))
    yield from (("If-Match", value, 412) for value in ('"x"', f'W/"{current}"'))


async def test_conditional_requests(registry: Registry) -> None:
    blob, manifest = await stocked(registry)
    for path, current in (
        (f"blobs/{blob}", blob),
        ("manifests/t", manifest),
        (f"manifests/{manifest}", manifest),
    ):
        for field, value, status in _conditions(current):
            for method in ("GET", "HEAD"):
                answer = (await registry.ask(method, path, headers=[(field, value)])).expect(status)
                if status == 304:
                    assert answer.headers["ETag"] == f'"{current}"'
                    assert answer.headers["Docker-Content-Digest"] == str(current)
    (await registry.ask("GET", f"blobs/{Digest.of(b'absent')}", headers=[("If-None-Match", "*")])).expect(404)


async def test_where_an_upload_stands(registry: Registry) -> None:
    location = (await registry.begin()).location
    for piece, stands in ((b"", "0-0"), (b"x", "0-0"), (b"yz", "0-2")):
        answer = (await registry.ask("PATCH", location, piece)).expect(202)
        assert answer.headers["Range"] == stands
        status = (await registry.ask("GET", answer.location)).expect(204)
        assert status.headers["Range"] == stands
        location = status.location
    await registry.finish(location, Digest.of(b"xyz"))
    for method in ("GET", "PATCH", "DELETE"):
        (await registry.ask(method, location)).expect(404)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_the_same_blob_by_many_at_once(registry: Registry, algorithm: str) -> None:
    data = os.urandom(400_000)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(6):
            tasks.create_task(registry.push_blob(data, algorithm))
    await registry.expect_blob(Digest.of(data, algorithm), data)


async def test_what_deletes_leave(registry: Registry) -> None:
    data, digest = index(), Digest.of(index())
    (await registry.put_manifest(str(digest), data, "?tag=a&tag=b")).expect(201)
    blob = await registry.push_blob(b"blob")
    (await registry.ask("DELETE", "manifests/a")).expect(202)
    (await registry.ask("GET", "manifests/a")).expect(404)
    await registry.expect_manifest("b", data, digest)
    assert await registry.tags() == ["b"]
    (await registry.ask("DELETE", f"manifests/{digest}")).expect(202)
    for reference in ("b", str(digest)):
        (await registry.ask("HEAD", f"manifests/{reference}")).expect(404)
    assert await registry.tags() == []
    (await registry.ask("DELETE", f"blobs/{blob}")).expect(202)
    await registry.expect_no_blob(blob)
    for path in ("manifests/a", f"manifests/{digest}", f"blobs/{blob}"):
        (await registry.ask("DELETE", path)).expect(404)
    await registry.push_blob(b"blob")
    (await registry.put_manifest("a", data)).expect(201)
    await registry.expect_blob(blob, b"blob")
    await registry.expect_manifest("a", data, digest)


async def test_what_a_tag_needs_takes_all_but_delete(registry: Registry) -> None:
    """RFC 9110, 15.5.6: a 405 lists the methods that are allowed."""
    child = index(annotations={"of": "a tag"})
    (await registry.put_manifest(str(Digest.of(child)), child)).expect(201)
    blob = described(b"blob", media_type="a/b")
    await registry.push_blob(b"blob")
    (await registry.put_manifest("t", index(described(child), blob))).expect(201)
    for path, allowed in (
        (f"manifests/{Digest.of(child)}", "GET, HEAD, PUT"),
        (f"blobs/{blob['digest']}", "GET, HEAD"),
    ):
        answer = (await registry.ask("DELETE", path)).expect(405)
        assert answer.headers["Allow"] == allowed
        assert answer.json["errors"][0]["detail"]["tag"] == "t"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_referrers_filtered_and_by_pages(registry: Registry, algorithm: str) -> None:
    subject = described(index(annotations={"of": algorithm}), algorithm)
    digest = Digest.parse(subject["digest"])
    pushed: dict[str, str] = {}
    for number in range(5):
        kind = f"application/kind-{number % 2}"
        data = index(artifactType=kind, subject=subject, annotations={"number": str(number)})
        answer = (await registry.put_manifest(str(Digest.of(data, algorithm)), data)).expect(201)
        assert answer.headers["OCI-Subject"] == str(digest)  # which was never pushed
        pushed[str(Digest.of(data, algorithm))] = kind
    listed, answer = await registry.referrers(digest)
    assert {each["digest"]: each["artifactType"] for each in listed} == pushed
    assert all(each["annotations"]["number"] for each in listed)
    assert "OCI-Filters-Applied" not in answer.headers
    seen: list[str] = []
    path = f"referrers/{digest}?artifactType={quote('application/kind-0')}&n=2"
    while path:
        answer = (await registry.ask("GET", path)).expect(200)
        assert answer.headers["OCI-Filters-Applied"] == "artifactType"
        seen += [each["digest"] for each in answer.json["manifests"]]
        link = answer.headers.get("Link", "")
        path = registry.url + link[1 : link.index(">")] if link else ""
    assert sorted(seen) == sorted(each for each, kind in pushed.items() if kind == "application/kind-0")
    gone = seen[0]
    (await registry.ask("DELETE", f"manifests/{gone}")).expect(202)
    assert gone not in [each["digest"] for each in (await registry.referrers(digest))[0]]


async def test_a_referrers_tag_lists_those_with_the_subject_alone(registry: Registry) -> None:
    """Of a list by the tag schema those "that have a valid subject field" are included."""
    subject = index(annotations={"the": "subject"})
    referrer, without = index(subject=described(subject)), index(annotations={"by": "tag"})
    for data in (subject, referrer, without):
        (await registry.put_manifest(str(Digest.of(data)), data)).expect(201)
    listing = index(described(without) | {"artifactType": "application/old"}, described(referrer))
    (await registry.put_manifest(referrers_tag(Digest.of(subject)), listing)).expect(201)
    listed, _ = await registry.referrers(Digest.of(subject))
    assert {each["digest"] for each in listed} == {str(Digest.of(referrer))}


async def test_any_artifact(registry: Registry) -> None:
    kind = "application/vnd.example.recipe.v1+json"
    for data in (b'{"any": ["thing"]}', b'{"schemaVersion": 2, "blobs": [{"digest": "sha256:x"}]}'):
        (await registry.put_manifest("recipe", data, media_type=kind)).expect(201)
        answer = (await registry.ask("GET", "manifests/recipe")).expect(200)
        assert (answer.body, answer.headers["Content-Type"]) == (data, kind)


async def test_an_index_of_blobs(registry: Registry) -> None:
    """As the caches of builders are: what an index names need not be a manifest."""
    layer = described(b"layer", media_type="application/vnd.oci.image.layer.v1.tar")
    (await registry.put_manifest("cache", index(layer))).expect(400)
    await registry.push_blob(b"layer")
    (await registry.put_manifest("cache", index(layer))).expect(201)


async def test_a_manifest_of_4_mib(registry: Registry) -> None:
    config = await registry.push_blob(b"{}")
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": str(config), "size": 2},
        "layers": [],
        "annotations": {"a": ""},
    }
    document["annotations"]["a"] = "x" * ((4 << 20) - len(json.dumps(document)))
    data = json.dumps(document).encode()
    assert len(data) == 4 << 20
    (await registry.put_manifest("large", data)).expect(201)
    await registry.expect_manifest("large", data, Digest.of(data))


async def test_the_listing_of_repositories(registry: Registry, other: Registry) -> None:
    for each in (registry, other):
        await stocked(each)
    answer = (await registry.ask("GET", f"{registry.url}/v2/_catalog")).expect(200)
    assert {registry.name, other.name} <= set(answer.json["repositories"])
    assert answer.json["repositories"] == sorted(answer.json["repositories"])
    answer = (await registry.ask("GET", f"{registry.url}/v2/_catalog?n=1")).expect(200)
    assert len(answer.json["repositories"]) == 1
    assert answer.headers["Link"].endswith('; rel="next"')
