"""A replica of a real origin, and what its rules' plans say beside what its runs then do."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from registry_mesh.assembly.runs.replicator import open_replicator
from registry_mesh.cli.main import main
from registry_mesh.content.snapshot.records.outcome import Outcome
from registry_mesh.oci.reference import Tag
from registry_mesh.replication.wanted import is_companion
from tests.simulators.cloud import CLOUD
from tests.simulators.origin_node import running_origin
from tests.simulators.replica_tree import ReplicaTree, replica_tree
from tests.simulators.signatures import Cosign

Document = dict[str, Any]
_REFUSED = re.compile(r"answered 400 to manifest (\S+): MANIFEST_BLOB_UNKNOWN")
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")
"""In a sentence: of what is seen first, that of the plan or of the run."""
State = dict[str, str]
"""Digests by reference."""


async def command(*arguments: str, codes: tuple[int, ...] = (0,)) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, main, arguments, catch_exceptions=False)
    assert result.exit_code in codes, (arguments, result.output)
    return result.stdout


@dataclass
class Ruled:
    """A replica that keeps what its rules take, and pushes out to a second origin."""

    tree: ReplicaTree
    cloud: str
    signer: Cosign

    @property
    def rules(self) -> Path:
        return self.tree.directory / "rules"

    def path(self, name: str) -> str:
        return str(self.tree.directory / name)

    async def record(self, rules: Path | None = None, name: str = "seen.jsonl") -> str:
        """What the sources show, as `rules` look at them; and what is held."""
        branch = ["--rules", str(rules)] if rules is not None else []
        config, seen = str(self.tree.replica_path), self.path(name)
        await command(
            "rules", "record", config, *branch, "--listing", seen, "--held", self.path("held.jsonl")
        )
        return seen

    async def plan(self, *more: str, rules: Path | None = None) -> str:
        files = (str(rules or self.rules), "--listing", self.path("seen.jsonl"), "--node", "replica")
        return await command("rules", "plan", *files, *more, codes=(0, 1, 3))

    async def planned(self) -> Document:
        await self.record()
        told = await self.plan("--held", self.path("held.jsonl"), "--format", "json")
        return dict(json.loads(told))

    async def live(self) -> Document:
        told = await command(
            "replicate", "--plan", str(self.tree.replica_path), "--format", "json", codes=(0, 1, 3)
        )
        return dict(json.loads(told))

    async def run(self) -> Outcome:
        config = self.tree.replica_config(**self.settings)
        async with open_replicator(config) as replicator:
            return await replicator.run(by_hand=True)

    @property
    def settings(self) -> Document:
        return {
            "keys": {"team": {"cosign": str(self.tree.directory / "team.pub")}},
            "more_registries": {CLOUD: {"parents": [[self.cloud]], "push": True}},
        }

    async def standing(self) -> State:
        """All tags that the replica has, and those at the registry that it pushes to; without companions."""
        await command("rules", "record", str(self.tree.replica_path), "--held", self.path("after.jsonl"))
        found: State = {}
        for line in Path(self.path("after.jsonl")).read_text().splitlines()[1:]:
            told = json.loads(line)
            if told.get("registry", CLOUD) != CLOUD:  # else it is of no repository, or out there
                place = f"{told['registry']}/{told['repository']}"
                found |= {f"{place}:{tag}": each["digest"] for tag, each in told["tags"].items()}
        return {ref: each for ref, each in (found | await self._pushed()).items() if is_tag(ref)}

    async def _pushed(self) -> State:
        found: State = {}
        async with self.tree.client.get(f"{self.cloud}/v2/_catalog") as answer:
            names = (await answer.json())["repositories"]
        for name in names:
            async with self.tree.client.get(f"{self.cloud}/v2/{name}/tags/list") as answer:
                tags = (await answer.json())["tags"] or []
            for tag in tags:
                async with self.tree.client.head(f"{self.cloud}/v2/{name}/manifests/{tag}") as answer:
                    found[f"{CLOUD}/{name}:{tag}"] = answer.headers["Docker-Content-Digest"]
        return found

    def sent(self) -> int:
        """Bytes of blobs that the origin sent since the counts were reset."""
        passed = self.tree.link.counts.passed
        return sum(x.body_bytes for x in passed if "/blobs/" in x.target and x.method == "GET")


def is_tag(ref: str) -> bool:
    return not is_companion(Tag(ref.rpartition(":")[2]))


def after(before: State, plan: Document) -> State:
    """What is there when all steps of a plan are done."""
    found = dict(before)
    for step in plan["steps"]:
        if step["do"] == "delete":
            found.pop(step["to"], None)
        elif is_tag(step["to"]):
            found[step["to"]] = step["digest"]
    return found


def differences(
    plan: Document, before: State, done: State, outcome: Outcome, sent: int, reads_more: bool
) -> list[str]:
    """What the run did otherwise than the plan said. `reads_more`: signatures and configs, besides what it brings."""
    found = []
    expected, turned_away = after(before, plan), refused_there(outcome)
    for ref in sorted(expected.keys() | done.keys()):
        if expected.get(ref) != done.get(ref) and expected.get(ref) not in turned_away:
            told = (before.get(ref), expected.get(ref), done.get(ref))
            found.append(f"{ref} was {told[0]}, planned {told[1]}, is {told[2]}")
    pushes = any(each["do"] == "push" for each in plan["steps"])  # what is there already is known in part
    planned = plan["totals"]["bytes"]
    if not pushes and (planned != outcome.size or (not reads_more and sent != outcome.size)):
        found.append(f"bytes: planned {plan['totals']['bytes']}, moved {outcome.size}, sent {sent}")
    if plan["totals"]["delete"] != outcome.deleted:
        found.append(f"deleted: planned {plan['totals']['delete']}, were {outcome.deleted}")
    if any(step["do"] == "delete" and not step["rules"] for step in plan["steps"]):
        found.append("a deletion names no rule")
    return [*found, *_words(plan, outcome)]


def refused_there(outcome: Outcome) -> set[str]:
    """Indexes that the registry out there refuses, for rules left out some of their images: no plan knows that."""
    refused = (_REFUSED.search(each.why) for each in outcome.troubles)
    return {each[1] for each in refused if each}


def _words(plan: Document, outcome: Outcome) -> list[str]:
    """Which sentences one says and not the other."""
    whys = {each.why for each in outcome.troubles if not _REFUSED.search(each.why)}
    said = whys | set(outcome.notes)
    refused = {each["because"] for each in plan["refused"]}
    conflicts = {each["because"] for each in plan["conflicts"]}
    found = [f"refused, and not by the run: {each}" for each in sorted(refused - said)]
    found += [
        f"conflict, and not at the run: {c}" for c in sorted(conflicts) if not any(c in s for s in said)
    ]
    guarded = {each.why for each in outcome.troubles if "the guard is" in each.why}
    found += [f"the run alone: {each}" for each in sorted(whys - refused - conflicts - guarded)]
    timeless = {_TIME.sub("then", each) for each in said}
    for each in plan["waiting"]:
        if " shows " in each["because"] and _TIME.sub("then", each["because"]) not in timeless:
            found.append(f"waits, and not at the run: {each['because']}")
    return found


def of_text(text: str) -> list[int]:
    """Counts of the last row of a plan as text: copies and pushes, moves, waits, deletions, refusals."""
    row = next(line for line in text.splitlines() if re.match(r"all\s", line))
    return [int(each) for each in row.split()[1:6]]


def of_json(plan: Document) -> list[int]:
    t = plan["totals"]
    return [t["copy"] + t["push"], t["move"], t["wait"], t["delete"], t["refuse"]]


@asynccontextmanager
async def ruled(folder: Path) -> AsyncIterator[Ruled]:
    async with running_origin("cloud", folder, CLOUD) as cloud, replica_tree(folder) as tree:
        one = Ruled(tree, cloud.url, Cosign())
        (folder / "team.pub").write_bytes(one.signer.pem)
        tree.replica_config(**one.settings)
        yield one
