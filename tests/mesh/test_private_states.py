"""Whatever a tier holds of a private image, on whatever store, the caller's rights alone decide: as a table.

Rows are what a tier has (never asked for, a part, all of it, all of it while its parents are gone, all of it in a
bucket that clients are sent to), columns the callers. Through a repository that everybody may read none of it is there.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from registry_mesh.assembly.node.build import Node, running
from registry_mesh.oci.digest import Digest
from registry_mesh.stores.bucket.settings import S3Credentials, S3Settings
from registry_mesh.stores.bucket.store import S3Store
from tests.eventually import eventually
from tests.mesh.test_private_images import CONFIG, OCI, REGISTRY, basic, config, descriptor, users
from tests.mesh.test_private_replica import login
from tests.simulators.bucket import Bucket
from tests.suites.bytes_of import pattern

pytestmark = [pytest.mark.s3, pytest.mark.slow]

MIB = 1 << 20
GONE = {502, 503, 504}
CUT = 0
"""Of an answer that breaks off after what is held."""
LAYERS = {tag: pattern(8 * MIB, seed=seed) for seed, tag in enumerate(("whole", "part", "cold"))}
MANIFESTS = {
    tag: json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI,
            "config": descriptor("config.v1+json", CONFIG),
            "layers": [descriptor("layer.v1.tar", layer)],
        }
    ).encode()
    for tag, layer in LAYERS.items()
}
POLICY = (
    "schema: registry-mesh/access/1\npolicies:\n"
    f"  - {{name: team, registries: {REGISTRY}, repos: 'team/**', subjects: [alice, site], allow: pull}}\n"
    f"  - {{name: public, registries: {REGISTRY}, repos: 'public/**', subjects: everybody, allow: pull}}\n"
)
ALICE = basic("alice", "alice")
LOGINS: Mapping[str, str | None] = {
    "alice": ALICE,
    "bob": basic("bob", "bob"),
    "wrong": basic("alice", "x"),
    "nobody": None,
}
REFUSED = {"bob": {403}, "wrong": {401}, "nobody": {401}, "elsewhere": {401}}
"""What those are answered who may not read it; `elsewhere` is a token of alice's for another repository."""


@dataclass
class Row:
    """What a tier is asked for when it holds so much, and what alice is answered."""

    state: str
    path: str
    alice: Collection[int]
    method: str = "GET"
    span: str = ""


def rows(
    state: str, tag: str, blob: Collection[int], far: Collection[int], named: Collection[int] = (200,)
) -> list[Row]:
    """`blob`: of the layer, as a whole or in its head; `far`: of its end; `named`: of what names it."""
    layer = f"blobs/{Digest.of(LAYERS[tag])}"
    return [
        Row(state, f"manifests/{tag}", named),
        Row(state, f"manifests/{Digest.of(MANIFESTS[tag])}", named, "HEAD"),
        Row(state, layer, gone_or(blob), "HEAD"),
        Row(state, layer, far, span=f"bytes={8 * MIB - 10}-{8 * MIB - 1}"),
        Row(state, layer, blob),
    ]


def gone_or(blob: Collection[int]) -> Collection[int]:
    """What HEAD of a blob is answered that GET is answered so: its length is known where a byte of it is held."""
    return GONE if set(blob) == GONE else {200}


@dataclass
class Tier:
    name: str
    node: Node
    tokens: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


