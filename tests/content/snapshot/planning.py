"""Plans of what a simulated replica would do, made of listings as `rules record` writes them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from registry_mesh.assembly.runs.recording import beside_lines, pushed_lines, tell_made
from registry_mesh.assembly.runs.remembering import Remembering, held_since
from registry_mesh.config.recorded_listing import SCHEMA, read_listing
from registry_mesh.content.snapshot.finding.asking import Asking
from registry_mesh.content.snapshot.finding.recording import Recorder
from registry_mesh.content.snapshot.finding.signatures import Signatures
from registry_mesh.content.snapshot.records.made_tags import MadeTags
from registry_mesh.content.snapshot.records.remembered_tags import RememberedTags
from registry_mesh.content.snapshot.removing.pinned import bare_pins, with_pins
from registry_mesh.oci.reference import Tag
from registry_mesh.ports.place import Place
from registry_mesh.ports.repositories import EVERY, Repository
from registry_mesh.ports.unfollowed import Why, following
from registry_mesh.replication.listing import Beside, Recorded
from registry_mesh.replication.plan import Plan
from registry_mesh.replication.planning import Node, plan
from registry_mesh.replication.rules import Rule
from registry_mesh.replication.wanted import selecting
from tests.simulators.images import HOST
from tests.simulators.replica import Replica


async def planned(replica: Replica, folder: Path) -> Plan:
    """What the next run would do."""
    recorder = Recorder(replica.now, Signatures(Asking(4), replica.signers, replica.unusable))
    shown, here = [], []
    for name in sorted(replica.source.content):
        real = replica.source.repository(name)
        repository = with_pins(real, real, bare_pins(replica.rules.of(HOST, name)))
        tags = (await repository.tags.tags(EVERY)).tags
        shown.append(await _line(recorder, repository, tags, selecting(replica.rules.of(HOST, name), tags)))
    recorder = replace(recorder, store=replica.blobs)
    records = replica.blobs.records
    made = MadeTags(records)
    await made.load()
    remembering = Remembering(replica.blobs.records, replica.now)
    async for name in replica.repositories.real.repositories(HOST):
        kept = replica.held(name)
        tags = (await kept.tags.tags(EVERY)).tags
        line = await _line(recorder, kept, tags, dict.fromkeys(tags, ()))
        place = Place(HOST, name)
        await _remember(replica, place, line["tags"])
        await tell_made(replica.blobs.records, made, place, line["tags"])
        here.append(line | await remembering.of(place))
    here += [line async for line in pushed_lines(replica.blobs.records, made, recorder)]
    here += [line async for line in remembering.rest()]
    here += [line async for line in beside_lines(records, replica.blobs, recorder.told, replica.now)]
    beside = Beside()
    held = {(each.place.registry, each.place.repository): each for each in _read(folder, here, beside)}
    return plan(replica.rules, _read(folder, shown), held, replica.now, Node("replica"), "sha256:0", beside)


async def _line(
    recorder: Recorder, repository: Repository, tags: Collection[Tag], wanted: Mapping[Tag, Sequence[Rule]]
) -> dict[str, Any]:
    told = await recorder.record(repository, tags, wanted)
    return {"registry": repository.registry, "repository": repository.name, "tags": told}


async def _remember(replica: Replica, place: Place, tags: dict[Tag, dict[str, Any]]) -> None:
    """Say of held tags since when they are here, and away."""
    told = await following(replica.blobs.records, place)
    memory = await RememberedTags(replica.blobs.records).of(place)
    for tag, line in tags.items():
        line |= held_since(memory.get(tag), line)
        line["rules"] = list(told.wanted.get(tag, ()))
        away = told.unfollowed.get(tag)
        if away is not None and away.why is not Why.UNTOLD:
            line["gone" if away.why is Why.GONE else "unselected"] = away.since


def _read(folder: Path, lines: list[dict[str, Any]], beside: Beside | None = None) -> list[Recorded]:
    file = folder / "listing.jsonl"
    file.write_text("\n".join(map(json.dumps, [{"schema": SCHEMA}, *lines])))
    return list(read_listing(file, beside))


def size(plan: Plan) -> int:
    """Bytes that it brings."""
    return sum(step.new or 0 for step in plan.steps if step.do != "delete")
