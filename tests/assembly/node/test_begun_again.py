"""Processes that die while files of the operator cannot be used begin again, and go on by what those said last."""

from __future__ import annotations

import json
import os
import signal
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import bcrypt
import pytest
import trustme

from tests.assembly.access.test_tls import Authorities
from tests.clients import nodes, programs
from tests.clients.wire import serves
from tests.eventually import eventually_here

pytestmark = pytest.mark.slow


def gone(path: Path) -> None:
    path.unlink()


def half_written(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def of_another(path: Path) -> None:
    """Well by itself, and no mate of the file beside it."""
    other = trustme.CA().issue_cert("127.0.0.1")
    key = path.suffix == ".key"
    path.write_bytes((other.private_key_pem if key else other.cert_chain_pems[0]).bytes())


@pytest.fixture
def authorities(tmp_path: Path) -> Authorities:
    found = Authorities(tmp_path, trustme.CA(), trustme.CA())
    found.nodes.cert_pem.write_to_path(str(tmp_path / "nodes.pem"))
    found.servers.cert_pem.write_to_path(str(tmp_path / "servers.pem"))
    (tmp_path / "kept").mkdir()
    found.servers.cert_pem.write_to_path(str(tmp_path / "kept" / "servers.pem"))
    return found


class World:
    """A site that has each of these files."""

    def __init__(self, authorities: Authorities) -> None:
        self.folder = authorities.folder
        listen = authorities.pair(authorities.servers, "127.0.0.1")
        ours = authorities.pair(authorities.nodes, "site.example")
        admin = authorities.pair(authorities.servers, "localhost", "127.0.0.1")
        users = f"oona:{bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}\n"
        (self.folder / "operators").write_text(users)
        (self.folder / "pseudonyms").write_text("a key of pseudonyms")
        parent = {
            "default": True,
            "readers": ["everybody"],
            "parents": [["https://127.0.0.1:1"]],
            "ca": str(self.folder / "servers.pem"),
            **ours,
        }
        self.node = nodes.Node(self.folder / "node", {})
        ports = {"listen": self.node.port, "admin": self.node.admin_port}
        clients = {"clients": str(self.folder / "nodes.pem")}
        self.node.change(
            {
                "role": "site",
                "registries": {"r.example": parent},
                "listen": {"address": "127.0.0.1", "port": ports["listen"], "tls": {**listen, **clients}},
                "admin": {
                    "address": "127.0.0.1",
                    "port": ports["admin"],
                    "users": str(self.folder / "operators"),
                    "tls": admin,
                },
                "pulls": {"file": str(self.folder / "pulls"), "pseudonyms": str(self.folder / "pseudonyms")},
            }
        )
        self.node.url = self.node.url.replace("http:", "https:")
        self.node.admin = self.node.admin.replace("http:", "https:")
        self.node.tls = ssl.create_default_context(cafile=str(self.folder / "kept" / "servers.pem"))

    def pids(self) -> set[int]:
        """Of the worker and the keeper; none while one of them is missing."""
        tls = self.node.tls
        if not serves(f"{self.node.url}/v2/", tls) or not serves(f"{self.node.admin}/status", tls):
            return set()
        try:
            with urlopen(f"{self.node.admin}/status", timeout=60, context=tls) as told:
                status: Any = json.load(told)
        except OSError:  # one that is being killed had still answered
            return set()
        serving = {each["pid"] for each in status["workers"] if each["state"] == "serving"}
        found = self.node.children()
        return found if serving & found else set()

    def found(self) -> set[str]:
        """What the finding about files is about."""
        with urlopen(f"{self.node.admin}/status", timeout=60, context=self.node.tls) as told:
            status: Any = json.load(told)
        return {each["subject"] for each in status["findings"] if each["name"] == "files-invalid"}

    def kill(self) -> None:
        """All processes but the one that starts them; return when others are in their places."""
        eventually_here(lambda: len(self.pids()) == 2, "both to serve")
        before = self.node.children()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        eventually_here(lambda: len(self.pids() - before) == 2, "both to begin again")

    def files(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.is_file()]


@pytest.fixture
def world(authorities: Authorities) -> World:
    return World(authorities)


SAID = (
    "files for TLS of a listener cannot be used",
    "files for TLS to parents cannot be used",
    "the file of operators cannot be used",
    "the key for pseudonyms cannot be read",
)


KEYS = {
    "listen.tls",
    "admin.tls",
    "admin.users",
    "pulls.pseudonyms",
    "registries.r.example.ca",
    "registries.r.example.certificate",
}

USABLE: dict[Callable[[Path], None], set[str]] = {
    emptied: {"admin.users"},
    of_another: {"pulls.pseudonyms", "registries.r.example.ca"},
}
"""Of those, what is in order all the same."""

GOOD: dict[Callable[[Path], None], set[str]] = {emptied: {SAID[2]}, of_another: {SAID[3]}}
"""What can be used all the same: a file in which nobody is let in, and any key that is long enough."""


@pytest.mark.parametrize("damage", [gone, half_written, emptied, of_another])
def test_they_serve_on_whatever_is_wrong_and_say_so(world: World, damage: Callable[[Path], None]) -> None:
    before = {path: path.read_bytes() for path in world.files()}
    with world.node:
        eventually_here(lambda: len(world.pids()) == 2, "both to serve")
        assert world.found() == set()
        for path in before:
            damage(path)
        eventually_here(lambda: world.found() == KEYS - USABLE.get(damage, set()), world.found)
        world.kill()
        world.kill()
        log = world.node.log.read_text()
        assert {said for said in SAID if said not in log} == GOOD.get(damage, set())
        for path, data in before.items():
            path.write_bytes(data)
        eventually_here(
            lambda: "files for TLS of a listener were read again" in world.node.log.read_text(), "a look"
        )
        world.kill()
        eventually_here(lambda: world.found() == set(), world.found)


@pytest.mark.parametrize("damage", [gone, emptied])
def test_a_node_that_is_started_then_does_not_start(world: World, damage: Callable[[Path], None]) -> None:
    for path in world.files():
        damage(path)
    assert programs.run("serve", world.node.config).returncode == 78