@dataclass
class Tree:
    client: aiohttp.ClientSession
    origin: Node
    tiers: list[Tier]
    other: Node
    """A server of the site on the bucket: what it brings there, clients of the first are sent to."""

    bucket: S3Store

    async def sent(self) -> bool:
        """Whether the other server has brought the layer to the bucket."""
        keys = [each.key async for page in self.bucket.control.list("") for each in page.objects]
        return any(Digest.of(LAYERS["whole"]).hex in key for key in keys)

    async def ask(self, node: Node, path: str, who: str | None, row: Row | None = None) -> tuple[int, str]:
        """Status, or CUT, and where the client is sent to."""
        headers = {"Authorization": who} if who else {}
        headers |= {"Range": row.span} if row and row.span else {}
        method = row.method if row else "GET"
        async with self.client.request(
            method, node.url + path, headers=headers, allow_redirects=False
        ) as answer:
            try:
                await answer.read()
            except aiohttp.ClientPayloadError:
                return CUT, ""
            return answer.status, answer.headers.get("Location", "")

    async def check(self, tier: Tier, table: list[Row]) -> None:
        """Those first who may not read it: they are answered without anything being fetched."""
        for row in table:
            who = {**LOGINS, "elsewhere": tier.tokens["elsewhere"]}
            for name in (*REFUSED, "alice"):
                wanted = row.alice if name == "alice" else REFUSED[name]
                status, sent_to = await self.ask(tier.node, f"/v2/team/app/{row.path}", who[name], row)
                if status not in wanted or (sent_to and name != "alice"):
                    tier.wrong.append(f"{tier.name} {row} {name}: {status} {sent_to}")
                if row.path.startswith("manifests/") and ":" not in row.path:
                    continue
                status, sent_to = await self.ask(tier.node, f"/v2/public/other/{row.path}", who[name], row)
                if status not in ((401,) if name == "wrong" else (404, 503, 504)) or sent_to:
                    tier.wrong.append(f"{tier.name} {row} {name} by another name: {status} {sent_to}")


@pytest_asyncio.fixture
async def tree(bucket: Bucket, bucket_keys: None, tmp_path: Path) -> AsyncIterator[Tree]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(aiohttp.ClientSession())
        access = {
            "anonymous": "nothing",
            "authenticated": "push",
            "users": users(tmp_path, "pusher", "below"),
        }
        origin = await stack.enter_async_context(
            running(config(tmp_path / "origin", "origin", registry=REGISTRY, access=access))
        )
        await push(client, origin)
        (tmp_path / "policies").mkdir()
        (tmp_path / "policies" / "p.yaml").write_text(POLICY)
        (tmp_path / "rules").mkdir()
        (tmp_path / "rules" / "r.yaml").write_text(
            "schema: registry-mesh/rules/1\nrules:\n"
            f"  - {{name: all, from: {REGISTRY}, repos: ['team/**', 'public/**'], tags: ['*']}}\n"
        )
        below = {"parents": [[origin.url]], "credentials": login(tmp_path, "below")}
        logins = users(tmp_path / "logins", "alice", "bob", "site")
        own = {"policies": str(tmp_path / "policies"), "users": logins}

        async def start(name: str, role: str, parent: Mapping[str, Any], **more: Any) -> Tier:
            known = {**parent, "tags": {"ttl": "1h"}} if role == "site" else parent
            node = running(config(tmp_path / name, role, registries={REGISTRY: known}, access=own, **more))
            return Tier(name, await stack.enter_async_context(node))

        prefix = bucket.prefix()

        def bucket_store(name: str) -> dict[str, Any]:
            return s3_of(
                bucket, f"{prefix}{name[0]}/", tmp_path / f"{name}.spool" if name != "replica" else None
            )

        rules: dict[str, Any] = {"rules": str(tmp_path / "rules"), "replication": {"interval": "1s"}}
        replica = await start("replica", "replica", below, **rules)
        of_replica = {"parents": [[replica.node.url]], "credentials": login(tmp_path, "site")}
        tiers = [
            replica,
            await start("replica-bucket", "replica", below, **rules, store=bucket_store("replica")),
            await start("site", "site", of_replica),
            await start("site-bucket", "site", of_replica, store=bucket_store("site")),
        ]
        other = await start("site-other", "site", of_replica, store=bucket_store("site-other"))
        credentials = S3Credentials(bucket.access_key, bucket.secret_key)
        of_site = S3Settings(
            bucket.name, bucket.endpoint, f"{prefix}s/", region=bucket.region, credentials=credentials
        )
        store = await S3Store.start(of_site)
        stack.push_async_callback(store.close)
        yield Tree(client, origin, tiers, other.node, store)


