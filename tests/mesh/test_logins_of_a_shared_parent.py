"""Registries that have a parent in common show it logins of their own: of each it is told how that one is taken."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from registry_mesh.admin.status import FindingsStatus
from registry_mesh.assembly.node.build import Node, build
from registry_mesh.config.schema import Config
from registry_mesh.telemetry.logs import FIELDS
from tests.eventually import eventually
from tests.simulators.guarded import basic
from tests.simulators.parent import PlainParent, plain_parent

HOSTS = ("a.example", "b.example", "c.example")
MANIFEST = "/v2/team/app/manifests/1"


@pytest.fixture
async def parent() -> AsyncIterator[PlainParent]:
    """Of users who may pull; it tells nobody else anything but `/v2/`, which does not say who may."""
    async with plain_parent() as parent:
        parent.add_image("1", b"layer")
        allow(parent, "u:good")
        yield parent


def allow(parent: PlainParent, *users: str) -> None:
    shown = {basic(*user.split(":")) for user in users}
    challenge = {"WWW-Authenticate": 'Basic realm="x"'}

    def odd(request: web.BaseRequest) -> web.Response | None:
        well = request.path == "/v2/" or request.headers.get("Authorization") in shown
        return None if well else web.Response(status=401, headers=challenge)

    parent.odd = odd


@asynccontextmanager
async def site(
    folder: Path, parent: PlainParent, logins: dict[str, str], one_file: bool = False
) -> AsyncIterator[Node]:
    registries: dict[str, Any] = {}
    for host, login in logins.items():
        file = folder / ("all" if one_file else host)
        file.write_text(login)
        file.chmod(0o600)
        registries[host] = {
            "parents": [[parent.url]],
            "credentials": f"file:{file}",
            "readers": ["everybody"],
            "tags": {"ttl": "0s"},
            "hedge": "none",
        }
    config = {
        "role": "site",
        "name": "site",
        "listen": {"address": "127.0.0.1", "port": 0},
        "admin": {"port": 0},
        "store": {"disk": {"path": str(folder / "store")}},
        "registries": registries,
    }
    node = build(Config.model_validate(config))
    await node.start()
    try:
        yield node
    finally:
        await node.close()


async def pulled(node: Node) -> dict[str, bool]:
    """Whether the image comes, by the registry that it is asked of."""
    async with aiohttp.ClientSession(node.url) as client:
        found = {}
        for host in HOSTS:
            async with client.get(MANIFEST, params={"ns": host}) as answer:
                found[host] = answer.status == 200
        return found


async def denied(node: Node) -> dict[str, bool]:
    """What `/status` says."""
    status = await node.keeper.status()
    return {
        host: registry.parents[0][0].denied_since_seconds is not None
        for host, registry in status.registries.items()
    }


async def uses(node: Node) -> dict[str, str]:
    """What `registry-mesh parents` says."""
    return {host: told.parents[0][0].use for host, told in (await node.keeper.status()).registries.items()}


def findings(node: Node, ahead: float) -> FindingsStatus:
    for more in (0, 6):
        node.keeper.lookout.look(time.time() + ahead + more)
    return node.keeper.findings()


async def test_each_registry_is_told_of_its_own_login(
    tmp_path: Path, parent: PlainParent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    logins = {"a.example": "u:good", "b.example": "u:bad", "c.example": "v:bad"}
    async with site(tmp_path, parent, logins) as node:
        for _ in range(2):  # the good one comes after the bad ones, too
            assert await pulled(node) == {"a.example": True, "b.example": False, "c.example": False}
        assert await denied(node) == {"a.example": False, "b.example": True, "c.example": True}
        assert await uses(node) == {"a.example": "in_use", "b.example": "left_out", "c.example": "left_out"}
        told = {each.registries: each for each in findings(node, 0).findings if each.name == "parent-denied"}
        assert set(told) == {("b.example",), ("c.example",)}
        for (host,), each in told.items():
            assert each.sentence.endswith(f"does not take our credentials for {host}.")
            assert (
                str(tmp_path / host) in str(each.evidence) and f"registries.{host}.credentials" in each.next
            )
        await eventually(lambda: len(refusals(caplog)) == 2, lambda: refusals(caplog))
        assert sorted(refusals(caplog)) == [["b.example"], ["c.example"]]

        allow(parent, "u:good", "u:bad")
        assert await pulled(node) == {"a.example": True, "b.example": True, "c.example": False}
        assert await denied(node) == {"a.example": False, "b.example": False, "c.example": True}
        left = [each.registries for each in findings(node, 20).findings if each.name == "parent-denied"]
        assert left == [("c.example",)]
        await eventually(lambda: refusals(caplog, "again") == [["b.example"]], "the line in the log")


async def test_registries_that_show_the_same_are_told_together(tmp_path: Path, parent: PlainParent) -> None:
    async with site(tmp_path, parent, dict.fromkeys(HOSTS, "u:bad"), one_file=True) as node:
        assert list(node.board.welcomes.registries.values()) == [HOSTS]
        async with aiohttp.ClientSession(node.url) as client:
            assert (await client.get(MANIFEST, params={"ns": HOSTS[0]})).status != 200
        assert await denied(node) == dict.fromkeys(HOSTS, True)


def refusals(caplog: pytest.LogCaptureFixture, word: str = "refuses") -> list[list[str]]:
    """The registries of each line of the log about what the parent is shown."""
    lines = [each for each in caplog.records if "what this node shows it" in each.getMessage()]
    return [getattr(each, FIELDS)["registries"] for each in lines if word in each.getMessage()]
