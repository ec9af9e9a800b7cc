"""Who reaches which handler: registries, names, rights, methods; and the attacks that try to confuse them."""

from __future__ import annotations

import json

import pytest

from registry_mesh.auth.access import Action, AnonymousAccess, Asked, Decision, Level, Verdict
from registry_mesh.chunks.chunk_map import CHUNK, PAGE
from registry_mesh.chunks.map_format import MEDIA_TYPE, OLD_MEDIA_TYPE, decode, root
from registry_mesh.chunks.sums import SumAlgorithm
from registry_mesh.edge.call import Call
from registry_mesh.edge.exchange import Exchange
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_INDEX
from registry_mesh.oci.reference import RegistryName
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.stores.memory.store import MemoryStore
from tests.edge.conftest import Edge, Start
from tests.simulators.role import SimulatedRole

HUB, QUAY = "docker.io", "quay.example:5000"
ZERO = Digest.of(b"zero")


def several(name: str = "site") -> SimulatedRole:
    return SimulatedRole(name, (HUB, QUAY))


async def test_base(edge: Edge) -> None:
    for path in ("/v2/", "/v2"):
        answer = await edge.ask("GET", path)
        assert (answer.status, answer.body) == (200, b"{}")
        assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
        assert answer.headers["x-request-id"]
    assert (await edge.ask("HEAD", "/v2/")).headers["content-length"] == "2"


async def test_a_request_id_goes_through_if_it_is_harmless(edge: Edge) -> None:
    assert (await edge.ask("GET", "/v2/", X_Request_Id="abc-1")).headers["x-request-id"] == "abc-1"
    for hostile in ("a b", "x" * 65, 'a"b', ""):
        assert (await edge.ask("GET", "/v2/", X_Request_Id=hostile)).headers["x-request-id"] != hostile


@pytest.mark.parametrize("blob_in", [HUB, QUAY])
async def test_a_registry_by_query_and_by_path(start: Start, blob_in: str) -> None:
    edge = await start(several())
    digest = await edge.role.shelf("a/b", blob_in).put_blob(b"bytes")
    other = QUAY if blob_in == HUB else HUB
    for path in (
        f"/v2/a/b/blobs/{digest}?ns={blob_in.replace(':', '%3A')}",
        f"/v2/{blob_in}/a/b/blobs/{digest}",
    ):
        answer = await edge.ask("GET", path)
        assert (answer.status, answer.headers["oci-namespace"]) == (200, blob_in)
    for path in (f"/v2/a/b/blobs/{digest}?ns={other}", f"/v2/{other}/a/b/blobs/{digest}"):
        assert (await edge.ask("GET", path)).status == 404


async def test_registries_that_are_not_served(start: Start) -> None:
    edge = await start(several())
    for ns in (
        "evil.example",
        "127.0.0.1:22",
        "http://x/",
        "%5B::1%5D",
        "docker.io@evil",
        "a%0d%0ab",
        "",
        "docker.io%00",
    ):
        answer = await edge.ask("GET", f"/v2/a/manifests/t?ns={ns}")
        assert answer.status in (400, 404), ns
        assert answer.code in ("NAME_UNKNOWN", "UNSUPPORTED")
        assert "oci-namespace" not in answer.headers
    assert (await edge.ask("GET", "/v2/?ns=evil.example")).status == 404
    assert (await edge.ask("GET", f"/v2/?ns={HUB}")).status == 200
    assert edge.role.opened == []


async def test_two_registries_in_one_request(start: Start) -> None:
    edge = await start(several())
    assert (await edge.ask("GET", f"/v2/a/manifests/t?ns={HUB}&ns={HUB}")).status == 400
    assert (await edge.ask("GET", f"/v2/{QUAY}/a/manifests/t?ns={HUB}")).status == 400
    assert (await edge.ask("GET", f"/v2/{HUB}/a/manifests/t?ns={HUB}")).status == 404


async def test_the_default_of_a_listener_and_of_a_host(start: Start) -> None:
    role = several()
    digest = await role.shelf("a", QUAY).put_blob(b"bytes")
    path = f"/v2/a/blobs/{digest}"
    edge = await start(role, Settings(default_registry=RegistryName(QUAY)))
    assert (await edge.ask("HEAD", path)).status == 200
    by_host = Settings(default_by_host={"quay.local": RegistryName(QUAY)}, default_registry=RegistryName(HUB))
    edge = await start(role, by_host)
    role.shelf("a", QUAY).links.add(digest)
    assert (await edge.ask("GET", "/v2/a/tags/list", Host="Quay.Local:80")).status == 200
    assert (await edge.ask("GET", "/v2/a/tags/list", Host="other")).status == 404