def s3_of(bucket: Bucket, prefix: str, spool: Path | None) -> dict[str, Any]:
    s3 = {
        "bucket": bucket.name,
        "endpoint": bucket.endpoint,
        "region": bucket.region,
        "prefix": prefix,
    }
    more = {"redirect": "blobs", "redirect_min": "1MiB"}
    return {"s3": s3 | more | ({"spool": {"path": str(spool)}} if spool else {})}


async def push(client: aiohttp.ClientSession, origin: Node) -> None:
    headers = {"Authorization": basic("pusher", "pusher")}
    for data in (CONFIG, *LAYERS.values()):
        path = f"{origin.url}/v2/team/app/blobs/uploads/?digest={Digest.of(data)}"
        async with client.post(path, data=data, headers=headers) as answer:
            assert answer.status == 201
    for tag, manifest in MANIFESTS.items():
        path = f"{origin.url}/v2/team/app/manifests/{tag}"
        async with client.put(path, data=manifest, headers=headers | {"Content-Type": OCI}) as answer:
            assert answer.status == 201


async def test_the_caller_s_rights_alone_decide(tree: Tree) -> None:
    replica, replica_on_bucket, site, site_on_bucket = tree.tiers

    async def until(node: Node, path: str, status: int, **fields: str) -> None:
        async def said() -> int:
            headers = {name.replace("_", "-"): value for name, value in fields.items()} | {
                "Authorization": ALICE
            }
            async with tree.client.get(f"{node.url}/v2/team/app/{path}", headers=headers) as answer:
                return answer.status

        await eventually(said, path, 60, pause=0.1, until=lambda now: now == status)

    for each in (replica, replica_on_bucket):
        for tag in LAYERS:
            await until(each.node, f"manifests/{tag}", 200)
    for tier in tree.tiers:
        url = f"{tier.node.url}/token?scope=repository:public/other:pull"
        async with tree.client.get(url, headers={"Authorization": ALICE}) as answer:
            tier.tokens["elsewhere"] = "Bearer " + (await answer.json())["token"]

    whole = f"blobs/{Digest.of(LAYERS['whole'])}"
    for tier in (replica, site):
        await tree.check(tier, rows("never asked for", "whole", {200}, {206}))
        await tree.check(tier, rows("held", "whole", {200}, {206}))
    assert (await tree.ask(tree.other, f"/v2/team/app/{whole}", ALICE))[0] == 200
    await eventually(tree.sent, "the other server's copy in the bucket", 60, pause=0.1)
    for tier in (replica_on_bucket, site_on_bucket):
        await tree.check(tier, rows("in the bucket", "whole", {307}, {206, 307}))
    for tier in (site, site_on_bucket):
        part = Row("", f"blobs/{Digest.of(LAYERS['part'])}", (), span="bytes=0-9")
        assert (await tree.ask(tier.node, "/v2/team/app/manifests/part", ALICE))[0] == 200
        assert (await tree.ask(tier.node, f"/v2/team/app/{part.path}", ALICE, part))[0] == 206
        assert (await tree.ask(tier.node, "/v2/team/app/manifests/cold", ALICE))[0] == 200

    await tree.origin.close()
    await replica.node.close()
    for tier in (replica_on_bucket, site, site_on_bucket):
        blob = {307} if tier is not site else {200}
        await tree.check(tier, rows("held, offline", "whole", blob, {206, *blob}))
    for tier in (site, site_on_bucket):
        await tree.check(tier, rows("a part, offline", "part", {CUT, *GONE}, GONE))
        await tree.check(tier, rows("no part, offline", "cold", GONE, GONE))
    assert [line for tier in tree.tiers for line in tier.wrong] == []
