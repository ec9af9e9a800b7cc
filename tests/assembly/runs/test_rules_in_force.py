"""The rules of a replica's folder while it changes, breaks, and is exchanged."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from registry_mesh.assembly.runs.replicator import HEEDED, open_replicator
from registry_mesh.assembly.runs.rules_in_force import RulesInForce
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import parse
from registry_mesh.config.schema import Config
from registry_mesh.stores.memory.store import MemoryStore
from tests.eventually import eventually
from tests.simulators.images import Content
from tests.simulators.replica_tree import replica_tree

RULES = "schema: registry-mesh/rules/2\nrules: [{name: %s, from: h.example, repos: a, tags: '1'}]\n"


def config_of(tmp_path: Path) -> Config:
    (tmp_path / "rules").mkdir(exist_ok=True)
    document = {
        "role": "replica",
        "name": "r1",
        "store": {"disk": {"path": str(tmp_path / "store")}},
        "registries": {"h.example": {"parents": [["http://127.0.0.1:1"]]}},
        "rules": str(tmp_path / "rules"),
    }
    return parse(json.dumps(document), "replica.yaml").config


def names(rules: object) -> list[str]:
    return [each.name for each in rules]  # type: ignore[attr-defined]


async def test_the_last_valid_rules_stay_in_force_also_after_a_restart(tmp_path: Path) -> None:
    config, records = config_of(tmp_path), MemoryStore().records
    file = tmp_path / "rules" / "a.yaml"
    file.write_text(RULES % "one")
    rules = RulesInForce(config, records, HEEDED, str(config.rules))
    assert names(await rules.read()) == ["one"]
    file.write_text("rules: [")
    assert names(await rules.read()) == ["one"]
    assert len(rules.faults) == 1 and rules.faults[0].startswith(f"{file}:2:1: ")
    since = rules.faults_since
    assert since > 0
    again = RulesInForce(config, records, HEEDED, str(config.rules))
    assert names(await again.read()) == ["one"]
    assert again.faults == rules.faults
    file.unlink()
    assert names(await rules.read()) == ["one"]
    assert "no rule files" in rules.faults[0] and rules.faults_since == since
    file.write_text(RULES % "two")
    assert names(await rules.read()) == ["two"]
    assert (rules.faults, rules.faults_since) == ((), 0.0)


async def test_all_faults_of_all_files_are_told(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    for name in "ab":
        (tmp_path / "rules" / f"{name}.yaml").write_text(RULES.replace("'1'", "1, age: x") % name)
    rules = RulesInForce(config, MemoryStore().records, HEEDED, str(config.rules))
    with pytest.raises(ConfigInvalid):
        await rules.read()
    assert [fault.split(": ")[0].rpartition("/")[2] for fault in rules.faults] == [
        "a.yaml:2:52", "a.yaml:2:60", "b.yaml:2:52", "b.yaml:2:60",
    ]  # fmt: skip


async def test_a_key_that_the_node_does_not_do_is_a_fault_of_its_own_rules_alone(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    file = tmp_path / "rules" / "a.yaml"
    file.write_text(RULES.replace("'1'", "'1', age: 3d, nodes: other") % "one")
    rules = RulesInForce(config, MemoryStore().records, HEEDED - {"age"}, str(config.rules))
    assert names(await rules.read()) == []
    file.write_text(RULES.replace("'1'", "'1', age: 3d, nodes: 'r*'") % "one")
    assert names(await rules.read()) == []
    assert "rule one: this node does not do age yet" in rules.faults[0]


async def test_a_signer_that_the_configuration_does_not_name_is_a_fault(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    file = tmp_path / "rules" / "a.yaml"
    file.write_text(RULES.replace("'1'", "'1', verify: team") % "one")
    rules = RulesInForce(config, MemoryStore().records, HEEDED, str(config.rules))
    with pytest.raises(ConfigInvalid, match="team is no key of the configuration"):
        await rules.read()


async def test_blobs_on_demand_need_a_node_that_fetches_on_demand(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    file = tmp_path / "rules" / "a.yaml"
    file.write_text(RULES.replace("'1'", "'1', data: on-demand") % "one")
    with pytest.raises(ConfigInvalid, match="rule one: this node fetches nothing when it is read"):
        await RulesInForce(config, MemoryStore().records, HEEDED, str(config.rules)).read()
    through = config.replication.model_copy(update={"fallthrough": "pull-through"})
    config = config.model_copy(update={"replication": through})
    assert names(await RulesInForce(config, MemoryStore().records, HEEDED, str(config.rules)).read()) == [
        "one"
    ]


async def test_a_share_needs_a_rate_of_which_it_is_one(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    (tmp_path / "rules" / "a.yaml").write_text(RULES.replace("'1'", "'1', budget: 40%%") % "one")
    with pytest.raises(ConfigInvalid, match="rule one: its budget is a share, and the node grants no rate"):
        await RulesInForce(config, MemoryStore().records, HEEDED, str(config.rules)).read()
    granted = config.model_copy(
        update={"replication": config.replication.model_copy(update={"rate": 1 << 20})}
    )
    assert names(await RulesInForce(granted, MemoryStore().records, HEEDED, str(config.rules)).read()) == [
        "one"
    ]


async def test_a_folder_that_is_exchanged_is_noticed(tmp_path: Path) -> None:
    """As a mounted config map is: a link to a folder of links, exchanged in one step."""
    config = config_of(tmp_path)
    for number in (1, 2):
        data = tmp_path / f"data{number}"
        data.mkdir()
        (data / "a.yaml").write_text(RULES % f"n0{number}")
        os.utime(data / "a.yaml", (0, 0))
    link = tmp_path / "rules" / "..data"
    link.symlink_to(tmp_path / "data1")
    (tmp_path / "rules" / "a.yaml").symlink_to("..data/a.yaml")
    rules = RulesInForce(config, MemoryStore().records, HEEDED, str(config.rules))
    assert names(await rules.read()) == ["n01"]
    assert not await rules.changed()
    (tmp_path / "rules" / "..new").symlink_to(tmp_path / "data2")
    (tmp_path / "rules" / "..new").rename(link)
    assert await rules.changed()
    assert names(await rules.read()) == ["n02"]


async def test_new_rules_are_obeyed_without_a_signal(tmp_path: Path) -> None:
    async with replica_tree(tmp_path) as tree:
        for name in ("a", "b"):
            content = Content()
            content.image(name, "1")
            await tree.push(name, content)
        tree.write_rules({"repos": ["a"]})
        async with open_replicator(tree.replica_config()) as replicator:
            repeating = asyncio.create_task(replicator.repeat())
            try:
                await eventually(lambda: replicator.last and replicator.last.held == 1)
                (tree.directory / "rules" / "rules.yaml").write_text("[")
                await eventually(lambda: replicator.status().faults)
                assert "rules.yaml:" in replicator.status().faults[0]
                tree.write_rules({"repos": ["a"]}, {"repos": ["b"]})
                await eventually(lambda: replicator.last and replicator.last.held == 2)
                assert replicator.status().faults == ()
            finally:
                repeating.cancel()
                await asyncio.gather(repeating, return_exceptions=True)


async def test_with_an_interval_of_nothing_only_a_person_has_the_rules_run(tmp_path: Path) -> None:
    async with replica_tree(tmp_path) as tree:
        content = Content()
        content.image("a", "1")
        await tree.push("a", content)
        tree.write_rules({"repos": ["a"]})
        async with open_replicator(tree.replica_config(interval="0s")) as replicator:
            repeating = asyncio.create_task(replicator.repeat())
            try:
                (tree.directory / "rules" / "rules.yaml").write_text("[")
                await eventually(lambda: replicator.status().faults)
                tree.write_rules({"repos": ["a"]})
                await eventually(lambda: not replicator.status().faults)
                assert (replicator.last, await replicator.history.read()) == (None, ())
                assert (await replicator.run(by_hand=True)).held == 1
            finally:
                repeating.cancel()
                await asyncio.gather(repeating, return_exceptions=True)


async def test_a_run_by_hand_tells_the_faults(tmp_path: Path) -> None:
    async with replica_tree(tmp_path) as tree:
        tree.write_rules({"repos": ["a*"]})
        assert (await tree.replicate())[0] == 0
        (tree.directory / "rules" / "rules.yaml").write_text("[")
        code, _, said = await tree.replicate()
        assert (code, "rules.yaml:1:2: not YAML" in said or "rules.yaml:2:1: not YAML" in said) == (2, True)
