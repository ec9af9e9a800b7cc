"""TLS of a node: names, versions, and nodes below that are known by their certificates."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import trustme

from registry_mesh.assembly.node.build import running
from registry_mesh.auth.certified import name_of, stated
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import parse
from registry_mesh.tasks.threads import offload

POLICIES = """schema: registry-mesh/access/1
policies:
  - {name: site, repos: "atlas/**", subjects: "node:site.example", allow: pull}
"""


@dataclass
class Authorities:
    folder: Path
    servers: trustme.CA
    nodes: trustme.CA

    def pair(self, authority: trustme.CA, *names: str) -> dict[str, str]:
        """Files of a certificate for the names."""
        issued, stem = authority.issue_cert(*names), self.folder / names[0].replace("*", "any")
        issued.cert_chain_pems[0].write_to_path(f"{stem}.pem")
        issued.private_key_pem.write_to_path(f"{stem}.key")
        return {"certificate": f"{stem}.pem", "key": f"{stem}.key"}

    def client(self, shown: dict[str, str] | None = None) -> ssl.SSLContext:
        """What a client believes, and what it shows."""
        context = ssl.create_default_context()
        self.servers.configure_trust(context)
        if shown:
            context.load_cert_chain(shown["certificate"], shown["key"])
        return context


@pytest.fixture
def authorities(tmp_path: Path) -> Authorities:
    found = Authorities(tmp_path, trustme.CA(), trustme.CA())
    found.servers.cert_pem.write_to_path(str(tmp_path / "servers.pem"))
    found.nodes.cert_pem.write_to_path(str(tmp_path / "nodes.pem"))
    (tmp_path / "access").mkdir()
    (tmp_path / "access" / "a.yaml").write_text(POLICIES)
    return found


def config(folder: Path, role: str, **more: Any) -> Any:
    whole = {"role": role, "name": role, "admin": {"port": 0, "address": "127.0.0.2"}}
    whole |= {"store": {"disk": {"path": str(folder / role)}}}
    return parse(json.dumps(whole | more), "node.yaml").fit().config


@pytest_asyncio.fixture
async def origin(authorities: Authorities) -> AsyncIterator[str]:
    tls = authorities.pair(authorities.servers, "127.0.0.1")
    more = [
        {"names": ["*.example.org", "r.example"], **authorities.pair(authorities.servers, "*.example.org")}
    ]
    listen = {
        "port": 0,
        "tls": {**tls, "more": more, "minimum": "1.3", "clients": str(authorities.folder / "nodes.pem")},
    }
    access = {"policies": str(authorities.folder / "access")}
    origin = config(authorities.folder, "origin", registry="r.example", listen=listen, access=access)
    async with running(origin) as node:
        yield node.url


async def status(url: str, context: ssl.SSLContext, **headers: str) -> int:
    async with (
        aiohttp.TCPConnector(ssl=context) as connector,
        aiohttp.request("GET", url, headers=headers, connector=connector) as answer,
    ):
        return answer.status


async def test_a_certificate_is_a_subject_of_policies(origin: str, authorities: Authorities) -> None:
    site = authorities.client(authorities.pair(authorities.nodes, "site.example"))
    other = authorities.client(authorities.pair(authorities.nodes, "other.example"))
    let_in, refused = 404, 403  # there is no such repository, for who may know
    for context, path, wanted in (
        (site, "atlas/app", let_in),
        (site, "cms/app", refused),
        (other, "atlas/app", refused),
        (authorities.client(), "atlas/app", 401),
    ):
        for _ in ("first", "again"):
            assert await status(f"{origin}/v2/{path}/tags/list", context) == wanted
    assert await status(f"{origin}/v2/", site) == 200
    assert await status(f"{origin}/v2/atlas/app/tags/list", site, Authorization="Basic eDp5") == 401


async def test_nobody_claims_a_certificate(origin: str, authorities: Authorities) -> None:
    anybody = authorities.client()
    for claim in ("certificate site.example", "Certificate site.example", "node:site.example"):
        assert await status(f"{origin}/v2/atlas/app/tags/list", anybody, Authorization=claim) == 401
    forged = authorities.client(authorities.pair(trustme.CA(), "site.example"))
    with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
        await status(f"{origin}/v2/", forged)
    lines = b"GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: " + stated("site.example").encode() + b"\r\n\r\n"

    def ask() -> bytes:
        with socket.create_connection(("127.0.0.1", int(origin.rpartition(":")[2]))) as plain:
            with anybody.wrap_socket(plain, server_hostname="127.0.0.1") as sock:
                sock.sendall(lines)
                return sock.recv(100)

    assert (await offload(ask)).split()[1] == b"400"


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "é", "x" * 201])
def test_odd_names_state_nothing(name: str) -> None:
    assert stated(name) == ""
    assert name_of(f"Bearer {name}") is None


async def test_each_name_has_its_certificate_and_old_versions_none(
    origin: str, authorities: Authorities
) -> None:
    def shake(name: str, change: Callable[[ssl.SSLContext], None] = lambda _: None) -> str:
        context = authorities.client()
        change(context)
        with socket.create_connection(("127.0.0.1", int(origin.rpartition(":")[2]))) as plain:
            with context.wrap_socket(plain, server_hostname=name) as sock:
                return str(sock.version())

    def old(context: ssl.SSLContext) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2

    for name in ("127.0.0.1", "site.example.org", "SITE.example.org"):
        assert await offload(shake, name) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        await offload(shake, "elsewhere.example")
    with pytest.raises(ssl.SSLError):
        await offload(shake, "127.0.0.1", old)


async def test_a_site_shows_its_certificate_to_its_parent_alone(
    origin: str, authorities: Authorities
) -> None:
    shown = authorities.pair(authorities.nodes, "site.example")
    registry = {
        "parents": [[origin]],
        "ca": str(authorities.folder / "servers.pem"),
        "readers": "everybody",
        **shown,
    }
    site = config(authorities.folder, "site", listen={"port": 0}, registries={"r.example": registry})
    async with running(site) as node:
        for path, wanted in (("atlas/app", 404), ("cms/app", 403)):
            async with aiohttp.request("GET", f"{node.url}/v2/{path}/manifests/1") as answer:
                assert answer.status == wanted, await answer.text()


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        ({"clients": "/nowhere.pem"}, "No such file"),
        ({"require": True}, "require without clients"),
        ({"more": [{"names": [], "certificate": "x", "key": "y"}]}, "names"),
        ({"more": [{"names": ["a"], "certificate": "/nowhere", "key": "/nowhere"}]}, "No such file"),
        ({"minimum": "1.1"}, "1.2"),
    ],
)
def test_what_cannot_be_used_is_told_before_the_start(
    authorities: Authorities, tls: dict[str, Any], said: str
) -> None:
    listen = {"tls": authorities.pair(authorities.servers, "127.0.0.1") | tls}
    with pytest.raises(ConfigInvalid) as invalid:
        config(authorities.folder, "origin", listen=listen)
    assert said in str(invalid.value)
