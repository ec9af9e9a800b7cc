"""A site that brings ahead of time what rules which name it take, and serves it when its parents are gone."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from registry_mesh.assembly.node.build import running
from registry_mesh.assembly.runs.preloading import Preloader
from registry_mesh.assembly.sources.storage import open_storage
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.schema import Config
from registry_mesh.content.holdings.pins import Pins
from registry_mesh.content.holdings.preload import Meter
from registry_mesh.content.holdings.preloaded import preloaded
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCI_INDEX, OCI_MANIFEST
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.ports.place import Place
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.webhooks.signature import headers, key_of
from tests.assembly.runs.test_announced import KEY, event
from tests.eventually import eventually
from tests.simulators.images import HOST, Content, random_bytes
from tests.simulators.replica_tree import ReplicaTree, replica_tree
from tests.simulators.ruled_node import ruled_node


@dataclass
class World:
    tree: ReplicaTree
    folder: Path

    def config(self, *rules: str, **more: Any) -> Config:
        parents = {HOST: {"default": True, "parents": [[self.tree.link.url]]}}
        return ruled_node(self.tree, self.folder, "site", rules, name="t2-geneva", registries=parents, **more)

    async def run(self, config: Config) -> Meter:
        storage = await open_storage(config)
        try:
            async with Preloader(config, storage) as preloader:
                return await preloader.run()
        finally:
            await storage.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with replica_tree(tmp_path) as tree:
        yield World(tree, tmp_path)


async def test_what_rules_that_name_the_site_take_is_there_when_its_parents_are_gone(world: World) -> None:
    content = Content()
    kids = {p: content.image(p) for p in ("linux/amd64", "linux/arm64")}
    content.index(kids, "2.0")
    for tag in ("1.0", "1.1"):
        content.image(tag, tag)
    await world.tree.push("app", content)
    config = world.config(
        'repos: "*", tags: "semver: *", keep: 2, platforms: [linux/amd64], nodes: ["t2-*"]',
        'repos: "*", tags: "*", delete: 7d',
    )
    meter = await world.run(config)
    assert (meter.images, meter.images_done, meter.failed) == (2, 2, {})
    crossed = world.tree.link.counts.body_bytes
    again = await world.run(config)
    assert (again.images_done, world.tree.link.counts.body_bytes - crossed < 3_000) == (2, True)
    world.tree.link.conditions.refuse = True
    headers = {"Accept": f"{OCI_INDEX}, {OCI_MANIFEST}"}
    async with running(config) as site:
        here = {}
        for reference in ("2.0", "1.1", "1.0"):
            url = f"{site.url}/v2/app/manifests/{reference}"
            async with world.tree.client.get(url, headers=headers) as answer:
                here[reference] = answer.status == 200
        assert here == {"2.0": True, "1.1": True, "1.0": False}
        for blob in kids["linux/amd64"].blobs():
            async with world.tree.client.get(f"{site.url}/v2/app/blobs/{blob.digest}") as answer:
                assert await answer.read() == content.blobs[blob.digest]


async def test_a_node_preloads_by_itself_and_sees_new_rules(world: World) -> None:
    content = Content()
    content.image("one", "1")
    content.image("two", "2")
    await world.tree.push("app", content)
    config = world.config("repos: app, tags: '1', nodes: t2-geneva")
    async with running(config) as site:
        url = f"{site.admin_url}/api/1/images"

        async def held() -> set[str]:
            async with world.tree.client.get(url) as answer:
                return {each["name"].rpartition(":")[2] for each in (await answer.json())["images"]}

        async def first() -> bool:
            return await held() == {"1"}

        async def both() -> bool:
            return await held() == {"1", "2"}

        await eventually(first, "the first rules' image")
        world.config("repos: app, tags: ['1', '2'], nodes: t2-geneva")
        await eventually(both, "the new rules' image")

        async def told() -> list[str]:
            async with world.tree.client.get(f"{site.admin_url}/api/1/findings") as answer:
                found = (await answer.json())["findings"]
            return [" ".join(each["evidence"]) for each in found if each["name"] == "rules-invalid"]

        async def faulty() -> bool:
            return any("keeps" in each for each in await told())

        world.config("repos: app, tags: '1', nodes: t2-geneva, keeps: 1")
        await eventually(faulty, "the finding of rules that are not taken")


async def test_rules_that_become_invalid_are_told_once_and_the_last_valid_ones_go_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    content = Content()
    content.image("one", "1")
    await world.tree.push("app", content)
    config = world.config("repos: app, tags: '1', nodes: t2-geneva")
    storage = await open_storage(config)
    try:
        async with Preloader(config, storage) as preloader:
            await preloader.run()
            world.config("repos: app, tags: '1', nodes: t2-geneva, keeps: 1")
            for _ in range(2):
                assert (await preloader.run()).images_done == 1
    finally:
        await storage.close()
    (said,) = [each for each in caplog.records if each.message == "rules cannot be used"]
    assert "keeps" in str(getattr(said, FIELDS)["why"])


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("delete: 7d", "a site makes room by itself: it does not do delete"),
        ("fixed: '*'", "a site tells its clients what its parents say of a tag: it does not do fixed"),
        ('to: "x/{repo}"', "a site serves under the names of its registries: it does not do to"),
        ("verify: team", "a site brings what rules take, whoever signed it: it does not do verify"),
        ("budget: 1MiB/s", "at the pace of the link: it does not do budget"),
    ],
)
async def test_what_a_site_does_not_do_is_refused(key: str, told: str, world: World) -> None:
    with pytest.raises(ConfigInvalid, match=told):
        await world.run(world.config(f"repos: app, tags: '1', nodes: t2-geneva, {key}"))


def closed_now() -> str:
    """A window of one hour that begins in six."""
    begins = (int(time.time()) // 3600 + 6) % 24
    return f"{begins:02}:00-{(begins + 1) % 24:02}:00 UTC"


KEYS = {
    "plain": ("", {"1", "2"}),
    "types": ("types: chart", set()),
    "labels": ("labels: {tier: prod}", {"2"}),
    "max": ("max: 10KiB", {"2"}),
    "age": ("age: 3d", set()),
    "seen": ("keep: {newest: 1, by: seen}", {"1"}),
    "every": ("every: manual", set()),
    "when": (f'when: "{closed_now()}"', set()),
    "metadata": ("data: metadata", {"1", "2"}),
    "later": ("data: on-demand", {"1", "2"}),
    "held": ("hold: 30d", {"1", "2"}),
    "none": ("with: none", {"1", "2"}),
    "sif": ("with: none, variants: sif", {"1", "2"}),
}
"""By repository what its rule says besides, and the tags that come of two images."""


async def test_keys_of_rules_say_what_comes(world: World) -> None:
    images: dict[str, dict[str, Manifest]] = {}
    for name in KEYS:
        content = Content()
        images[name] = {
            "1": content.image(f"{name}1", "1", layers=[random_bytes(name, 20_000)]),
            "2": content.image(f"{name}2", "2", labels={"tier": "prod"}),
        }
        images[name]["referrer"] = content.image(f"{name}3", subject=images[name]["1"])
        await world.tree.push(name, content)
    rules = [
        f"repos: {name}, tags: '*', nodes: 't2-*', {key}".rstrip(", ") for name, (key, _) in KEYS.items()
    ]
    config = world.config(*rules, 'repos: denied, tags: "*", nodes: "t2-*"')
    denied = Content()
    denied.image("denied", "1")
    await world.tree.push("denied", denied)
    rules_file = Path(config.rules or "") / "r.yaml"
    rules_file.write_text(f"{rules_file.read_text()}deny: [{{from: {HOST}, repos: denied}}]\n")
    meter = await world.run(config)
    assert list(meter.failed) == [f"{HOST}/max"]
    storage = await open_storage(config)
    try:

        async def came(name: str) -> set[str]:
            return set(await preloaded(storage.records, Place(HOST, RepositoryName(name))))

        async def here(image: Manifest) -> bool:
            try:
                return (await storage.blobs.stat(image.layers[0].digest)).size > 0
            except BlobUnknown:
                return False

        assert {name: await came(name) for name in KEYS} == {name: tags for name, (_, tags) in KEYS.items()}
        assert await came("denied") == set()
        whole = {name: await here(images[name]["2"]) for name in KEYS}
        assert {name for name, is_here in whole.items() if is_here} == {
            "plain", "labels", "max", "held", "none", "sif",
        }  # fmt: skip
        referrers = {name for name in KEYS if await here(images[name]["referrer"])}
        assert referrers == {"plain", "seen", "held"}
        pins = {(pin.place.repository, pin.tag) async for pin in Pins(storage.records).all(time.time())}
        assert pins == {("held", "1"), ("held", "2")}
    finally:
        await storage.close()


async def test_its_runs_are_asked_for_and_listed_failed_ones_and_why(world: World) -> None:
    content = Content()
    content.image("one", "1")
    await world.tree.push("app", content)
    (world.folder / "key").write_text(KEY)
    (world.folder / "key").chmod(0o600)
    secret = {"interval": "1h", "webhook_secret": f"file:{world.folder / 'key'}"}
    config = world.config("repos: app, tags: '*', nodes: t2-geneva", replication=secret)
    async with running(config) as site:
        url = f"{site.admin_url}/api/1/runs"

        async def listed() -> list[dict[str, Any]]:
            async with world.tree.client.get(url) as answer:
                return [each for each in (await answer.json())["runs"] if each["ended"] is not None]

        async def ended(count: int) -> None:
            async def are() -> bool:
                return len(await listed()) == count

            await eventually(are, f"{count} runs have ended", 60)

        async def asked(body: bytes = b"", **signed: str) -> int:
            async with world.tree.client.post(url, data=body, headers=signed) as answer:
                return answer.status

        await ended(1)
        assert await asked() == 202
        await ended(2)
        body = event("app")
        assert await asked(body, **headers(key_of(KEY), "e1", int(time.time()), body)) == 202
        await ended(3)
        world.tree.link.conditions.status = 403
        assert await asked() == 202
        await ended(4)
        runs = await listed()
        assert [(each["trigger"], each["complete"]) for each in runs] == [
            ("hand", False),
            ("push", True),
            ("hand", True),
            ("schedule", True),
        ]
        assert any("answered 403" in each for each in runs[0]["troubles"])
        assert [rule["held"] for each in runs[1:] for rule in each["rules"].values()] == [1, 1, 1]