async def test_a_blob_without_a_registry_is_found_where_it_is(start: Start) -> None:
    """Lazy readers send no `ns`."""
    role = several()
    digest = await role.shelf("a", QUAY).put_blob(b"bytes")
    edge = await start(role)
    path = f"/v2/a/blobs/{digest}"
    assert (await edge.ask("HEAD", path)).headers["content-length"] == "5"
    assert (await edge.ask("GET", path)).body == b"bytes"
    assert (await edge.ask("GET", path, Range="bytes=1-2")).body == b"yt"
    assert (await edge.ask("GET", path, Range="bytes=-1")).body == b"s"
    assert (await edge.ask("GET", path, Range="bytes=9-")).status == 416
    assert (await edge.ask("GET", f"{path}?ns={HUB}")).status == 404
    assert (await edge.ask("GET", f"/v2/b/blobs/{digest}")).status == 404

    def down(*given: object) -> object:
        raise SourceUnavailable("down")

    role.shelf("a", HUB).open = down  # type: ignore[method-assign, assignment]
    assert (await edge.ask("GET", path)).body == b"bytes"
    assert (await edge.ask("GET", f"/v2/a/blobs/{ZERO}")).status == 503


class QuayIsPrivate:
    """A policy that knows one private registry."""

    generation = 0

    async def learn(self, authorization: str) -> None:
        pass

    def decide(self, authorization: str | None, asked: Asked) -> Decision:
        private = asked.registry == QUAY and authorization != "Bearer good"
        return Decision(Verdict.AUTHENTICATE if private else Verdict.ALLOW, "somebody")

    def challenge(self, asked: Asked, base: str = "", error: str = "") -> str:
        return f'Bearer realm="http://here/token",scope="repository:{asked.repository}:pull"'


async def test_what_is_held_is_not_permission(start: Start) -> None:
    role = several()
    digest = await role.shelf("a", QUAY).put_blob(b"secret")
    edge = await start(role, Settings(policy=QuayIsPrivate()))
    assert (await edge.ask("GET", f"/v2/a/blobs/{digest}")).status == 404
    answer = await edge.ask("GET", f"/v2/a/blobs/{digest}?ns={QUAY}")
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    assert answer.headers["www-authenticate"].startswith("Bearer realm=")
    assert (
        await edge.ask("GET", f"/v2/a/blobs/{digest}?ns={QUAY}", Authorization="Bearer good")
    ).status == 200
    assert (await edge.ask("GET", f"/v2/a/blobs/{digest}", Authorization="Bearer good")).body == b"secret"
    assert (await edge.ask("GET", f"/v2/_catalog?ns={QUAY}")).status == 401


ASKED = [
    ("GET", "/v2/", Action.PULL),
    ("GET", "/v2/_catalog", Action.PULL),
    ("GET", "/v2/a/tags/list", Action.PULL),
    ("HEAD", f"/v2/a/blobs/{ZERO}", Action.PULL),
    ("GET", "/v2/a/manifests/t", Action.PULL),
    ("GET", f"/v2/a/referrers/{ZERO}", Action.PULL),
    ("GET", f"/v2/a/_mesh/chunks/{ZERO}", Action.PULL),
    ("POST", "/v2/a/blobs/uploads/", Action.PUSH),
    ("GET", "/v2/a/blobs/uploads/x", Action.PUSH),
    ("PATCH", "/v2/a/blobs/uploads/x", Action.PUSH),
    ("PUT", "/v2/a/blobs/uploads/x", Action.PUSH),
    ("DELETE", "/v2/a/blobs/uploads/x", Action.PUSH),
    ("PUT", "/v2/a/manifests/t", Action.PUSH),
    ("DELETE", "/v2/a/manifests/t", Action.DELETE),
    ("DELETE", f"/v2/a/manifests/{ZERO}", Action.DELETE),
    ("DELETE", f"/v2/a/blobs/{ZERO}", Action.DELETE),
]


