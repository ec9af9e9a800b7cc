"""A private image through all three tiers: an origin, a replica that logs in to it, a site that logs in to that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from registry_mesh.assembly.node.build import Node, running
from registry_mesh.oci.digest import Digest
from tests.eventually import eventually
from tests.mesh.test_private_images import (
    LAYER,
    MANIFEST,
    PATHS,
    REGISTRY,
    Tree,
    basic,
    config,
    push,
    users,
)

ALICE, BOB, SITE = (basic(name, name) for name in ("alice", "bob", "site"))
POLICY = (
    "schema: registry-mesh/access/1\npolicies:\n"
    f"  - {{name: team, registries: {REGISTRY}, repos: 'team/**', subjects: [alice, site], allow: pull}}\n"
    f"  - {{name: public, registries: {REGISTRY}, repos: 'public/**', subjects: everybody, allow: pull}}\n"
)


@dataclass
class Tiers(Tree):
    """`site` is that of the tree; `replica` stands between it and the origin."""

    replica: Node | None = None

    async def all(self, node: Node, path: str) -> list[int]:
        """What alice, bob and nobody are answered."""
        return [(await self.ask(node, path, who))[0] for who in (ALICE, BOB, None)]


def login(folder: Path, name: str) -> str:
    file = folder / f"login-{name}"
    file.write_text(f"{name}:{name}")
    file.chmod(0o600)
    return f"file:{file}"


@pytest_asyncio.fixture
async def tiers(tmp_path: Path) -> AsyncIterator[Tiers]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(aiohttp.ClientSession())
        access = {
            "anonymous": "nothing",
            "authenticated": "push",
            "users": users(tmp_path, "pusher", "replica"),
        }
        origin = await stack.enter_async_context(
            running(config(tmp_path / "origin", "origin", registry=REGISTRY, access=access))
        )
        tree = Tiers(tmp_path, origin, origin, client, stack)
        await push(tree, "team/app")
        (tmp_path / "rules").mkdir()
        (tmp_path / "rules" / "r.yaml").write_text(
            "schema: registry-mesh/rules/1\nrules:\n"
            f"  - {{name: all, from: {REGISTRY}, repos: ['team/**', 'public/**'], tags: ['*']}}\n"
        )
        (tmp_path / "policies").mkdir()
        (tmp_path / "policies" / "p.yaml").write_text(POLICY)
        own = {"policies": str(tmp_path / "policies")}
        above = {"parents": [[origin.url]], "credentials": login(tmp_path, "replica")}
        tree.replica = await stack.enter_async_context(
            running(
                config(
                    tmp_path / "replica",
                    "replica",
                    registries={REGISTRY: above},
                    rules=str(tmp_path / "rules"),
                    access=own | {"users": users(tmp_path / "of-replica", "alice", "bob", "site")},
                )
            )
        )
        below = {"parents": [[tree.replica.url]], "credentials": login(tmp_path, "site")}
        tree.site = await stack.enter_async_context(
            running(
                config(
                    tmp_path / "site",
                    "site",
                    registries={REGISTRY: below},
                    access=own | {"users": users(tmp_path / "of-site", "alice", "bob")},
                )
            )
        )
        yield tree


async def becomes(tiers: Tiers, node: Node, path: str, wanted: list[int]) -> None:
    await eventually(lambda: tiers.all(node, path), path, pause=0.05, until=lambda said: said == wanted)


async def test_every_tier_asks_for_itself_and_goes_on_by_itself(tiers: Tiers) -> None:
    replica, site = tiers.replica, tiers.site
    assert replica is not None
    await becomes(tiers, replica, f"/v2/team/app/{PATHS[0]}", [200, 403, 401])
    for path in PATHS:
        for node in (replica, site):
            for _ in ("cold", "warm"):
                assert await tiers.all(node, f"/v2/team/app/{path}") == [200, 403, 401], (node, path)
    for node in (replica, site):
        for digest in (Digest.of(LAYER), Digest.of(MANIFEST)):
            kind = "blobs" if digest == Digest.of(LAYER) else "manifests"
            path = f"/v2/public/other/{kind}/{digest}?ns={REGISTRY}"
            assert await tiers.all(node, path) == [404, 404, 404], (
                "a public name does not open a private blob"
            )
    users(tiers.folder / "of-replica", "alice", "bob")  # the site may no longer log in to the replica
    path = f"/v2/team/app/tags/list?ns={REGISTRY}"
    await eventually(
        lambda: tiers.ask(replica, path, SITE), "a refusal", pause=0.05, until=lambda said: said[0] == 401
    )
    status, body = await tiers.ask(site, f"/v2/team/app/manifests/sha256:{'0' * 64}?ns={REGISTRY}", ALICE)
    assert status in (403, 503) and b"site:site" not in body
    await tiers.origin.close()
    for node in (replica, site):
        for path in PATHS[:3]:
            assert await tiers.all(node, f"/v2/team/app/{path}") == [200, 403, 401], (node, path)
    users(tiers.folder / "of-site", "bob")
    await becomes(tiers, site, f"/v2/team/app/{PATHS[2]}", [401, 403, 401])


pytestmark = pytest.mark.slow
