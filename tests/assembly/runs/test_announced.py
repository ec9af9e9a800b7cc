"""A replica that is told of pushes: who may tell it, what it brings then, and what it leaves for its usual runs."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry_mesh.admin.server import AdminServer
from registry_mesh.assembly.node.build import Node, running
from registry_mesh.assembly.runs.announced import Announced
from registry_mesh.assembly.supervision.sockets import listen
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.webhooks.signature import headers, is_signed, key_of
from tests.eventually import eventually
from tests.simulators.images import HOST, Content
from tests.simulators.replica_tree import ReplicaTree, replica_tree

KEY = "a key of thirty-two bytes at least"
PATH = "/api/1/runs"


def event(repository: str, registry: str = HOST) -> bytes:
    """As an origin sends it."""
    data = {"action": "push", "registry": registry, "repository": repository, "tags": ["2"]}
    told = {"specversion": "1.0", "id": "e1", "source": f"//{registry}", "type": "registry-mesh.push"}
    return json.dumps({**told, "data": data}).encode()


@dataclass
class World:
    tree: ReplicaTree
    node: Node

    async def tell(self, body: bytes, key: str = KEY, at: float | None = None) -> tuple[int, str]:
        signed = headers(key_of(key), "e1", int(time.time() if at is None else at), body)
        async with self.tree.client.post(self.node.admin_url + PATH, data=body, headers=signed) as answer:
            return answer.status, await answer.text()

    async def has(self, repository: str, tag: str) -> bool:
        async with self.tree.client.get(f"{self.node.url}/v2/{repository}/manifests/{tag}") as answer:
            return answer.status == 200

    async def push(self, repository: str, tag: str) -> None:
        content = Content()
        content.image(f"{repository}/{tag}", tag)
        await self.tree.push(repository, content)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with replica_tree(tmp_path) as tree:
        (tmp_path / "key").write_text(KEY)
        tree.write_rules({"repos": ["a", "b"]})
        config = tree.replica_config(webhook_secret=f"file:{tmp_path / 'key'}")
        for name in ("a", "b"):
            content = Content()
            content.image(name, "1")
            await tree.push(name, content)
        async with running(config) as node:
            made = World(tree, node)
            replicator = node.keeper.replicator
            assert replicator is not None
            await eventually(lambda: replicator.last is not None, "the first run")
            yield made


async def test_what_was_pushed_comes_at_once_and_nothing_else_is_asked_for(world: World) -> None:
    await world.push("a", "2")
    await world.push("b", "2")
    assert await world.tell(event("a")) == (202, f'{{"asked": "{HOST}/a"}}')
    async with world.tree.client.get(f"{world.node.url}/v2/") as answer:
        assert answer.status == 200

    async def came() -> bool:
        return await world.has("a", "2")

    await eventually(came, "what was pushed")
    assert not await world.has("b", "2")
    assert world.node.keeper.replicator is not None
    runs = await world.node.keeper.replicator.history.read()
    assert [run.trigger for run in runs] == ["schedule", "push"]


async def never(remote: str, authorization: str | None) -> bool:
    return False


async def test_who_has_no_login_tells_nothing_without_the_key(world: World) -> None:
    keeper = world.node.keeper
    assert keeper.replicator is not None
    runs = Announced(world.node.config, keeper.replicator)
    admin, listener = AdminServer(keeper, {}, lets_in=never, runs=runs), listen("127.0.0.1", 0)[0]
    await admin.start(listener)
    url, body, now = f"http://127.0.0.1:{listener.getsockname()[1]}", event("a"), int(time.time())
    right, wrong = key_of(KEY), key_of("another key of thirty-two bytes")
    try:
        for path, method, fields, status in (
            (PATH, "POST", headers(right, "e1", now, body), 202),
            (PATH, "POST", headers(wrong, "e1", now, body), 401),
            (PATH, "POST", headers(right, "e1", now - 900, body), 401),
            (PATH, "POST", {}, 401),
            ("/status", "GET", headers(right, "e1", now, body), 401),
            ("/api/1/events", "POST", headers(right, "e1", now, body), 401),
        ):
            async with world.tree.client.request(method, url + path, data=body, headers=fields) as answer:
                assert answer.status == status, (path, method)
    finally:
        await admin.close()


async def test_what_no_rule_takes_and_what_is_no_event_starts_nothing(world: World) -> None:
    assert await world.tell(event("c")) == (
        202, f'{{"asked": null, "why": "no rule takes anything of {HOST}/c"}}',
    )  # fmt: skip
    assert (await world.tell(event("UPPER")))[0] == 202
    for body in (b"{", b"[]", b'{"data": {"registry": 1, "repository": "a"}}', b'{"data": null}'):
        assert (await world.tell(body))[0] == 400


async def test_a_key_that_cannot_be_used_is_said_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    assert world.node.keeper.replicator is not None
    runs = Announced(world.node.config, world.node.keeper.replicator)
    key, body = world.tree.directory / "key", event("a")
    signed = headers(key_of(KEY), "e1", int(time.time()), body)
    for text in (None, None, "short", KEY, "short"):
        key.unlink(missing_ok=True)
        if text is not None:
            key.write_text(text)
        assert await runs.is_signed(signed, body) is (text == KEY)
    said = [getattr(each, FIELDS)["why"] for each in caplog.records if "webhook_secret" in each.message]
    assert [each.partition("key of")[2] or "no file" for each in said] == [
        "no file", " fewer than 24 bytes", " fewer than 24 bytes",
    ]  # fmt: skip


def test_a_signature_is_of_the_very_bytes_and_of_our_time() -> None:
    key, body = key_of(KEY), b"{}"
    signed = headers(key, "e", 1000, body)
    assert is_signed(key, signed, body, 1299)
    assert is_signed(
        key, {**signed, "webhook-signature": "v1,AAAA " + signed["webhook-signature"]}, body, 1000
    )
    assert not is_signed(key, signed, b"{ }", 1000)
    assert not is_signed(key, signed, body, 1301)
    assert not is_signed(key, {**signed, "webhook-id": "f"}, body, 1000)
    for at in ("", "x", "-1", "9" * 30, "１０００"):
        assert not is_signed(key, {**signed, "webhook-timestamp": at}, body, 1000)
    assert not is_signed(key, {}, body, 1000)
