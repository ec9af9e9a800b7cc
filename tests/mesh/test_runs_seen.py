"""Runs of rules are seen: which goes on, by rule and by image; the last ones, and why some failed."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner

from registry_mesh.assembly.node.build import Node, running
from registry_mesh.cli.main import main
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.webhooks.signature import headers, key_of
from tests.assembly.runs.test_announced import KEY, event
from tests.eventually import eventually
from tests.simulators.cloud import CLOUD, Cloud, cloud_of
from tests.simulators.clouds import Amazon, Harbor
from tests.simulators.gateway import Pass
from tests.simulators.images import HOST, Content, random_bytes
from tests.simulators.replica_tree import ReplicaTree, replica_tree

CHUNK = 8 << 20


@dataclass
class World:
    tree: ReplicaTree
    cloud: Cloud
    node: Node

    async def asked(self, path: str) -> Any:  # Any: JSON
        async with self.tree.client.get(self.node.admin_url + path) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json() if path != "/metrics" else await answer.text()

    async def runs(self) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = (await self.asked("/api/1/runs"))["runs"]
        return told

    async def post(self, body: bytes = b"", **fields: str) -> None:
        url = self.node.admin_url + "/api/1/runs"
        async with self.tree.client.post(url, data=body, headers=fields) as answer:
            assert answer.status == 202

    async def ended(self, count: int) -> list[dict[str, Any]]:
        async def are() -> bool:
            return [each["ended"] is not None for each in await self.runs()] == [True] * count

        await eventually(are, f"{count} runs have ended", 60)
        return await self.runs()


@asynccontextmanager
async def a_world(there: str, directory: Path, cloud: Cloud) -> AsyncIterator[World]:
    """A replica that pushes `a` and `b` out, and has a login for that."""
    async with replica_tree(directory) as tree:
        (directory / "key").write_text(KEY)
        (directory / "login").write_text("AWS:one")
        for name in ("key", "login"):
            (directory / name).chmod(0o600)
        for name in ("a", "b"):
            content = Content()
            layer = random_bytes(f"{name} {cloud.folder}", (2 * CHUNK if name == "a" else 0) + 17)
            content.image(f"{name} {cloud.folder}", "v1", layers=[layer])
            await tree.push(name, content)
        (directory / "rules").mkdir()
        rules = "".join(
            f"  - {{name: out-{name}, from: {HOST}, repos: {name}, tags: v1, {cloud.to()}}}\n"
            for name in ("a", "b")
        )
        (directory / "rules" / "out.yaml").write_text(f"schema: registry-mesh/rules/2\nrules:\n{rules}")
        to = {"parents": [[cloud.gateway.url]], "push": True, "credentials": f"file:{directory / 'login'}"}
        config = tree.replica_config(more_registries={CLOUD: to}, webhook_secret=f"file:{directory / 'key'}")
        async with running(config) as node:
            yield World(tree, cloud, node)


async def test_a_run_that_goes_on_is_seen_by_rule_and_by_image(there: str, tmp_path: Path) -> None:
    async with cloud_of(there) as cloud:
        seen: list[dict[str, Any]] = []
        made: list[World] = []

        async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
            if request.method == "PATCH" and len(cloud.asked("PATCH")) == 2 and made:
                seen.append(await made[0].asked("/api/1/runs"))
                seen.append(await made[0].asked("/status"))
            return await ask()

        cloud.gateway.ill = _shut
        async with a_world(there, tmp_path, cloud) as world:
            made.append(world)
            await world.ended(1)
            cloud.gateway.seen.clear()
            cloud.gateway.ill = ill
            await world.post()
            await world.ended(2)
        now, status = seen[0]["under_way"], seen[1]["replication"]
        (image,) = [each for each in now["images"] if each["image"] == f"{HOST}/a:v1"]
        assert image["to"] == f"{CLOUD}/{cloud.folder}/a"
        assert image["bytes"] - image["bytes_left"] >= CHUNK
        assert 0 < image["bytes_left"] < image["bytes"]
        assert (now["trigger"], now["phase"], now["images_in_all"]) == ("hand", "copying", len(now["images"]))
        (rule,) = [each for each in now["rules"] if each["rule"] == "out-a"]
        assert rule["bytes_left"] == image["bytes_left"]
        assert {"bytes_per_second", "eta_seconds"} <= rule.keys() & image.keys()
        assert [each["image"] for each in status["images"]] == [each["image"] for each in now["images"]]
        assert [each["ended"] is None for each in seen[0]["runs"]] == [True, False]


async def _shut(request: web.Request, body: bytes, ask: Pass) -> web.Response:
    return await ask() if request.method in ("GET", "HEAD") else web.Response(status=501)


async def test_runs_by_schedule_by_hand_and_on_a_push_are_listed(there: str, tmp_path: Path) -> None:
    async with cloud_of(there) as cloud, a_world(there, tmp_path, cloud) as world:
        await world.ended(1)
        await world.post()
        await world.ended(2)
        body = event("b")
        await world.post(body, **headers(key_of(KEY), "e1", int(time.time()), body))
        runs = await world.ended(3)
        assert [(each["trigger"], each["complete"]) for each in runs] == [
            ("push", True),
            ("hand", True),
            ("schedule", True),
        ]
        assert [rule["left"] for each in runs for rule in each["rules"].values()] == [0] * 5
        assert (await world.asked("/api/1/runs"))["under_way"] is None
        assert len((await world.asked("/api/1/runs?limit=2"))["runs"]) == 2
        shown = await asyncio.to_thread(
            CliRunner().invoke, main, ["runs", str(world.tree.replica_path), "--format", "json"]
        )
        assert json.loads(shown.stdout) == runs
        for wrong in ("0", "101", "x", "²"):
            async with world.tree.client.get(world.node.admin_url + f"/api/1/runs?limit={wrong}") as answer:
                assert answer.status == 400


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda cloud: Amazon(cloud, over={"one"}), "Your authorization token has expired"),
        (lambda cloud: Amazon(cloud, made=("b",)), "is to be made there before it can be pushed to"),
        (lambda cloud: Amazon(cloud, password="another"), "this node's login (file:"),
        (lambda cloud: Harbor(cloud, full=True), "adding 1 MiB of storage resource will exceed"),
    ],
)  # fmt: skip
async def test_why_a_push_failed_is_in_the_history_the_status_a_metric_and_the_log(
    made: Any, words: str, there: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with cloud_of(there) as cloud:
        cloud.gateway.ill = made(cloud)
        with caplog.at_level(logging.INFO):
            async with a_world(there, tmp_path, cloud) as world:
                (run,) = await world.ended(1)
                assert (run["complete"], run["failed"] > 0) == (False, True)
                assert any(words in each for each in run["troubles"]), run["troubles"]

                async def is_told() -> bool:
                    return (await world.asked("/status"))["replication"]["last"] is not None

                await eventually(is_told, "the run is told")
                last = (await world.asked("/status"))["replication"]["last"]
                assert any(words in each for each in last["troubles"])
                metrics = await world.asked("/metrics")
                failed = [
                    each
                    for each in metrics.splitlines()
                    if "replications_total{" in each and "failed" in each
                ]
                assert [each.rpartition(" ")[2] for each in failed] == ["1.0"], failed
        (line,) = [each for each in caplog.records if each.getMessage() == "replication incomplete"]
        assert any(words in each for each in getattr(line, FIELDS)["why"])
