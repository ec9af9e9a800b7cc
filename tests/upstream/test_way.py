"""The way to parents: proxies, folders, and where redirects may not lead."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from registry_mesh.assembly.sources.parents import never_direct
from registry_mesh.auth.own_hosts import own_hosts
from registry_mesh.config.schema import Config
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.ports.failures import SourceLied, SourceUnavailable
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from registry_mesh.upstream.way import NotNamed, Way, base_and_folder, proxy_from_environment
from tests.environment import environment
from tests.simulators.registry import SimulatedRegistry, simulated_registry

DATA = b"inside"
DIGEST = Digest.of(DATA)
BLOB = f"/v2/team/app/blobs/{DIGEST}"


@pytest.fixture
async def parent() -> AsyncIterator[SimulatedRegistry]:
    async with simulated_registry() as registry:
        registry.says("/v2/", text="{}")
        yield registry


@pytest.fixture
async def inner() -> AsyncIterator[SimulatedRegistry]:
    async with simulated_registry() as registry:
        registry.says("/secret", body=DATA)
        yield registry


async def size_at(url: str, way: Way | None = None) -> int:
    async with open_session(way) as client:
        upstream = UpstreamRegistry(ParentSession(client, url), RegistryName("registry.example"))
        return (await upstream.repository(RepositoryName("team/app")).blobs.stat(DIGEST)).size


def leads_to(parent: SimulatedRegistry, location: bytes) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": location.decode("utf-8", "surrogateescape")})

    parent.answers[BLOB] = answer


@pytest.mark.parametrize(
    "location",
    [
        b"",
        b"http://[::1",
        b"http://registry.example:99999999/x",
        b"http://registry.example:port/x",
        b"http://" + b"a" * 64 + b".example/x",
        b"http://" + b".".join([b"abcdefgh"] * 32) + b"/x",
        b"http://\xff\xfe.example/x",
        "http://b\u00fccher.example/x".encode(),
        b"ftp://registry.example/x",
        b"file:///etc/passwd",
    ],
)
async def test_an_odd_redirect_is_a_failure_of_head_and_of_get(
    parent: SimulatedRegistry, location: bytes
) -> None:
    leads_to(parent, location)
    with pytest.raises(SourceLied, match="redirects to no http address"):
        await size_at(parent.url)
    assert [each[0] for each in parent.asked] == ["HEAD", "GET"]


async def test_a_redirect_to_itself_ends(parent: SimulatedRegistry) -> None:
    leads_to(parent, BLOB.encode())
    with pytest.raises(SourceUnavailable, match="redirects"):
        await size_at(parent.url)
    assert Counter(each[0] for each in parent.asked) == {"HEAD": 11, "GET": 11}


@pytest.mark.parametrize(
    ("location", "came"),
    [(b"/a b?c=d e", "/a%20b?c=d%20e"), ("/\u00fc?s=a%2Fb%3D".encode(), "/%C3%BC?s=a%2Fb%3D")],
)
async def test_what_no_address_may_hold_is_encoded_and_the_rest_is_left(
    parent: SimulatedRegistry, location: bytes, came: str
) -> None:
    leads_to(parent, location)
    with pytest.raises(BlobUnknown):
        await size_at(parent.url)
    assert parent.asked[-1][1] == came


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "0x7f000001", "127.1", "2130706433", "0177.0.0.1", "localhost", "localhost.", "[::1]",
     "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[fec0::1]", "0.0.0.0", "169.254.169.254", "10.0.0.1", "[fd00::1]"],
)  # fmt: skip
async def test_no_redirect_leads_inward(
    parent: SimulatedRegistry, inner: SimulatedRegistry, host: str
) -> None:
    """Though the parent lies inside itself."""
    leads_to(parent, f"http://{host}:{urlsplit(inner.url).port}/secret".encode())
    with pytest.raises((SourceLied, SourceUnavailable)):
        await size_at(parent.url)
    assert inner.seen == []


async def test_a_name_that_resolves_inward_is_no_way_in(inner: SimulatedRegistry) -> None:
    """By the address that is connected to: of the name nothing is known."""
    async with open_session() as client:
        with pytest.raises(OSError, match="lies inside a network"):
            await client.request("GET", f"http://localhost:{urlsplit(inner.url).port}/secret")
    assert inner.seen == []


@pytest.mark.parametrize("named", ["127.0.0.1", "127.0.0.1:PORT", "localhost"])
async def test_redirects_to_hosts_that_are_named(
    parent: SimulatedRegistry, inner: SimulatedRegistry, named: str
) -> None:
    port = urlsplit(inner.url).port
    host = "localhost" if named == "localhost" else "127.0.0.1"
    leads_to(parent, f"http://{host}:{port}/secret".encode())
    way = Way(hosts=frozenset({named.replace("PORT", str(port))}))
    assert await size_at(parent.url, way) == len(DATA)


@pytest.mark.parametrize(
    "location",
    [
        "https://cdn.example/x",
        "https://93.184.215.14/x",
        "http://parent.example:8080/x",
        "https://127.0.0.1.nip.io/x",
        "https://production.cloudflare.docker.com/x",
        "https://below.parent.example:8443/x",
        "https://parent.example.evil.example/x",
    ],
)
async def test_never_direct_leads_to_no_host_that_is_not_named(
    parent: SimulatedRegistry, location: str
) -> None:
    leads_to(parent, location.encode())
    way = Way(never=True, own=own_hosts(["https://parent.example", parent.url]))
    with pytest.raises(SourceLied, match="to none of the registry's hosts"):
        await size_at(parent.url, way)
    way = Way(hosts=frozenset({urlsplit(location).hostname or ""}), never=True)
    assert way.may_lead_to(location), "unless it is named"


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/token",
        "http://127.1:5000/",
        "http://2130706433:5000/",
        "http://localhost.:5000/",
        "http://127.0.0.1:5001/",
        "https://auth.docker.io/token",
    ],
)
async def test_never_direct_asks_no_other_host_whatever_leads_there(url: str) -> None:
    """Not even for its address: tokens, pages of lists and all else go this way."""
    way = Way(never=True, own=own_hosts(["http://127.0.0.1:5000"]))
    way.admit("http://127.0.0.1:5000")
    async with open_session(way) as client:
        with pytest.raises(NotNamed, match="none of this registry's hosts"):
            await client.request("GET", url)


def test_what_belongs_to_a_registry_need_not_be_named() -> None:
    hub = Way(never=True, own=own_hosts(["https://registry-1.docker.io"]))
    hub.admit("https://registry-1.docker.io")
    for url in (
        "https://registry-1.docker.io/v2/",
        "https://auth.docker.io/token",
        "https://production.cloudflare.docker.com/blob",
        "https://docker-images-prod.abc.r2.cloudflarestorage.com/blob",
    ):
        assert hub.may_lead_to(url), url
    quay = Way(never=True, own=own_hosts(["https://quay.io"]))
    assert quay.may_lead_to("https://cdn01.quay.io/x")
    assert not quay.may_lead_to("http://cdn01.quay.io/x")
    assert not quay.may_lead_to("https://auth.docker.io/token")


async def test_a_token_service_that_is_none_of_its_own_is_not_asked(parent: SimulatedRegistry) -> None:
    challenge = 'Bearer realm="https://tokens.example/token",service="x"'
    parent.says(BLOB, status=401, headers={"WWW-Authenticate": challenge})
    with pytest.raises(SourceUnavailable, match="none of this registry's hosts"):
        await size_at(parent.url, Way(never=True))


@pytest.mark.parametrize(("role", "never"), [("site", True), ("replica", False)])
def test_a_site_is_never_direct_unless_it_is_told(role: str, never: bool) -> None:
    registries = {
        "a.example": {"parents": [["https://a.example"]]},
        "b.example": {"parents": [["https://b.example"]], "direct": "public"},
        "c.example": {"parents": [["https://c.example"]], "direct": "never"},
    }
    config = Config.model_validate(
        {"role": role, "store": {"disk": {"path": "/s"}}, "registries": registries}
    )
    found = [never_direct(config, registry) for registry in config.registries.values()]
    assert found == [never, False, True]


async def test_a_folder_of_another_registry(parent: SimulatedRegistry) -> None:
    parent.says(f"/v2/hub-proxy/team/app/blobs/{DIGEST}", body=DATA)
    assert await size_at(f"{parent.url}/v2/hub-proxy") == len(DATA)


@pytest.mark.parametrize(
    ("url", "base", "folder"),
    [
        ("https://h", "https://h", ""),
        ("https://h/", "https://h", ""),
        ("https://h/v2/", "https://h", ""),
        ("https://h:8443/v2/hub-proxy", "https://h:8443", "hub-proxy"),
        ("https://h/a/b/v2/x/y/", "https://h/a/b", "x/y"),
        ("https://h/a/b", "https://h/a/b", ""),
    ],
)
def test_an_address_is_a_base_and_a_folder(url: str, base: str, folder: str) -> None:
    assert base_and_folder(url) == (base, folder)


async def test_a_plain_parent_is_not_told_the_registry(parent: SimulatedRegistry) -> None:
    parent.says(BLOB, body=DATA)
    assert await size_at(parent.url) == len(DATA)
    assert not any("ns=" in path for _, path, _ in parent.seen)


async def test_a_node_of_the_mesh_is_told_the_registry(parent: SimulatedRegistry) -> None:
    parent.says("/v2/", text="{}", headers={"Registry-Mesh": "1"})
    parent.says(BLOB, body=DATA)
    assert await size_at(parent.url) == len(DATA)
    assert parent.asked[0][1].endswith("?ns=registry.example")


async def test_a_proxy_is_asked_for_the_whole_address(parent: SimulatedRegistry) -> None:
    parent.says(BLOB, body=DATA)
    way = Way(proxy=parent.url)
    assert await size_at("http://registry.invalid", way) == len(DATA)
    assert parent.asked[0][1].startswith("http://registry.invalid/v2/")


@pytest.fixture
def no_proxies() -> Iterator[None]:
    names = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    with environment(**dict.fromkeys([*names, *map(str.upper, names)])):
        yield


def test_the_usual_variables(no_proxies: None) -> None:
    assert proxy_from_environment("https", "quay.io", None) is None
    os.environ["ALL_PROXY"] = "all.example:3128"
    os.environ["HTTPS_PROXY"] = "http://tls.example:3128"
    os.environ["NO_PROXY"] = "inner.example,.cern.example"
    assert proxy_from_environment("https", "quay.io", None) == "http://tls.example:3128"
    assert proxy_from_environment("http", "quay.io", 80) == "http://all.example:3128"
    assert proxy_from_environment("https", "a.cern.example", 443) is None
    assert proxy_from_environment("https", "inner.example", 443) is None
