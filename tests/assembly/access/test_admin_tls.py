"""The operator's listener by TLS: whose certificates are let in, and how commands ask it."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from click.testing import CliRunner, Result

from registry_mesh.admin.server import AdminServer
from registry_mesh.assembly.access.policy_in_force import admin_gate
from registry_mesh.assembly.access.tls import admin_tls
from registry_mesh.assembly.node.build import running
from registry_mesh.cli.main import main
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import parse
from registry_mesh.config.schema import Config
from registry_mesh.tasks.threads import offload
from tests.admin.test_server import FakeNode
from tests.assembly.access.test_tls import Authorities
from tests.eventually import eventually

ENDS = 'registry_mesh_certificate_expiry_timestamp_seconds{listener="operators"}'


@pytest.fixture
def authorities(tmp_path: Path) -> Authorities:
    found = Authorities(tmp_path, trustme.CA(), trustme.CA())
    found.servers.cert_pem.write_to_path(str(tmp_path / "servers.pem"))
    found.nodes.cert_pem.write_to_path(str(tmp_path / "operators.pem"))
    return found


def document(authorities: Authorities, address: str = "127.0.0.1", **more: object) -> dict[str, Any]:
    tls: dict[str, object] = {**authorities.pair(authorities.servers, "127.0.0.1"), **more}
    return {
        "role": "origin",
        "store": {"disk": {"path": str(authorities.folder / "store")}},
        "listen": {"port": 0},
        "admin": {"address": address, "port": 0, "tls": tls},
    }


def operators(authorities: Authorities) -> dict[str, object]:
    return {"clients": str(authorities.folder / "operators.pem"), "names": ["oona.*", "prometheus.example"]}


def loaded(whole: dict[str, Any]) -> Config:
    return parse(json.dumps(whole), "node.yaml").fit().config


@asynccontextmanager
async def from_elsewhere(config: Config, told: list[dict[str, object]]) -> AsyncIterator[str]:
    """Its listener, that takes whoever asks for another machine."""
    gate = admin_gate(config)
    assert gate is not None

    async def lets_in(peer: str, authorization: str | None) -> bool:
        return await gate("192.0.2.1", authorization)

    def audit(event: str, **said: object) -> None:
        told.append({"event": event, **said})

    server = AdminServer(
        FakeNode(), {"role": "site", "name": "x", "version": "1"}, lets_in=lets_in, audit=audit
    )
    listener = socket.create_server(("127.0.0.1", 0))
    tls = admin_tls(config.admin)
    await server.start(listener, tls.context if tls is not None else None)
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        await server.close()


async def status(url: str, context: ssl.SSLContext, **headers: str) -> int:
    async with (
        aiohttp.TCPConnector(ssl=context) as connector,
        aiohttp.request("GET", url, headers=headers, connector=connector) as answer,
    ):
        return answer.status


async def test_certificates_that_are_named_and_no_others(authorities: Authorities) -> None:
    oona = authorities.client(authorities.pair(authorities.nodes, "oona.example"))
    other = authorities.client(authorities.pair(authorities.nodes, "site.example"))
    foreign = authorities.client(authorities.pair(trustme.CA(), "oona.example"))
    told: list[dict[str, object]] = []
    async with from_elsewhere(loaded(document(authorities, **operators(authorities))), told) as url:
        for _ in ("first", "again"):
            assert await status(f"{url}/status", oona) == 200
        assert await status(f"{url}/status", other) == 401
        assert await status(f"{url}/status", authorities.client()) == 401
        assert await status(f"{url}/livez", authorities.client()) == 200, "a scheduler has no certificate"
        for claim in ("certificate oona.example", "node:oona.example"):
            assert await status(f"{url}/status", authorities.client(), Authorization=claim) == 401
        assert await status(f"{url}/status", oona, Authorization="Basic eDp5") == 401, "a login that fails"
        with pytest.raises(aiohttp.ClientError):
            await status(f"{url}/status", foreign)
    assert [each["event"] for each in told] == ["admin-refused"] * 5


async def metrics(url: str, authorities: Authorities) -> str:
    async with (
        aiohttp.TCPConnector(ssl=authorities.client()) as connector,
        aiohttp.request("GET", f"{url}/metrics", connector=connector) as answer,
    ):
        return await answer.text()


async def run(*args: str) -> Result:
    return await offload(CliRunner().invoke, main, list(args))


def written(authorities: Authorities, whole: dict[str, Any], port: int) -> str:
    path = authorities.folder / "node.yaml"
    whole["admin"]["port"] = port
    path.write_text(json.dumps(whole))
    return str(path)


async def test_commands_ask_from_elsewhere_with_a_certificate(authorities: Authorities) -> None:
    whole = document(authorities, **operators(authorities))
    oona = authorities.pair(authorities.nodes, "oona.example")
    other = authorities.pair(authorities.nodes, "site.example")
    ca = ["--ca", str(authorities.folder / "servers.pem")]
    async with from_elsewhere(loaded(whole), []) as url:
        path = written(authorities, whole, 1)
        for pair, code in ((oona, 1), (other, 4)):
            shown = ["--cert", pair["certificate"], "--key", pair["key"]]
            answer = await run("--admin", url, *shown, *ca, "parents", "--json", path)
            assert (answer.exit_code, "http://p" in answer.output) == (code, code == 1), "its parent is down"
        refused = await run("--admin", url, *ca, "parents", path)
        assert refused.exit_code == 4
        assert "registry-mesh --admin https://HOST:PORT --cert FILE" in refused.output
        unbelieved = await run("--admin", url, "parents", path)
        assert unbelieved.exit_code == 3
        assert "CERTIFICATE_VERIFY_FAILED" in unbelieved.output


async def test_a_command_on_the_machine_itself_needs_no_option(authorities: Authorities) -> None:
    """It believes the very certificate that the configuration names, and no other."""
    whole = document(authorities)
    async with running(loaded(whole)) as node:
        assert node.admin_url.startswith("https://")
        path = written(authorities, whole, int(node.admin_url.rpartition(":")[2]))
        assert (await run("parents", path)).exit_code == 0
        await eventually(lambda: metrics(node.admin_url, authorities), until=lambda text: ENDS in text)
        pair = {"certificate": "another.pem", "key": "another.key"}
        for file in authorities.folder.glob("127.0.0.1.*"):
            (authorities.folder / f"another{file.suffix}").write_bytes(file.read_bytes())
        whole["admin"]["tls"] |= {each: str(authorities.folder / name) for each, name in pair.items()}
        path = written(authorities, whole, int(node.admin_url.rpartition(":")[2]))
        authorities.pair(authorities.servers, "another")  # one that the node does not serve
        assert (await run("parents", path)).exit_code == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--admin", "site:5001"], "write https://HOST:PORT"),
        (["--admin", "http://site:5001", "--cert", "/nowhere"], "are for https"),
        (["--admin", "https://site:5001", "--ca", "/nowhere"], "/nowhere"),
        (["--admin", "https://site:5001", "--cert", "/nowhere/c.pem"], "/nowhere/c.pem"),
    ],
)
async def test_options_that_are_none(authorities: Authorities, options: Sequence[str], words: str) -> None:
    answer = await run(*options, "parents", written(authorities, document(authorities), 1))
    assert answer.exit_code == 2
    assert words in answer.output


def test_a_certificate_is_a_way_to_leave_the_machine(authorities: Authorities) -> None:
    everywhere = "0.0.0.0"
    assert loaded(document(authorities, everywhere, **operators(authorities))).admin.tls is not None
    for more, words in (
        ({}, "which are asked for no login"),
        ({"clients": str(authorities.folder / "operators.pem")}, "clients without names"),
        ({"names": ["oona"]}, "names without clients"),
        ({"clients": "/nowhere", "names": ["oona"]}, "/nowhere"),
    ):
        with pytest.raises(ConfigInvalid, match=words):
            loaded(document(authorities, everywhere, **more))
