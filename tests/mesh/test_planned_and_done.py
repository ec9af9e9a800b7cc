"""What a plan of drawn rules says, the run after it does: tags, bytes, deletions and refusals, over a real origin."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.mesh.planned_and_done import Ruled, differences, of_json, of_text, refused_there, ruled
from tests.simulators.drawn_rules import NAMES, Draw, seed_by

CASES = int(os.environ.get("PLAN_CASES", "3"))
SEED = seed_by("PLAN_SEED", 1)
ONE = os.environ.get("PLAN_CASE", "")


async def churn(node: Ruled, draw: Draw, share: float) -> None:
    """The origin gets other values of tags, and loses some."""
    tree = node.tree
    for name in NAMES:
        if draw.is_so(share):
            await tree.push(f"p/{name}", draw.content(None))
        if not draw.is_so(share):
            continue
        async with tree.client.get(f"{tree.origin.url}/v2/p/{name}/tags/list") as answer:
            tags = sorted(tag for tag in (await answer.json())["tags"] if not tag.startswith("sha256-"))
        for tag in draw.sample(tags, min(max(len(tags) - 1, 0), draw.randint(1, 2))):
            async with tree.client.delete(f"{tree.origin.url}/v2/p/{name}/manifests/{tag}") as answer:
                assert answer.status == 202


async def past(node: Ruled, draw: Draw) -> None:
    """What came before: some runs, and changes of origin and rules between."""
    for name in NAMES:
        await node.tree.push(f"p/{name}", draw.content(None))
    draw.write_rules(node.rules)
    await node.run()
    for _ in range(draw.randint(1, 2)):
        await churn(node, draw, 0.6)
        if draw.is_so(0.6):
            draw.write_rules(node.rules)
        if draw.is_so(0.8):
            await node.run()
    if draw.is_so(0.4):
        draw.write_rules(node.rules)


async def case(folder: Path, seed: str) -> list[str]:
    draw = Draw(seed)
    async with ruled(folder) as node:
        await past(node, draw)
        before = await node.standing()
        plan = await node.planned()
        text = await node.plan("--held", node.path("held.jsonl"))
        live = await node.live()
        (folder / "plan.json").write_text(json.dumps(plan, indent=1))
        node.tree.link.reset_counts()
        outcome = await node.run()
        (folder / "outcome.txt").write_text("\n".join(map(str, [*outcome.troubles, *outcome.notes])))
        done = await node.standing()
        written = "".join(file.read_text() for file in node.rules.iterdir())
        reads_more = '"verify"' in written or '"labels"' in written
        found = differences(plan, before, done, outcome, node.sent(), reads_more)
        if of_text(text) != of_json(plan):
            found.append(f"text says {of_text(text)}, JSON {of_json(plan)}")
        if (live["steps"], live["totals"]) != (plan["steps"], plan["totals"]):
            found.append(f"replicate --plan says {live['totals']}, rules plan {plan['totals']}")
        turned_away = refused_there(outcome)
        again = [step for step in (await node.planned())["steps"] if step["digest"] not in turned_away]
        if again:
            found.append(f"planned once more: {[(s['do'], s['to'], s['new_bytes']) for s in again]}")
    return found


@pytest.mark.slow
async def test_a_run_does_what_its_plan_says(tmp_path: Path) -> None:
    print("seed", SEED)
    wrong = {}
    for number in [int(ONE)] if ONE else range(CASES):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = await case(folder, f"{SEED}/{number}")
        print(number, found or "equal", flush=True)
        if found:
            wrong[number] = found
    assert not wrong, f"PLAN_SEED={SEED}"
