"""Manifests: conditions, limits, negotiation, provenance."""

from __future__ import annotations

import base64
import itertools
import json
import math

import pytest

from registry_mesh.access.authorizer import Authorizer
from registry_mesh.access.tokens import Tokens, new_key
from registry_mesh.auth.access import PULLING, PUSHING, AnonymousAccess, Level
from registry_mesh.auth.book import Book
from registry_mesh.auth.policies import Entry, Policies
from registry_mesh.auth.robots import Robot, digest
from registry_mesh.edge.settings import Settings
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCI_INDEX
from registry_mesh.oci.reference import Tag
from registry_mesh.ports.blobs import Provenance
from tests.edge.conftest import Edge, Start
from tests.simulators.role import SimulatedRole


def index(**more: object) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], **more}).encode()


async def put(edge: Edge, reference: str, data: bytes, **headers: str) -> int:
    headers = {"Content_Type": OCI_INDEX, **headers}
    return (await edge.ask("PUT", f"/v2/team/app/manifests/{reference}", data, **headers)).status


async def test_stored_bytes_come_whatever_is_accepted(edge: Edge) -> None:
    data = b"\n " + index(a=1) + b" \n"
    assert await put(edge, "t", data) == 201
    for accept in ("*/*", OCI_INDEX, "application/vnd.docker.distribution.manifest.v2+json", "text/html", ""):
        answer = await edge.ask(
            "GET", "/v2/team/app/manifests/t", Accept=accept, Accept_Encoding="gzip, zstd"
        )
        assert (answer.status, answer.body) == (200, data)
        assert answer.headers["content-type"] == OCI_INDEX
        assert "content-encoding" not in answer.headers


async def test_conditional(edge: Edge) -> None:
    assert await put(edge, "t", index()) == 201
    digest = Digest.of(index())
    for reference in ("t", str(digest)):
        path = f"/v2/team/app/manifests/{reference}"
        for method in ("GET", "HEAD"):
            answer = await edge.ask(method, path, If_None_Match=f'"{digest}"')
            assert (answer.status, answer.body) == (304, b"")
            assert answer.headers["docker-content-digest"] == str(digest)
            assert (await edge.ask(method, path, If_Match='"x"')).status == 412
        assert (await edge.ask("GET", path, If_None_Match='"x"')).status == 200
    assert "immutable" in (await edge.ask("GET", f"/v2/team/app/manifests/{digest}")).headers["cache-control"]
    assert (await edge.ask("GET", "/v2/team/app/manifests/t")).headers["cache-control"] == "no-cache"


