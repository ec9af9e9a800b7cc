"""A process that begins while access files are invalid goes by what they said last."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from registry_mesh.access.tokens import new_key
from registry_mesh.assembly.access.access_books import AccessBooks
from registry_mesh.assembly.access.policy_in_force import NodeAccess
from registry_mesh.auth.access import Action, Asked, Verdict
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.tasks.last_files import LastFiles
from registry_mesh.telemetry.note import Note
from tests.assembly.access.test_policy_in_force import ALICE, HASH, config
from tests.clients import nodes
from tests.eventually import eventually_here
from tests.simulators.whole import write_whole

HEAD = "schema: registry-mesh/access/1\npolicies:\n"
RULE = '  - {name: all, repos: "**", subjects: users, allow: push}\n'
PUSH = Asked(Action.PUSH, "r.example", "a/b")


class World:
    def __init__(self, folder: Path) -> None:
        self.folder, self.note, self.told = folder, Note(1 << 20), list[Sequence[str]]()
        (folder / "users").write_text(f"alice:{HASH}\n")
        (folder / "access").mkdir()
        self.write(HEAD + RULE)
        self.config = config(
            folder,
            registry="r.example",
            access={"users": str(folder / "users"), "policies": str(folder / "access")},
        )

    def write(self, text: str) -> None:
        write_whole(self.folder / "access" / "p.yaml", text)

    def begin(self, writes: bool = True) -> NodeAccess:
        """A process of the node."""
        books = AccessBooks(self.config, LastFiles(self.note, writes), self.told.append)
        return NodeAccess(self.config, new_key(), books=books)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def may(access: NodeAccess) -> bool:
    await access.learn(ALICE)
    return access.decide(ALICE, PUSH).verdict is Verdict.ALLOW


async def test_it_goes_by_what_was_valid_last(world: World) -> None:
    """Users too, whatever is wrong."""
    world.begin()
    world.write(HEAD + RULE.replace("push", "fly"))
    (world.folder / "users").write_text("nonsense")
    for writes in (True, False):
        assert await may(world.begin(writes))
    *_, faults = world.told
    assert {each.partition(": ")[0].rpartition("/")[2] for each in faults} == {
        f"p.yaml:3:{RULE.index('push') + 1}",
        "users:1:1",
    }
    world.write(HEAD + RULE)
    (world.folder / "users").write_text(f"alice:{HASH}\n")
    world.begin()
    assert world.told[-1] == ()


@pytest.mark.parametrize("room", [1 << 20, 10], ids=["nothing was valid", "no room for it"])
def test_where_nothing_is_known_it_does_not_begin(world: World, room: int) -> None:
    world.note = Note(room)
    if room == 10:
        world.begin()
    world.write("nonsense")
    with pytest.raises(ConfigInvalid):
        world.begin()


def test_no_process_but_the_first_keeps_anything(world: World) -> None:
    world.begin(writes=False)
    assert world.note.read() == ""


def test_keys_of_issuers_that_cannot_be_read_are_those_of_before(world: World) -> None:
    keys = world.folder / "keys.json"
    public = json.loads(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key()))
    keys.write_text(json.dumps({"keys": [{**public, "kid": "a", "alg": "ES256"}]}))
    issuer = {"issuer": "https://ci.example", "audience": "r.example", "keys": str(keys)}
    world.config = config(world.folder, registry="r.example", access={"issuers": {"ci": issuer}})
    note = LastFiles(world.note)
    assert set(AccessBooks(world.config, note).first().issuers) == {"https://ci.example"}
    keys.write_text('{"keys": [')
    assert set(AccessBooks(world.config, note).first().issuers) == {"https://ci.example"}


def status(node: nodes.Node) -> Any:
    with urllib.request.urlopen(f"{node.admin}/status", timeout=60) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_a_node_whose_processes_die_meanwhile_serves_on_and_says_so(world: World) -> None:
    access = {"users": str(world.folder / "users"), "policies": str(world.folder / "access")}
    with nodes.Node(
        world.folder / "node", {"role": "origin", "registry": "r.example", "workers": 2, "access": access}
    ) as node:

        def serving() -> set[int]:
            return {each["pid"] for each in status(node)["workers"] if each["state"] == "serving"}

        def named() -> list[Any]:
            return [each for each in status(node)["findings"] if each["name"] == "access-invalid"]

        eventually_here(lambda: len(serving()) == 2, "both processes")
        before = serving()
        world.write(HEAD + RULE.replace("push", "fly"))
        eventually_here(named, "the finding")
        assert f"p.yaml:3:{RULE.index('push') + 1}: " in json.dumps(named())
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        eventually_here(lambda: len(serving() - before) == 2, "two others")
        assert named()
        with urllib.request.urlopen(f"{node.admin}/metrics", timeout=60) as answer:
            assert 'registry_mesh_finding{finding="access-invalid"' in answer.read().decode()
        world.write(HEAD + RULE)
        eventually_here(lambda: not named(), "it to be mended")