@pytest.mark.parametrize("level", Level)
async def test_rights_on_every_end_point(start: Start, level: Level) -> None:
    edge = await start(settings=Settings(policy=AnonymousAccess(level)))
    for method, path, action in ASKED:
        answer = await edge.ask(method, path)
        if level is Level.NOTHING:
            assert answer.status == 401
            assert answer.headers["www-authenticate"].startswith("Basic ")
        elif action not in level.actions:
            assert (answer.status, answer.code) == (403, "DENIED")
        else:
            assert answer.status not in (401, 403, 405, 500)


async def test_a_site_takes_no_writes(start: Start) -> None:
    for name in ("site", "replica"):
        edge = await start(SimulatedRole(name), Settings(policy=AnonymousAccess(Level.ADMIN)))
        for method, path, action in ASKED:
            answer = await edge.ask(method, path)
            if action is not Action.PULL:
                assert answer.status == 405
                assert answer.code == "UNSUPPORTED"
                assert "PUT" not in answer.headers["allow"]
            else:
                assert answer.status != 405


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
async def test_other_methods(edge: Edge, method: str) -> None:
    answer = await edge.ask(method, "/v2/a/tags/list")
    assert (answer.status, answer.code) == (405, "UNSUPPORTED")
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("given", "prefix"),
    [("/registry", "/registry"), ("/a/b-c_d~1.x/", "/a/b-c_d~1.x"), ("", ""), ("/", ""), ("registry", ""),
     ("//evil.example", ""), ("https://evil.example", ""), ("/a/../b", ""), ("/a b", ""), ("/a?b", ""), ("/a%2fb", ""),
     ("/a>; rel=x", ""), ("/" + "a" * 300, "")],
)  # fmt: skip
async def test_behind_a_proxy_that_takes_a_prefix_off(edge: Edge, given: str, prefix: str) -> None:
    headers = {"X_Forwarded_Prefix": given}
    answer = await edge.ask("POST", "/v2/a/b/blobs/uploads/", **headers)
    assert answer.status == 202 and answer.headers["location"].startswith(f"{prefix}/v2/a/b/blobs/uploads/")
    for tag in ("1", "2"):
        data = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
        answer = await edge.ask("PUT", f"/v2/a/b/manifests/{tag}", data, Content_Type=OCI_INDEX, **headers)
        assert answer.status == 201 and answer.headers["location"].startswith(
            f"{prefix}/v2/a/b/manifests/sha256:"
        )
    answer = await edge.ask("GET", "/v2/registry.example/a/b/tags/list?n=1", **headers)
    assert answer.headers["link"].startswith(f"<{prefix}/v2/registry.example/a/b/tags/list?")
    assert json.loads(answer.body) == {"name": "registry.example/a/b", "tags": ["1"]}


async def test_a_proxy_that_joins_paths_doubles_a_slash(edge: Edge) -> None:
    for before in ("//", "///"):
        assert (await edge.ask("GET", f"{before}v2/")).status == 200
    assert (await edge.ask("GET", "/v2//a/tags/list")).status != 200


@pytest.mark.parametrize(
    "path",
    ["/", "/v1/_ping", "/v2/a", "/v2/a/blobs", "/v2/a/unknown/x", "/v2/_mesh/nothing", "/metrics", "/v3/", "//v3/",
     "/v2/a/b/c/d", "/healthz"],
)  # fmt: skip
async def test_no_end_point(edge: Edge, path: str) -> None:
    assert (await edge.ask("GET", path)).status == 404


@pytest.mark.parametrize(
    "path",
    ["/v2/%2e%2e/%2e%2e/etc/passwd", "/v2/a%2fb/manifests/t", "/v2/../../etc/passwd", "/v2/a/../b/manifests/t",
     "/v2/a/./b/tags/list", "/v2/a%00/tags/list", "/v2/A/tags/list", "/v2/a\\b/tags/list",
     "/v2/" + "a/" * 200 + "tags/list",
     "/v2/a/manifests/..%2f..%2fsecret", "/v2/a/manifests/sha256:../../x", "/v2/a/blobs/sha256:" + "A" * 64,
     "/v2/a/blobs/sha256:" + "0" * 128, "/v2/a/blobs/md5:" + "0" * 32, "/v2/a/blobs/sha512:" + "0" * 64,
     "/v2/a/blobs/..", "/v2/a/blobs/x", "/v2/a/manifests/a%0d%0aSet-Cookie:x", "/v2/a/tags/list?n=-1",
     "/v2/a/tags/list?n=1e3", "/v2/a/tags/list?last=" + "x" * 2000, "/v2/a/tags/list?n=%F0%9F", "/v2/_catalog?n=-5",
     "/v2/a/referrers/x", "/v2/a/_mesh/chunks/x", "/v2//tags/list", "/v2/a//tags/list", "/v2/a/manifests/" + "t" * 129],
)  # fmt: skip
async def test_hostile_requests_are_refused_in_the_specifications_words(edge: Edge, path: str) -> None:
    async with edge.raw() as (reader, writer):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode("latin-1"))
        answer = await reader.read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] in (b"400", b"404"), path
    assert b"Set-Cookie" not in head
    assert b'"errors"' in body


