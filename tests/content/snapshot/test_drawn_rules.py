"""What a plan of drawn rules says is what the next run does: tags, bytes, deletions, refusals and what waits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from registry_mesh.config.rule_files import parse_rules
from registry_mesh.content.snapshot.records.outcome import Outcome
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.ports.repositories import EVERY
from registry_mesh.replication.plan import Plan
from registry_mesh.replication.rules import Rules
from registry_mesh.replication.wanted import is_companion
from registry_mesh.repositories.of_replica import ReplicaRepositories
from tests.content.snapshot.finding.test_verify import SIGNERS, TEAM
from tests.content.snapshot.planning import planned, size
from tests.content.snapshot.test_rule_keys import DAY, MONDAY
from tests.simulators.cloud import CLOUD
from tests.simulators.drawn_rules import NAMES, Draw, seed_by
from tests.simulators.images import HOST
from tests.simulators.places import MemoryCloud
from tests.simulators.replica import Replica

CASES = int(os.environ.get("DRAWN_CASES", "60"))
SEED = seed_by("DRAWN_SEED", 20261130)
ONE = os.environ.get("DRAWN_CASE", "")


@dataclass
class Story:
    """A replica to which, its source and its rules things happen."""

    draw: Draw
    replica: Replica = field(default_factory=Replica)
    cloud: MemoryCloud = field(default_factory=MemoryCloud)

    def __post_init__(self) -> None:
        self.replica.outward = self.cloud  # type: ignore[assignment]  # what it lacks is not asked for
        self.replica.signers = SIGNERS
        self.replica.now, self.replica.by_hand = MONDAY, True
        self.replica.clock = self._look_at_the_clock
        for name in NAMES:
            self.push(name)
        self.rules()

    def _look_at_the_clock(self) -> float:
        """A little later at each look, as a real one says."""
        self.replica.now += 0.001
        return self.replica.now

    def rules(self) -> None:
        rules = parse_rules([(name, text.encode()) for name, text in self.draw.rules().items()])
        mine = tuple(rule for rule in rules if rule.is_for("replica"))
        self.replica.rules = Rules(mine, *(getattr(rules, f) for f in Rules.__slots__ if f != "rules"))

    def push(self, name: str) -> None:
        content, more = self.replica.source[f"p/{name}"], self.draw.content(TEAM)
        content.blobs |= more.blobs
        content.manifests |= more.manifests
        content.tags |= more.tags

    @property
    def signatures(self) -> int:
        """Bytes of the blobs of all companions that the source has."""
        return sum(
            blob.size
            for content in self.replica.source.content.values()
            for tag, digest in content.tags.items()
            if is_companion(tag)
            for blob in content.manifests[digest].blobs()
        )

    def churn(self) -> None:
        """The source shows other values of tags, and loses some."""
        for name in NAMES:
            if self.draw.is_so(0.5):
                self.push(name)
            tags = self.replica.source[f"p/{name}"].tags
            if self.draw.is_so(0.5):
                for tag in self.draw.sample(
                    sorted(tags), min(max(len(tags) - 1, 0), self.draw.randint(1, 2))
                ):
                    del tags[tag]

    async def past(self) -> None:
        """Some runs, and changes between."""
        await self.replica.run()
        for _ in range(self.draw.randint(1, 3)):
            self.happen()
            if self.draw.is_so(0.8):
                await self.replica.run()
        self.happen()

    def happen(self) -> None:
        self.replica.now += self.draw.choice([0.0, 3600.0, 2 * DAY, 31 * DAY])
        if self.draw.is_so(0.7):
            self.churn()
        if self.draw.is_so(0.5):
            self.rules()

    async def standing(self) -> dict[str, Digest]:
        """All tags here and out there, without companions."""
        there = ReplicaRepositories(self.cloud.store.records, self.cloud.store, lambda: 0.0)
        here = self.replica.repositories.real
        found: dict[str, Digest] = {}
        for registry, store in ((HOST, here), (CLOUD, there)):
            async for name in store.repositories(registry):
                kept = store.repository(registry, name).kept
                for tag in (await kept.tags.tags(EVERY)).tags:
                    digest = (await kept.tags.resolve(tag)).descriptor.digest
                    found |= {f"{registry}/{name}:{tag}": digest} if not is_companion(tag) else {}
        return found


def after(before: dict[str, Digest], plan: Plan) -> dict[str, str]:
    """What is there when all of a plan is done."""
    found = {ref: str(digest) for ref, digest in before.items()}
    for step in plan.steps:
        if step.do == "delete":
            found.pop(step.to, None)
        elif not is_companion(Tag(step.to.rpartition(":")[2])):
            found[step.to] = step.digest
    return found


def differences(
    plan: Plan, before: dict[str, Digest], done: dict[str, Digest], outcome: Outcome, signatures: int
) -> Iterator[str]:
    expected = after(before, plan)
    for ref in sorted(expected.keys() | done.keys()):
        if expected.get(ref) != (None if ref not in done else str(done[ref])):
            told = (before.get(ref), expected.get(ref), done.get(ref))
            yield f"{ref} was {told[0]}, planned {told[1]}, is {told[2]}"
    more = outcome.size - size(plan)  # signatures are found when what they hang on is brought
    if not any(step.do == "push" for step in plan.steps) and not 0 <= more <= signatures:
        yield f"bytes: planned {size(plan)}, moved {outcome.size}, signatures have {signatures}"
    deletes = [step for step in plan.steps if step.do == "delete"]
    if len(deletes) != outcome.deleted:
        yield f"deleted: planned {len(deletes)}, were {outcome.deleted}"
    yield from (f"no rule deletes {step.to}" for step in deletes if not step.rules)
    whys = {each.why for each in outcome.troubles}
    said, refused = whys | set(outcome.notes), {each.because for each in plan.refused}
    conflicts = {each.because for each in plan.conflicts}
    guarded = {why for why in whys if "the guard is" in why}
    yield from (f"the plan alone refuses: {each}" for each in sorted(refused - said))
    yield from (f"the plan alone: {c}" for c in sorted(conflicts) if not any(c in each for each in said))
    yield from (f"the run alone: {each}" for each in sorted(whys - refused - conflicts - guarded))
    if len(guarded) != sum(each.stopped for each in plan.guard):
        yield f"guard: {plan.guard}, and {guarded}"
    held_back = {each.because for each in plan.waiting if " shows " in each.because}
    yield from (f"the plan alone waits: {each}" for each in sorted(held_back - said))


async def case(folder: Path, seed: str) -> list[str]:
    story = Story(Draw(seed))
    await story.past()
    before, plan = await story.standing(), await planned(story.replica, folder)
    outcome = await story.replica.run()
    found = [*differences(plan, before, await story.standing(), outcome, story.signatures)]
    steps = (await planned(story.replica, folder)).steps
    again = [step for step in steps if not is_companion(Tag(step.to.rpartition(":")[2]))]
    return [*found, *(f"planned once more: {step}" for step in again)]


async def test_a_run_does_what_its_plan_says(tmp_path: Path) -> None:
    print("seed", SEED)
    wrong = {}
    for number in [int(ONE)] if ONE else range(CASES):
        found = await case(tmp_path, f"{SEED}/{number}")
        if found:
            wrong[number] = found
            print(number, *found, sep="\n  ", flush=True)
    assert not wrong, f"DRAWN_SEED={SEED}: {len(wrong)} of {CASES}"
