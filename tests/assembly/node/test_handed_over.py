"""Runs and preloads that a reload, or a restart, meets on their way: none loses its place, and the history says so."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from registry_mesh.content.snapshot.records.history import HANDED, KILLED, Run, RunHistory
from registry_mesh.stores.disk.storage import records_below
from tests.clients import nodes, programs
from tests.eventually import eventually
from tests.simulators.images import HOST, Content, random_bytes
from tests.simulators.replica_tree import ReplicaTree, replica_tree

SIZE = 12 << 20
SLOW, SLOWEST = 2e6, 2e5
"""Bytes a second, until some is here, and from then on: what is on its way stays on its way, until the
link is as fast as it can be."""


@dataclass
class World:
    """A node below an origin, with a link between them."""

    tree: ReplicaTree
    node: nodes.Node

    async def push(self, name: str) -> None:
        content = Content()
        content.image(name, "1", layers=[random_bytes(name, SIZE)])
        await self.tree.push(name, content)

    async def asked(self, path: str, **more: Any) -> Any:
        method = "POST" if "data" in more else "GET"
        async with self.tree.client.request(method, self.node.admin + path, **more) as answer:
            return await answer.json()

    async def generation(self) -> int:
        return int((await self.asked("/status"))["generation"])

    async def reload(self) -> None:
        before = await self.generation()
        assert self.node.process is not None
        self.node.process.send_signal(signal.SIGHUP)
        await eventually(self.generation, "the new processes to serve", until=lambda now: now == before + 1)

    def crossed(self) -> int:
        """Bytes that came over the link since it was last reset."""
        return self.tree.link.counts.body_bytes

    async def handed(self) -> None:
        """Wait until the process that is replaced has left its run to the next."""
        await eventually(
            self.runs, "a run to be left", until=lambda runs: any(run.why == HANDED for run in runs)
        )

    async def half(self) -> None:
        """Wait until much is here, and much is not, nor soon."""
        await eventually(lambda: self.crossed() > SIZE // 4, "some of it to come")
        self.tree.link.conditions.rate = SLOWEST

    async def runs(self) -> list[Run]:
        """The newest first."""
        return list(await RunHistory(records_below(self.node.folder / "store")).read())[::-1]

    async def ended(self) -> list[Run]:
        """The history once its newest run is through."""
        return list(
            await eventually(self.runs, "a run to end", 60, until=lambda runs: runs and _is_through(runs[0]))
        )


def _is_through(run: Run) -> bool:
    return run.ended is not None and not run.why


@pytest.fixture
async def tree(tmp_path: Path) -> AsyncIterator[ReplicaTree]:
    async with replica_tree(tmp_path) as made:
        yield made


async def begun(tree: ReplicaTree, **config: Any) -> World:
    registries = {HOST: {"default": True, "parents": [[tree.link.url]]}}
    node = nodes.Node(tree.directory / "node", {"registries": registries, **config})
    await asyncio.to_thread(node.start)
    return World(tree, node)


@pytest.fixture
async def replica(tree: ReplicaTree) -> AsyncIterator[World]:
    """It runs its rules when it is told to, and not else."""
    tree.write_rules({"repos": ["*"]})
    rules = {"rules": str(tree.directory / "rules"), "replication": {"interval": "0s"}}
    world = await begun(tree, role="replica", **rules)
    yield world
    await asyncio.to_thread(world.node.stop)


@pytest.fixture
async def site(tree: ReplicaTree) -> AsyncIterator[World]:
    """It brings `ruled` by its rules."""
    tree.write_rules({"repos": ["ruled"], "nodes": ["node"]})
    document = tree.directory / "rules" / "rules.yaml"
    document.write_text(document.read_text().replace("rules/1", "rules/2"))
    world = await begun(
        tree, role="site", rules=str(tree.directory / "rules"), replication={"interval": "1h"}
    )
    yield world
    await asyncio.to_thread(world.node.stop)


async def test_a_run_that_somebody_asked_for_is_gone_on_with_after_a_reload(replica: World) -> None:
    await replica.push("app")
    replica.tree.link.conditions.rate = SLOW
    assert await replica.asked("/api/1/runs", data=b"") == {"asked": "all"}
    await replica.half()
    await replica.reload()
    await replica.handed()
    replica.tree.link.conditions.rate = None
    second, first = await replica.ended()
    assert (first.trigger, first.why, first.complete) == ("hand", HANDED, False)
    assert first.bytes > 0 and first.tags == 1
    assert (second.trigger, second.goes_on, second.complete, second.held) == ("hand", first.began, True, 1)
    assert replica.crossed() < SIZE * 1.4, "what was here is not brought again"
    told = await asyncio.to_thread(programs.run, "runs", replica.node.config)
    newer, older = [line for line in told.stdout.splitlines() if line.startswith("2")]
    assert "  hand (goes on with 2" in newer and "  complete in " in newer
    assert "  hand  broke off after " in older and older.endswith(HANDED)


async def test_a_push_that_was_told_outlives_a_process_that_is_killed(replica: World) -> None:
    await replica.push("app")
    event = {"data": {"registry": HOST, "repository": "app"}}
    replica.tree.link.conditions.rate = SLOW
    told = await replica.asked("/api/1/runs", data=json.dumps(event))
    assert told == {"asked": f"{HOST}/app"}
    await replica.half()
    await asyncio.to_thread(replica.node.kill)
    replica.tree.link.conditions.rate = None
    await asyncio.to_thread(replica.node.start)
    second, first = await replica.ended()
    assert (first.trigger, first.ended, first.why) == ("push", None, KILLED)
    assert (second.trigger, second.goes_on, second.complete) == ("push", first.began, True)
    await asyncio.to_thread(replica.node.stop)
    await asyncio.to_thread(replica.node.start)
    assert len(await replica.runs()) == 2, "it was done, and is not done again"


async def test_a_preload_that_somebody_waits_for_does_not_see_a_reload(site: World) -> None:
    await site.push("app")
    site.tree.link.conditions.rate = SLOW
    waiting = asyncio.create_task(asyncio.to_thread(programs.run, "preload", site.node.config, "app:1"))
    await site.half()
    await site.reload()
    site.tree.link.conditions.rate = SLOW
    await eventually(lambda: site.crossed() > SIZE * 0.9, "it to come on")
    site.tree.link.conditions.rate = None
    done = await waiting
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 of 1 images are here and proven")
    assert "is asked again" not in done.stderr
    assert site.crossed() < SIZE * 1.2


async def test_a_preload_that_somebody_waits_for_goes_on_after_a_restart_and_says_so(site: World) -> None:
    await site.push("app")
    site.tree.link.conditions.rate = SLOW
    waiting = asyncio.create_task(asyncio.to_thread(programs.run, "preload", site.node.config, "app:1"))
    await site.half()
    await asyncio.to_thread(site.node.kill)
    site.tree.link.conditions.rate = None
    await asyncio.to_thread(site.node.start)
    done = await waiting
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 of 1 images are here and proven")
    assert "the node's process ended; what came is kept, and the node is asked again" in done.stderr
    assert site.crossed() < SIZE * 1.4


async def test_what_rules_preload_is_gone_on_with_after_a_reload(site: World) -> None:
    await site.ended()  # there is nothing yet
    await site.push("ruled")
    site.tree.link.conditions.rate = SLOW / 4
    await site.reload()  # it runs at its start, which is some of the time
    await site.half()
    await site.reload()
    await site.handed()
    site.tree.link.conditions.rate = None
    second, first = (await site.ended())[:2]
    assert (first.why, first.complete, first.tags) == (HANDED, False, 1)
    assert (second.goes_on, second.complete, second.held) == (first.began, True, 1)
    assert site.crossed() < SIZE * 1.4
