"""A site that brings ahead of time what rules which name it take, and serves it when its parents are gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry_mesh.assembly.node.build import running
from registry_mesh.assembly.runs.preloading import Preloader
from registry_mesh.assembly.sources.storage import open_storage
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.schema import Config
from registry_mesh.content.holdings.preload import Meter
from registry_mesh.oci.media_types import OCI_INDEX, OCI_MANIFEST
from registry_mesh.telemetry.logs import FIELDS
from tests.eventually import eventually
from tests.simulators.images import HOST, Content
from tests.simulators.replica_tree import ReplicaTree, replica_tree
from tests.simulators.ruled_node import ruled_node


@dataclass
class World:
    tree: ReplicaTree
    folder: Path

    def config(self, *rules: str) -> Config:
        parents = {HOST: {"default": True, "parents": [[self.tree.link.url]]}}
        return ruled_node(self.tree, self.folder, "site", rules, name="t2-geneva", registries=parents)

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

        await eventually(first, "the first rules' image", 30)
        world.config("repos: app, tags: ['1', '2'], nodes: t2-geneva")
        await eventually(both, "the new rules' image", 30)

        async def told() -> list[str]:
            async with world.tree.client.get(f"{site.admin_url}/api/1/findings") as answer:
                found = (await answer.json())["findings"]
            return [" ".join(each["evidence"]) for each in found if each["name"] == "rules-invalid"]

        async def faulty() -> bool:
            return any("keeps" in each for each in await told())

        world.config("repos: app, tags: '1', nodes: t2-geneva, keeps: 1")
        await eventually(faulty, "the finding of rules that are not taken", 30)


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
    ("rule", "told"),
    [
        ("repos: app, tags: '1', nodes: t2-geneva, age: 3d", "this node does not do age yet"),
        (
            "repos: app, tags: '1', nodes: t2-geneva, keep: {newest: 1, by: seen}",
            "this node remembers no times",
        ),
    ],
)
async def test_what_a_site_does_not_do_is_refused(rule: str, told: str, world: World) -> None:
    with pytest.raises(ConfigInvalid, match=told):
        await world.run(world.config(rule))
