"""`registry-mesh rules record`, the plan made of it, and the run that followed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from registry_mesh.assembly.runs.replicator import open_replicator
from registry_mesh.cli.main import main
from tests.simulators.images import HOST, Content, random_bytes
from tests.simulators.replica_tree import replica_tree


async def rules(*arguments: str, command: str = "rules") -> str:
    result = await asyncio.to_thread(CliRunner().invoke, main, [command, *arguments])
    assert result.exit_code == 0, result.output
    return result.output


async def test_a_run_moves_what_the_plan_said_to_the_byte(tmp_path: Path) -> None:
    async with replica_tree(tmp_path) as tree:
        content, shared = Content(), random_bytes("shared", 50_000)
        children = {p: content.image(p, layers=[shared]) for p in ("linux/amd64", "linux/arm64")}
        content.index(children, "multi")
        content.image("one", "one", layers=[shared])
        content.image("old", "old")
        await tree.push("app", content)
        config, path = tree.replica_config(), str(tree.replica_path)
        folder = str(tree.directory / "rules")
        seen, held = str(tmp_path / "seen.jsonl"), str(tmp_path / "held.jsonl")

        async def planned() -> dict[str, Any]:
            await rules("record", path, "--listing", seen, "--held", held)
            plan = await rules("plan", folder, "--listing", seen, "--held", held, "--format", "json")
            return dict(json.loads(plan))

        tree.write_rules({"repos": ["app"], "tags": ["old"]})
        async with open_replicator(config) as replicator:
            first = await planned()
            assert first["totals"]["bytes"] == (await replicator.run()).size > 0
            tree.write_rules({"repos": ["app"], "platforms": ["linux/amd64"]})
            second = await planned()
            before = sorted(map(str, (tree.directory / "replica").rglob("*")))
            now = await rules("--plan", path, "--format", "json", command="replicate")
            told = json.loads(now)
            assert (told["steps"], told["totals"]) == (second["steps"], second["totals"])
            assert sorted(map(str, (tree.directory / "replica").rglob("*"))) == before
            assert [s["to"] for s in second["steps"]] == [f"{HOST}/app:multi", f"{HOST}/app:one"]
            outcome = await replicator.run()
            assert outcome.complete
            assert second["totals"]["bytes"] == outcome.size > 50_000
            now = await rules("--plan", path, "--format", "json", command="replicate")
            assert json.loads(now)["steps"] == []
            third = await planned()
            assert (third["steps"], third["totals"]["bytes"]) == ([], 0)