async def test_repositories_with_the_names_of_end_points(edge: Edge) -> None:
    for name in (
        "blobs",
        "manifests",
        "a/blobs",
        "tags/list",
        "a/blobs/uploads",
        "a/manifests",
        "v2",
        "referrers/x",
    ):
        digest = await edge.role.shelf(name).put_blob(b"bytes")
        assert (await edge.ask("GET", f"/v2/{name}/blobs/{digest}")).body == b"bytes"
        assert (await edge.ask("GET", f"/v2/{name}/tags/list")).status == 200
        answer = await edge.ask("POST", f"/v2/{name}/blobs/uploads/")
        assert answer.status == 202
        assert (await edge.ask("GET", answer.headers["location"])).status == 204


async def test_locations_and_links_keep_naming_the_registry(start: Start) -> None:
    edge = await start(several("origin"), Settings(policy=AnonymousAccess(Level.ADMIN)))
    for path in (f"/v2/{QUAY}/a/blobs/uploads/", f"/v2/a/blobs/uploads/?ns={QUAY}"):
        answer = await edge.ask("POST", path)
        location = answer.headers["location"]
        assert (await edge.ask("GET", location)).status == 204
        assert (
            await edge.ask("GET", location.replace(QUAY, HUB).replace(QUAY.replace(":", "%3A"), HUB))
        ).status == 404
        digest = Digest.of(b"x")
        joint = "&" if "?" in location else "?"
        answer = await edge.ask("PUT", f"{location}{joint}digest={digest}", b"x")
        assert (await edge.ask("GET", answer.headers["location"])).body == b"x"


async def test_the_listing(edge: Edge) -> None:
    names = ["a", "a-b", "a/b", "b", "c/d/e"]
    for name in reversed(names):
        await edge.role.shelf(name).put_blob(b"x")

    async def page(query: str) -> tuple[list[str], str | None]:
        answer = await edge.ask("GET", f"/v2/_catalog{query}")
        return json.loads(answer.body)["repositories"], answer.headers.get("link")

    assert await page("") == (names, None)
    assert await page("?n=2") == (names[:2], '</v2/_catalog?n=2&last=a-b>; rel="next"')
    assert await page("?n=2&last=a-b") == (names[2:4], '</v2/_catalog?n=2&last=b>; rel="next"')
    assert await page("?n=2&last=b") == (names[4:], None)
    assert await page("?n=0") == ([], None)
    assert await page("?n=99999999999999999999") == (names, None)


async def test_the_listing_of_what_is_meant_and_may_be_read(start: Start) -> None:
    role = several()
    await role.shelf("a", HUB).put_blob(b"x")
    await role.shelf("b", QUAY).put_blob(b"x")
    edge = await start(role, Settings(policy=QuayIsPrivate(), default_registry=RegistryName(QUAY)))
    for query, listed in (("", []), (f"?ns={HUB}", ["a"])):
        assert json.loads((await edge.ask("GET", f"/v2/_catalog{query}")).body)["repositories"] == listed
    answer = await edge.ask("GET", "/v2/_catalog", Authorization="Bearer good")
    assert json.loads(answer.body)["repositories"] == ["b"]


async def test_chunk_maps(edge: Edge) -> None:
    data = bytes(3_000_000)
    digest = await edge.shelf.put_blob(data)
    path = f"/v2/team/app/_mesh/chunks/{digest}"
    answer = await edge.ask("GET", path, Accept=MEDIA_TYPE)
    assert (answer.status, answer.headers["content-type"]) == (200, MEDIA_TYPE)
    found = decode(answer.body, len(data), digest)
    assert found.proves(22, data[22 * CHUNK :])
    assert answer.headers["etag"] == f'"{root(found, digest)}"'
    answer = await edge.ask("GET", f"/v2/team/app/_mesh/chunks/{ZERO}", Accept=MEDIA_TYPE)
    assert (answer.status, answer.code) == (404, "BLOB_UNKNOWN")


