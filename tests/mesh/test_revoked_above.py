"""A robot that is revoked at an origin is refused at the end of the tree: its tokens, and copies of its file."""

from __future__ import annotations

import json
import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp

from registry_mesh.assembly.node.build import Node, running
from tests.eventually import eventually
from tests.mesh.test_private_images import (
    REGISTRY,
    ROBOT,
    Tree,
    basic,
    config,
    push,
    robot,
    users,
)
from tests.mesh.test_private_replica import login

PATH = "/v2/team/app/manifests/1"


def site_config(folder: Path, parent: str) -> Any:
    issuer = {"issuer": "origin", "audience": "origin", "keys": str(folder / "keys.json")}
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "policies" / "p.yaml").write_text(
        "schema: registry-mesh/access/1\npolicies:\n"
        f"  - {{name: ci, registries: {REGISTRY}, repos: '**', subjects: ['robot:site', 'origin:robot:site'], "
        "allow: pull}\n"
    )
    registry = {"parents": [[parent]], "credentials": login(folder, "below")}
    access = {
        "policies": str(folder / "policies"),
        "robots": str(folder / "robots-copied"),
        "issuers": {"origin": issuer},
    }
    return config(folder / "site", "site", registries={REGISTRY: registry}, access=access)


async def open_tree(folder: Path, stack: AsyncExitStack) -> tuple[Tree, Node]:
    """An origin with a robot, a replica, and a site that has a copy of the robot and takes the origin's tokens."""
    client = await stack.enter_async_context(aiohttp.ClientSession())
    robot(folder)
    shutil.copytree(folder / "robots", folder / "robots-copied")
    access = {"anonymous": "nothing", "authenticated": "push", "users": users(folder, "pusher", "replica")}
    access["robots"] = str(folder / "robots")
    origin = await stack.enter_async_context(
        running(config(folder / "origin", "origin", registry=REGISTRY, access=access))
    )
    tree = Tree(folder, origin, origin, client, stack)
    await push(tree, "team/app")
    (folder / "rules").mkdir()
    (folder / "rules" / "r.yaml").write_text(
        "schema: registry-mesh/rules/1\nrules:\n"
        f"  - {{name: all, from: {REGISTRY}, repos: ['**'], tags: ['*']}}\n"
    )
    above = {"parents": [[origin.url]], "credentials": login(folder, "replica"), "readers": ["below"]}
    replica = await stack.enter_async_context(
        running(
            config(
                folder / "replica",
                "replica",
                registries={REGISTRY: above},
                rules=str(folder / "rules"),
                access={"users": users(folder / "of-replica", "below")},
            )
        )
    )
    (folder / "keys.json").write_bytes((await tree.ask(origin, "/.well-known/jwks.json", None))[1])
    return tree, replica


async def check_list(url: str, who: str) -> None:
    """One credential, which strangers cannot tell; the same is sent once."""
    headers = {"Authorization": who}
    async with aiohttp.request("GET", url, headers=headers) as answer:
        body, tag = await answer.read(), answer.headers["ETag"]
        assert answer.status == 200 and len(json.loads(body)) == 1 and b"site" not in body
    for method, status in (("GET", 304), ("HEAD", 304), ("POST", 405), ("DELETE", 405)):
        async with aiohttp.request(method, url, headers=headers | {"If-None-Match": tag}) as answer:
            assert answer.status == status


async def test_it_is_refused_at_every_tier_within_seconds_and_offline_too(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        tree, replica = await open_tree(tmp_path, stack)
        below = basic("below", "below")
        await eventually(
            lambda: tree.ask(replica, PATH, below), "replicated", until=lambda said: said[0] == 200
        )
        _, said = await tree.ask(tree.origin, "/token?scope=repository:team/app:pull", ROBOT)
        token = "Bearer " + json.loads(said)["token"]

        async def refused(node: Node, who: str) -> None:
            await eventually(
                lambda: tree.ask(node, PATH, who), "401", pause=0.05, until=lambda said: said[0] == 401
            )

        async with running(site_config(tmp_path, replica.url)) as site:
            for who in (token, ROBOT):
                for _ in ("cold", "warm", "hot"):
                    assert (await tree.ask(site, PATH, who))[0] == 200
            (tmp_path / "robots" / "site.json").unlink()
            for who in (token, ROBOT):
                await refused(site, who)
            status, _ = await tree.ask(site, "/v2/_mesh/revoked", token)
            assert status == 401, "a list is for callers that are let in"
            await check_list(replica.url + "/v2/_mesh/revoked", below)

        await replica.close()
        await tree.origin.close()
        async with running(site_config(tmp_path, replica.url)) as site:
            for who in (token, ROBOT):
                assert (await tree.ask(site, PATH, who))[0] == 401, (
                    "what was heard outlives a restart, also offline"
                )
