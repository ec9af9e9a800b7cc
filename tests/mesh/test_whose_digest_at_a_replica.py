"""As `test_whose_digest`, at a replica that fetches what no rule selects: what a rule brought, what a client had it
fetch, and what a rule has let go of lie in one store, and each is given only through the repository that names it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from registry_mesh.chunks.chunk_map import MIB
from tests.eventually import eventually
from tests.mesh.test_whose_digest import (
    OWN,
    SHAPES,
    World,
    worlds,  # noqa: F401  # a fixture
)

pytestmark = pytest.mark.slow


class Rules:
    """Those of the replica in `folder`, which select one tag or none."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "rules" / "r.yaml"
        self._file.parent.mkdir(parents=True)
        self.select("no-such-tag")

    @property
    def config(self) -> dict[str, Any]:
        return {
            "role": "replica",
            "rules": str(self._file.parent),
            "replication": {"interval": "1s", "fallthrough": "pull-through"},
        }

    def select(self, tag: str) -> None:
        rule = {"name": "own", "from": OWN, "repos": ["team/app"], "tags": [tag]}
        self._file.write_text(yaml.safe_dump({"schema": "registry-mesh/rules/1", "rules": [rule]}))

    async def hold(self, world: World, tag: str, tags: int) -> None:
        """Select it, and wait for a run that finds so many tags and holds them."""
        self.select(tag)

        async def held() -> bool:
            last = await last_run(world)
            return bool(last) and last["complete"] and last["tags"] == last["held"] == tags

        await eventually(held, lambda: f"{tags} tags held", pause=0.05)


async def last_run(world: World) -> Any:
    async with world.client.get(f"{world.node.admin}/status") as answer:
        return (await answer.json())["replication"]["last"]


async def coming(world: World, rules: Rules) -> None:
    """While a rule brings it."""
    world.link.conditions.rate = 2e6
    world.link.reset_counts()
    rules.select("1")
    await eventually(lambda: world.link.counts.body_bytes > MIB, "a part of it")
    world.link.conditions.rate = 5e4
    await world.strangers("coming by a rule")
    assert (await last_run(world))["tags"] == 0, "it was on its way all the time"
    world.link.conditions.rate = None


async def offline(world: World, state: str) -> None:
    world.link.conditions.refuse = True
    await world.strangers(state)
    await world.owner(state)


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    return Rules(tmp_path / "site")


async def replica(make: Any, rules: Rules, folder: Path) -> World:
    store = {"disk": {"path": str(folder / "site" / "store")}}
    world: World = await make(store, {}, **rules.config)
    await eventually(lambda: last_run(world), "the first run")
    return world


async def test_what_a_rule_brought(worlds: Any, rules: Rules, tmp_path: Path) -> None:  # noqa: F811
    world = await replica(worlds, rules, tmp_path)
    await world.strangers("cold")
    await coming(world, rules)
    await rules.hold(world, "1", 1)
    await world.strangers("held by a rule")
    await world.owner("held by a rule")
    await rules.hold(world, "no-such-tag", 0)
    await world.strangers("let go of")
    await offline(world, "let go of, offline")
    print("", *world.table, sep="\n")
    assert world.wrong == []


async def test_what_it_fetched_when_asked(worlds: Any, rules: Rules, tmp_path: Path) -> None:  # noqa: F811
    world = await replica(worlds, rules, tmp_path)
    assert (await world.ask(f"team/app|{OWN}", SHAPES[9]))[0] == 200
    await world.filling("filling")
    await world.strangers("held by fall-through")
    await rules.hold(world, "1", 1)
    await world.strangers("held by a rule, too")
    await rules.hold(world, "no-such-tag", 0)
    await world.strangers("let go of")
    await asyncio.to_thread(world.node.stop)
    await asyncio.to_thread(world.node.start)
    await offline(world, "let go of, restarted, offline")
    print("", *world.table, sep="\n")
    assert world.wrong == []