async def test_as_much_of_a_chunk_map_as_proves_a_span(edge: Edge) -> None:
    data = bytes((PAGE + 1) * CHUNK)
    digest = await edge.shelf.put_blob(data)
    path = f"/v2/team/app/_mesh/chunks/{digest}?span="
    for span, pages in (
        (f"{PAGE * CHUNK}-{len(data)}", [1]),
        ("0-1", [0]),
        ("0-0", []),
        ("5-999999999999", [0, 1]),
    ):
        answer = await edge.ask("GET", path + span, Accept=MEDIA_TYPE)
        assert list(decode(answer.body, len(data), digest).pages) == pages, span
    for wrong in ("1", "2-1", "-1", "a-b", "0-1,2-3", "0-99999999999999999999"):
        answer = await edge.ask("GET", path + wrong, Accept=MEDIA_TYPE)
        assert answer.status == 400, wrong


async def test_a_child_of_an_earlier_version_gets_its_chunk_map_or_none(edge: Edge) -> None:
    """It says nothing of versions, and decodes version 1 alone."""
    for algorithm in SumAlgorithm:
        data = bytes(3_000_000) + algorithm.name.encode()
        edge.shelf.role.store = MemoryStore(sums=algorithm)
        digest = await edge.shelf.put_blob(data)
        answer = await edge.ask("GET", f"/v2/team/app/_mesh/chunks/{digest}")
        if algorithm is SumAlgorithm.SHA256:
            assert (answer.status, answer.headers["content-type"]) == (200, OLD_MEDIA_TYPE)
            assert answer.body[:8] == b"RMCHUNK1" and decode(answer.body).proves(0, data[:CHUNK])
        else:
            assert (answer.status, answer.code) == (404, "BLOB_UNKNOWN")


async def test_an_extension(start: Start) -> None:
    async def status(exchange: Exchange, call: Call) -> None:
        await exchange.reply(200, [("Content-Type", "text/plain")], call.reference.encode())

    edge = await start()
    server = Server(edge.role, Settings(), extensions={"status": status})
    await server.start()
    try:
        async with edge.session.get(f"http://127.0.0.1:{server.port}/v2/_mesh/status/x") as answer:
            assert (answer.status, await answer.text()) == (200, "status/x")
    finally:
        await server.close()


async def test_referrers_by_pages(start: Start) -> None:
    edge = await start(settings=Settings(policy=AnonymousAccess(Level.ADMIN), page_limit=3))
    subject = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": str(ZERO), "size": 4}
    for number in range(8):
        document = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [],
            "subject": subject,
            "artifactType": f"application/x.{number % 2}",
            "annotations": {"n": str(number)},
        }
        data = json.dumps(document).encode()
        headers = {"Content_Type": document["mediaType"]}
        assert (
            await edge.ask("PUT", f"/v2/team/app/manifests/{Digest.of(data)}", data, **headers)
        ).status == 201  # type: ignore[arg-type]

    async def all_pages(path: str) -> list[str]:
        found = []
        while path:
            answer = await edge.ask("GET", path)
            found += [each["digest"] for each in json.loads(answer.body)["manifests"]]
            link = answer.headers.get("link", "")
            path = link[1 : link.index(">")] if link else ""
        return found

    assert len(set(await all_pages(f"/v2/team/app/referrers/{ZERO}"))) == 8
    assert len(set(await all_pages(f"/v2/team/app/referrers/{ZERO}?artifactType=application%2Fx.1"))) == 4


async def test_a_name_is_too_long_to_push_to_with_its_registry_before_it(edge: Edge) -> None:
    registry = next(iter(edge.role.registries))
    longest = "a" * (255 - len(registry) - 1)
    assert (await edge.ask("POST", f"/v2/{longest}/blobs/uploads/")).status == 202
    for method, path in (("POST", "blobs/uploads/"), ("PUT", "manifests/t")):
        answer = await edge.ask(method, f"/v2/{longest}a/{path}")
        assert (answer.status, answer.code) == (400, "NAME_INVALID")
    digest = await edge.role.shelf(longest + "a").put_blob(b"from before")
    for method, status in (("GET", 200), ("HEAD", 200), ("DELETE", 202)):
        assert (await edge.ask(method, f"/v2/{longest}a/blobs/{digest}")).status == status
