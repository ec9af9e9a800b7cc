"""A private image through the tree: an origin that wants logins, a site that logs in as a robot and has users."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest
import pytest_asyncio

from registry_mesh.assembly.node.build import Node, running
from registry_mesh.auth.robots import digest as kept_digest
from registry_mesh.config.load import parse
from registry_mesh.oci.digest import Digest
from tests.eventually import eventually

REGISTRY = "registry.example"
LAYER, CONFIG = b"layer" * 1000, b"{}"
OCI = "application/vnd.oci.image.manifest.v1+json"
SECRET = "rmr_of-the-site"


def descriptor(kind: str, data: bytes) -> dict[str, object]:
    return {
        "mediaType": f"application/vnd.oci.image.{kind}",
        "digest": str(Digest.of(data)),
        "size": len(data),
    }


MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": descriptor("config.v1+json", CONFIG),
        "layers": [descriptor("layer.v1.tar", LAYER)],
    }
).encode()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


ALICE, BOB, ROBOT = basic("alice", "alice"), basic("bob", "bob"), basic("robot$site", SECRET)


@dataclass
class Tree:
    folder: Path
    origin: Node
    site: Node
    client: aiohttp.ClientSession
    stack: AsyncExitStack

    async def ask(
        self, node: Node, path: str, who: str | None, method: str = "GET", body: bytes = b"", **fields: str
    ) -> tuple[int, bytes]:
        """Status and body."""
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        headers |= {"Authorization": who} if who else {}
        async with self.client.request(method, node.url + path, data=body, headers=headers) as answer:
            return answer.status, await answer.read()

    async def statuses(self, path: str) -> list[int]:
        """What the site answers to alice, bob and nobody, each twice: the second time it may be hot."""
        return [(await self.ask(self.site, path, who))[0] for who in (ALICE, ALICE, BOB, BOB, None, None)]


def config(folder: Path, role: str, **more: Any) -> Any:
    folder.mkdir(exist_ok=True)
    whole = {"role": role, "name": role, "listen": {"port": 0}, "admin": {"port": 0, "address": "127.0.0.2"}}
    return parse(json.dumps(whole | {"store": {"disk": {"path": str(folder / "store")}}} | more), "x").config


def users(folder: Path, *names: str) -> str:
    folder.mkdir(exist_ok=True)
    file = folder / "users"
    salt = bcrypt.gensalt(4)
    file.write_text("".join(f"{name}:{bcrypt.hashpw(name.encode(), salt).decode()}\n" for name in names))
    return str(file)


def robot(folder: Path) -> None:
    document = {
        "schema": "registry-mesh/robot/1",
        "name": "site",
        "secret": kept_digest(SECRET),
        "created": "2026-01-01T00:00:00Z",
        "expires": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86_400)),
        "allow": ["pull"],
        "repos": ["**"],
    }
    (folder / "robots").mkdir()
    (folder / "robots" / "site.json").write_text(json.dumps(document))


@pytest_asyncio.fixture
async def tree(tmp_path: Path) -> AsyncIterator[Tree]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(aiohttp.ClientSession())
        robot(tmp_path)
        access = {"anonymous": "nothing", "authenticated": "admin", "users": users(tmp_path, "pusher")}
        access["robots"] = str(tmp_path / "robots")
        origin = await stack.enter_async_context(
            running(config(tmp_path / "origin", "origin", registry=REGISTRY, access=access))
        )
        login = tmp_path / "login"
        login.write_text(f"robot$site:{SECRET}")
        login.chmod(0o600)
        (tmp_path / "policies").mkdir()
        policies = (
            "schema: registry-mesh/access/1\npolicies:\n"
            f"  - {{name: alice, registries: {REGISTRY}, repos: 'team/**', subjects: alice, allow: pull}}\n"
            f"  - {{name: public, registries: {REGISTRY}, repos: 'public/**', subjects: everybody, allow: pull}}\n"
        )
        (tmp_path / "policies" / "p.yaml").write_text(policies)
        registry = {"parents": [[origin.url]], "credentials": f"file:{login}", "tags": {"ttl": "0s"}}
        site = await stack.enter_async_context(
            running(
                config(
                    tmp_path / "site",
                    "site",
                    registries={REGISTRY: registry},
                    access={
                        "policies": str(tmp_path / "policies"),
                        "users": users(tmp_path / "site", "alice", "bob"),
                    },
                )
            )
        )
        tree = Tree(tmp_path, origin, site, client, stack)
        await push(tree, "team/app")
        yield tree


async def push(tree: Tree, name: str) -> None:
    pusher = basic("pusher", "pusher")
    for data in (LAYER, CONFIG):
        path = f"/v2/{name}/blobs/uploads/?digest={Digest.of(data)}"
        assert (await tree.ask(tree.origin, path, pusher, "POST", data))[0] == 201
    path = f"/v2/{name}/manifests/1"
    assert (await tree.ask(tree.origin, path, pusher, "PUT", MANIFEST, Content_Type=OCI))[0] == 201


PATHS = (
    "manifests/1",
    f"manifests/{Digest.of(MANIFEST)}",
    f"blobs/{Digest.of(LAYER)}",
    "tags/list",
    f"referrers/{Digest.of(MANIFEST)}",
)


async def test_only_who_may_read_it_gets_it_cold_warm_and_offline(tree: Tree) -> None:
    for _ in ("cold", "warm"):
        for path in PATHS:
            assert await tree.statuses(f"/v2/team/app/{path}") == [200, 200, 403, 403, 401, 401], path
    assert (await tree.ask(tree.site, f"/v2/team/app/{PATHS[2]}", ALICE))[1] == LAYER
    for span, wanted in ((ALICE, 206), (BOB, 403), (None, 401)):
        answer = await tree.ask(tree.site, f"/v2/team/app/{PATHS[2]}", span, Range="bytes=5-9")
        assert answer[0] == wanted
    await tree.origin.close()
    for path in PATHS[:3]:
        assert await tree.statuses(f"/v2/team/app/{path}") == [200, 200, 403, 403, 401, 401], path


async def test_what_is_held_for_one_repository_is_not_read_through_another(tree: Tree) -> None:
    for path in PATHS[:3]:
        assert (await tree.ask(tree.site, f"/v2/team/app/{path}", ALICE))[0] == 200
    for who in (ALICE, BOB, None):
        status, _ = await tree.ask(tree.site, f"/v2/public/other/{PATHS[2]}", who)
        assert status == 404, "a repository that anybody may read does not name it"
        status, _ = await tree.ask(tree.site, f"/v2/public/other/{PATHS[1]}", who)
        assert status == 404
    path = f"/v2/public/other/blobs/uploads/?mount={Digest.of(LAYER)}&from=team/app"
    assert (await tree.ask(tree.origin, path, ROBOT, "POST"))[0] == 403
    status, body = await tree.ask(tree.site, "/v2/_catalog", BOB)
    assert (status, json.loads(body)["repositories"]) == (200, [])


async def test_a_revoked_robot_and_a_removed_user_are_refused(tree: Tree) -> None:
    await push(tree, "team/late")
    assert (await tree.ask(tree.origin, "/v2/team/app/tags/list", ROBOT))[0] == 200
    assert (await tree.ask(tree.site, f"/v2/team/app/{PATHS[2]}", ALICE))[0] == 200
    (tree.folder / "robots" / "site.json").unlink()
    await becomes(tree, tree.origin, "/v2/team/app/tags/list", ROBOT, 401)
    status, body = await tree.ask(tree.site, f"/v2/team/late/{PATHS[0]}", ALICE)
    assert status in (403, 503), body
    assert SECRET not in body.decode()
    assert (await tree.ask(tree.site, f"/v2/team/app/{PATHS[2]}", ALICE))[0] == 200, "what is held is served"
    users(tree.folder / "site", "bob")
    await becomes(tree, tree.site, f"/v2/team/app/{PATHS[2]}", ALICE, 401)


async def becomes(tree: Tree, node: Node, path: str, who: str, wanted: int) -> None:

    await eventually(
        lambda: tree.ask(node, path, who),
        f"{wanted} for {who}",
        pause=0.05,
        until=lambda answer: answer[0] == wanted,
    )


async def test_another_registry_s_name_opens_nothing(tree: Tree) -> None:
    for query in ("?ns=other.example", "?ns=docker.io", "?ns=169.254.169.254"):
        for who in (ALICE, BOB):
            assert (await tree.ask(tree.site, f"/v2/team/app/manifests/1{query}", who))[0] in (403, 404)
    for path in ("/v2/team/../team/app/tags/list", "/v2/team%2fapp/tags/list", "/v2/TEAM/app/tags/list"):
        with socket.create_connection(("127.0.0.1", int(tree.site.url.rpartition(":")[2]))) as sock:
            sock.sendall(
                f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {BOB}\r\nConnection: close\r\n\r\n".encode()
            )

            status = (await asyncio.to_thread(sock.recv, 100)).split()[1]
        assert status in (b"400", b"404"), path


pytestmark = pytest.mark.slow