async def test_conditions_in_several_lines_are_one_list(edge: Edge) -> None:
    assert await put(edge, "t", index()) == 201
    tag = f'"{Digest.of(index())}"'
    for name, first, status in (("If-None-Match", '"x"', 304), ("If-Match", '"x"', 200)):
        async with edge.raw() as (reader, writer):
            lines = f"{name}: {first}\r\n{name}: {tag}\r\n"
            writer.write(f"GET /v2/team/app/manifests/t HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode())
            assert f" {status} ".encode() in await reader.readline()


async def test_many_tags_are_one_line_and_too_many_are_414(edge: Edge) -> None:
    def named(count: int) -> str:
        return "&".join(f"tag=t{number}" for number in range(count))

    path, data = f"/v2/team/app/manifests/{Digest.of(index())}", index()
    answer = await edge.ask("PUT", f"{path}?{named(256)}", data, Content_Type=OCI_INDEX)
    assert answer.status == 201
    (line,) = [value for name, value in answer.lines if name.lower() == "oci-tag"]
    assert line.split(", ") == [f"t{number}" for number in range(256)]
    for count in (257, 1500):
        answer = await edge.ask("PUT", f"{path}?{named(count)}", data, Content_Type=OCI_INDEX)
        assert (answer.status, answer.code) == (414, "UNSUPPORTED")
    async with edge.raw() as (reader, writer):
        writer.write(f"PUT {path}?{named(9000)} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 414 ")


async def test_pages_of_referrers_stay_below_what_clients_read(edge: Edge) -> None:
    subject = Digest.of(index())
    for number in range(60):
        data = index(
            subject={"mediaType": OCI_INDEX, "digest": str(subject), "size": len(index())},
            artifactType="application/spdx+json",
            annotations={"n": str(number), "long": "x" * 100_000},
        )
        assert await put(edge, str(Digest.of(data)), data) == 201
    path: str | None = f"/v2/team/app/referrers/{subject}?artifactType=application/spdx+json"
    found: list[str] = []
    pages = 0
    while path:
        answer = await edge.ask("GET", path)
        assert answer.status == 200 and len(answer.body) < 4_000_000
        found += [each["digest"] for each in json.loads(answer.body)["manifests"]]
        path = (
            answer.headers["link"].partition("<")[2].partition(">")[0] if "link" in answer.headers else None
        )
        pages += 1
    assert len(set(found)) == len(found) == 60 and pages >= 2


async def test_compare_and_set(edge: Edge) -> None:
    first, second = index(), index(annotations={"a": "b"})
    assert await put(edge, "t", first, If_None_Match="*") == 201
    assert await put(edge, "t", second, If_None_Match="*") == 412
    assert await put(edge, "t", second, If_None_Match=f'"{Digest.of(first)}"') == 412
    assert await put(edge, "t", second, If_Match='"other"') == 412
    assert await put(edge, "t", second, If_Match=f'"{Digest.of(first)}"') == 201
    path = f"/v2/team/app/manifests/{Digest.of(second)}"
    assert (await edge.ask("DELETE", path, If_Match='"other"')).status == 412
    assert (await edge.ask("DELETE", path, If_Match=f'"{Digest.of(second)}"')).status == 202


async def test_the_limit(start: Start) -> None:
    edge = await start(settings=Settings(policy=AnonymousAccess(Level.ADMIN), manifest_limit=100_000))
    fits = index(annotations={"a": "x" * 99_000})
    large = index(annotations={"a": "x" * 100_000})

    async def chunked(data: bytes):  # type: ignore[no-untyped-def]
        for start in range(0, len(data), 10_000):
            yield data[start : start + 10_000]

    assert await put(edge, "t", fits) == 201
    for body in (large, chunked(large)):
        answer = await edge.ask("PUT", "/v2/team/app/manifests/t", body, Content_Type=OCI_INDEX)
        assert (answer.status, answer.code) == (413, "MANIFEST_INVALID")
    assert await put(edge, "t", fits) == 201


@pytest.mark.parametrize(
    ("content_type", "status"),
    [(OCI_INDEX, 201), (f"{OCI_INDEX}; charset=utf-8", 201), ("application/vnd.oci.image.manifest.v1+json", 400),
     ("nonsense", 400), ("a/b\x01", 400), ("Application/VND.oci.image.Index.v1+JSON ; a=b", 201)],
)  # fmt: skip
async def test_content_types(edge: Edge, content_type: str, status: int) -> None:
    async with edge.raw() as (reader, writer):
        data = index()
        head = f"PUT /v2/team/app/manifests/t HTTP/1.1\r\nHost: a\r\nContent-Length: {len(data)}\r\n"
        writer.write(f"{head}Content-Type: {content_type}\r\n\r\n".encode() + data)
        assert f" {status} ".encode() in await reader.readline()


@pytest.mark.parametrize(
    ("said", "given"),
    [("text/html", "application/octet-stream"), ("image/svg+xml", "application/octet-stream"),
     ("application/xhtml+xml", "application/octet-stream"), ("application/javascript", "application/octet-stream"),
     ("application/json", "application/json"), ("application/vnd.new.thing.v7+json",) * 2,
     ("application/vnd.docker.distribution.manifest.v1+prettyjws",) * 2],
)  # fmt: skip
async def test_what_a_manifest_is_given_out_as(edge: Edge, said: str, given: str) -> None:
    """A parent or a pusher may say what it likes; a browser must not run it."""
    manifest = Manifest.parse(b'{"schemaVersion":2,"a":"<script>"}', said)
    edge.shelf.held[manifest.digest] = manifest
    edge.shelf.pointing[Tag("t")] = manifest.digest
    for method, reference in itertools.product(("GET", "HEAD"), ("t", str(manifest.digest))):
        answer = await edge.ask(method, f"/v2/team/app/manifests/{reference}")
        assert answer.status == 200
        assert answer.headers["content-type"] == given
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_blob_is_taken_for_nothing_but_bytes(edge: Edge) -> None:
    digest = await edge.shelf.put_blob(b"<html><script>alert(1)</script>")
    for method, span in (("GET", ""), ("HEAD", ""), ("GET", "bytes=0-5"), ("GET", "bytes=0-0,3-4")):
        answer = await edge.ask(method, f"/v2/team/app/blobs/{digest}", **({"Range": span} if span else {}))
        assert answer.status in (200, 206)
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_manifests_that_bite(edge: Edge) -> None:
    both = {"schemaVersion": 2, "manifests": [], "layers": [], "config": {}}
    for data in (
        b"[" * 100_000,
        b'{"schemaVersion":2,"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"schemaVersion":2,"schemaVersion":2,"manifests":[]}',
        b'{"schemaVersion":2,"manifests":[],"x":' + b"9" * 5000 + b"}",
        b'{"schemaVersion":2,"manifests":[],"x":NaN}',
        b'{"schemaVersion":2,"manifests":["\xff"]}',
        json.dumps(both).encode(),
    ):
        answer = await edge.ask("PUT", "/v2/team/app/manifests/t", data, Content_Type=OCI_INDEX)
        assert (answer.status, answer.code) == (400, "MANIFEST_INVALID"), data[:80]


async def test_head_of_a_tag_needs_the_tag_alone(edge: Edge) -> None:
    assert await put(edge, "t", index()) == 201
    edge.role.faults["manifest"] = AssertionError("asked for the manifest")
    answer = await edge.ask("HEAD", "/v2/team/app/manifests/t")
    assert (answer.status, answer.headers["content-length"]) == (200, str(len(index())))


async def test_what_a_cache_tells(start: Start) -> None:
    origin = await start()
    assert await put(origin, "t", index()) == 201
    assert "cache-status" not in (await origin.ask("GET", "/v2/team/app/manifests/t")).headers

    role = SimulatedRole("site")
    role.shelves = origin.role.shelves
    site = await start(role, Settings(name="zurich-1"))
    for shelf in role.shelves.values():
        shelf.role = role
    answer = await site.ask("GET", "/v2/team/app/manifests/t")
    assert answer.headers["cache-status"] == '"zurich-1"; hit'
    role.provenance = Provenance(hit=False, source="http://parent\r\nX: y")
    answer = await site.ask("HEAD", "/v2/team/app/manifests/t")
    assert answer.headers["cache-status"] == '"zurich-1"; fwd=uri-miss; detail="http://parentX: y"'
    role.provenance = Provenance(age=75.9, stale=True)
    for path in ("manifests/t", "tags/list", f"referrers/{Digest.of(index())}"):
        answer = await site.ask("GET", f"/v2/team/app/{path}")
        assert answer.headers["age"] == "75"
        warnings = [value for name, value in answer.lines if name.lower() == "warning"]
        assert [value[:6] for value in warnings] == ["299 - "], "the specification knows no other"


def of_robot(robot: Robot | None, *allowed: Entry) -> Book:
    return Book(Policies(allowed, {}), {}, {robot.name: robot} if robot is not None else {})


@pytest.mark.parametrize(("after", "status"), [("revoked", 401), ("may only pull", 403), ("as before", 201)])
@pytest.mark.parametrize("bearer", [False, True])
async def test_who_may_not_push_any_more_when_a_manifest_has_come_pushes_none(
    after: str, status: int, bearer: bool, start: Start
) -> None:
    """Its head came before, and its body may take hours."""
    robot = Robot("ci", digest("secret"), math.inf)
    pushing, pulling = (Entry("p", frozenset({"robot:ci"}), allow=each) for each in (PUSHING, PULLING))
    authorizer = Authorizer(of_robot(robot, pushing), Tokens(new_key(), "n", "n", 300), lambda: 1e9)
    edge = await start(settings=Settings(policy=authorizer, tokens=authorizer))
    login = "Basic " + base64.b64encode(b"robot$ci:secret").decode()
    if bearer:
        given = await edge.ask("GET", "/token?scope=repository:team/app:pull,push", Authorization=login)
        login = f"Bearer {json.loads(given.body)['token']}"
    data = index(a=1)
    async with edge.raw() as (reader, writer):
        writer.write(
            f"PUT /v2/team/app/manifests/{Digest.of(data)} HTTP/1.1\r\nHost: a\r\nAuthorization: {login}\r\n"
            f"Content-Type: {OCI_INDEX}\r\nContent-Length: {len(data)}\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 "), "it was let in"
        book = {"revoked": of_robot(None, pushing), "may only pull": of_robot(robot, pulling)}.get(after)
        if book is not None:
            authorizer.replace(book)
        writer.write(data)
        assert (await reader.readline()).split()[1] == str(status).encode()
