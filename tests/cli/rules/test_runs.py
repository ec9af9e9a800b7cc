"""`registry-mesh runs`: the history of runs, and what failed in them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from registry_mesh.assembly.runs.replicator import open_replicator
from registry_mesh.cli.main import main
from registry_mesh.content.snapshot.copying.progress import RuleProgress
from registry_mesh.content.snapshot.records.history import KEPT, Run, RunHistory
from registry_mesh.content.snapshot.records.outcome import Outcome, Trouble
from registry_mesh.stores.memory.store import MemoryStore
from tests.eventually import eventually
from tests.simulators.images import HOST, Content, random_bytes
from tests.simulators.replica_tree import replica_tree


async def runs(*arguments: str) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, main, ["runs", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


async def test_runs_are_shown_with_their_rules_and_what_failed(tmp_path: Path) -> None:
    async with replica_tree(tmp_path) as tree:
        content = Content()
        one = content.image("one", "1")
        bad = content.image("bad", "2")
        await tree.push("app", content)
        for path in (tree.directory / "origin" / "blobs").rglob(bad.layers[0].digest.hex + "*"):
            path.unlink()
        tree.write_rules({"repos": ["app"], "tags": ["1"]})
        config, path = tree.replica_config(), str(tree.replica_path)
        assert await runs(path) == "no run is known\n"
        async with open_replicator(config) as replicator:
            await replicator.run()
            tree.write_rules({"repos": ["app"], "tags": ["1"]}, {"repos": ["app"], "tags": ["2"]})
            await replicator.run(by_hand=True)
            status = replicator.status()
            assert [(each.rule, each.tags, each.held) for each in status.rules] == [
                ("rule-0", 1, 1),
                ("rule-1", 1, 0),
            ]
            assert [each.bytes_left for each in status.rules] == [0, bad.layers[0].size]
            large = Content()
            large.image("large", "3", layers=[random_bytes("large", 4_000_000)])
            await tree.push("app", large)
            tree.link.conditions.rate = 1e6
            tree.write_rules({"repos": ["app"], "tags": ["3"]})
            before = replicator.meter
            stopped = asyncio.create_task(replicator.run())
            await eventually(lambda: replicator.meter is not before and replicator.meter.size_done > 0)
            stopped.cancel()
            with pytest.raises(asyncio.CancelledError):
                await stopped
        told: list[dict[str, Any]] = json.loads(await runs(path, "--format", "json"))
        assert [(each["trigger"], each["complete"], each["why"]) for each in told] == [
            ("schedule", False, "stopped"),
            ("hand", False, ""),
            ("schedule", True, ""),
        ]
        size = sum(blob.size for blob in one.blobs())
        assert told[2]["rules"] == {"rule-0": {"tags": 1, "held": 1, "switched": 1, "bytes": size, "left": 0}}
        assert told[1]["rules"]["rule-0"] == {"tags": 1, "held": 1, "switched": 0, "bytes": 0, "left": 0}
        assert told[1]["rules"]["rule-1"]["left"] == bad.layers[0].size
        assert told[1]["rules"]["rule-1"]["held"] == 0 and told[1]["failed"] == 3
        assert any(each.startswith(f"{HOST}/app:2: ") for each in told[1]["troubles"])
        assert told[0]["rules"]["rule-0"]["left"] > 0
        lines = (await runs(path, "--limit", "2")).splitlines()
        assert "schedule  broke off after" in lines[0] and lines[0].endswith(": stopped")
        assert "hand  3 failed in" in lines[1] and "1 of 2 tags held, 0 switched, 0 deleted" in lines[1]
        assert any(line.startswith(f"  failed: {HOST}/app:2: ") for line in lines)
        (cut,) = [line for line in lines if line.startswith("  rule rule-1: ")]
        assert cut.endswith(" KiB left"), "what the rule could not bring"


async def test_so_many_are_kept_and_one_that_was_killed_has_no_end() -> None:
    records = MemoryStore().records
    history = RunHistory(records)
    for began in range(KEPT + 5):
        await history.note(Run(float(began), "schedule"))
        await history.note(Run(float(began), "schedule").broke_off("the store is full", began + 0.5))
    await history.note(Run(1e6, "hand"))
    known = await RunHistory(records).read()
    assert (len(known), known[0].began, known[-1].ended) == (KEPT, 6.0, None)
    assert known[-2].why == "the store is full"
    await records.put("receipts/runs.json", b"not json")
    assert await history.read() == ()


async def test_what_a_newer_version_says_besides_hides_no_run() -> None:
    records = MemoryStore().records
    run = Run(1.0, "hand", rules={"r": RuleProgress(tags=2)})
    await RunHistory(records).note(run)
    told = json.loads(await records.get("receipts/runs.json") or b"")
    told[0] |= {"later": 1}
    told[0]["rules"]["r"] |= {"later": 1}
    await records.put("receipts/runs.json", json.dumps(told).encode())
    assert await RunHistory(records).read() == (run,)


def test_no_trouble_is_kept_at_any_length() -> None:
    outcome = Outcome(0, 0, 0, 0, 0, (Trouble("a", "x" * 10**6),), ("y" * 10**6,))
    ended = Run(1.0, "hand").came_to(outcome, 2.0, {})
    assert max(map(len, (*ended.troubles, *ended.notes))) < 600
