"""Keys of rules at a replica: each does what it says, and what would come without it stays away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from registry_mesh.config.rule_files import parse_rules
from registry_mesh.content.snapshot.finding.jobs import Widths
from registry_mesh.content.snapshot.records.outcome import Outcome
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCI_MANIFEST
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.stores.memory.store import MemoryIngest, MemoryStore
from tests.simulators.images import HOST, descriptor, random_bytes
from tests.simulators.kept import DiaryRepositories
from tests.simulators.replica import Replica

DAY = 86400.0
MONDAY = 4 * DAY
"""1970-01-05 00:00 UTC."""


def replica_of(*rules: str, more: str = "") -> Replica:
    replica = Replica()
    written = "\n".join(f"  - {{name: r{i}, from: {HOST}, {each}}}" for i, each in enumerate(rules))
    text = f"schema: registry-mesh/rules/2\nrules:\n{written}\n{more}"
    replica.rules = parse_rules([("r.yaml", text.encode())])
    replica.now = MONDAY
    return replica


def troubles(outcome: Outcome) -> list[str]:
    return [each.why for each in outcome.troubles]


async def digests(replica: Replica, name: str = "a") -> dict[str, object]:
    return dict(await replica.tags(name))


async def test_keep_brings_the_newest_versions_and_asks_for_no_other() -> None:
    replica = replica_of('repos: a, tags: ["semver: *", latest], keep: 2')
    for tag in ("1.0", "1.2", "v1.10", "latest"):
        replica.source["a"].image(tag, tag)
    outcome = await replica.run()
    assert outcome.complete
    assert set(await digests(replica)) == {"1.2", "v1.10", "latest"}
    assert replica.source.asked["resolve"] == 3


async def test_keep_by_seen_goes_by_when_a_value_came() -> None:
    replica = replica_of('repos: a, tags: "*", keep: {newest: 1, by: seen}')
    for day, tag in enumerate(("z", "m", "a")):
        replica.source["a"].image(tag, tag)
        replica.now = MONDAY + day * DAY
        await replica.run()
    assert set(await digests(replica)) == {"z", "m", "a"}  # each was the newest once; nothing says delete
    fresh = replica_of('repos: a, tags: "*", keep: {newest: 1, by: seen}')
    fresh.source = replica.source
    fresh.blobs, fresh.repositories = replica.blobs, replica.repositories
    replica.source["a"].image("z2", "z")
    fresh.now = MONDAY + 9 * DAY
    assert (await fresh.run()).switched == 1


async def test_age_waits_for_days_and_begins_anew_when_the_tag_moves() -> None:
    replica = replica_of('repos: a, tags: "*", age: 3d', "repos: a, tags: v1")
    content = replica.source["a"]
    content.image("first", "v1")
    outcome = await replica.run()
    assert (outcome.complete, await digests(replica)) == (True, {})
    assert any("waits until 1970-01-08 00:00 UTC" in note for note in outcome.notes)
    second = content.image("second", "v1")
    replica.now = MONDAY + DAY
    await replica.run()
    replica.now = MONDAY + 4 * DAY - 1
    await replica.run()
    assert await digests(replica) == {}
    replica.now = MONDAY + 4 * DAY
    await replica.run()
    assert await digests(replica) == {"v1": second.digest}
    content.image("third", "v1")
    replica.now += DAY
    outcome = await replica.run()
    assert await digests(replica) == {"v1": second.digest}
    assert any("it moved 2 times in 14 d" in note for note in outcome.notes)


async def test_what_is_fixed_stays_when_its_source_moves() -> None:
    replica = replica_of('repos: a, tags: "*", fixed: "semver: *"')
    first = replica.source["a"].image("one", "1.0")
    replica.source["a"].image("l1", "latest")
    assert (await replica.run()).complete
    moved, latest = replica.source["a"].image("two", "1.0"), replica.source["a"].image("l2", "latest")
    outcome = await replica.run()
    assert await digests(replica) == {"1.0": first.digest, "latest": latest.digest}
    assert troubles(outcome) == [
        f"{HOST}/a:1.0 is fixed: it stays at {first.digest}, and its source says {moved.digest}"
    ]


async def test_a_larger_image_is_refused_with_its_size_before_a_byte_moves() -> None:
    replica = replica_of('repos: a, tags: "*", max: 100KiB')
    small = replica.source["a"].image("small", "s")
    replica.source["a"].image("large", "l", layers=[random_bytes("l", 200 << 10)])
    outcome = await replica.run()
    assert await digests(replica) == {"s": small.digest}
    assert len(troubles(outcome)) == 1 and "and 100.0 KiB are allowed: not taken" in troubles(outcome)[0]
    assert replica.source.sent < 100 << 10


async def test_types_choose_by_what_it_is() -> None:
    replica = replica_of('repos: a, tags: "*", types: chart')
    content = replica.source["a"]
    content.image("image", "i")
    chart = helm(replica)
    await replica.run()
    assert await digests(replica) == {"c": chart.digest}
    other = replica_of('repos: a, tags: "*", types: [image, "!application/vnd.cncf.*"]')
    other.source = replica.source
    await other.run()
    assert set(await digests(other)) == {"i"}


def helm(replica: Replica, tag: str = "c") -> Manifest:
    content = replica.source["a"]
    config, layer = content.blob(b"{}"), content.blob(b"chart")
    kind = "application/vnd.cncf.helm"
    return content.put(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor(f"{kind}.config.v1+json", config),
            "layers": [descriptor(f"{kind}.chart.content.v1.tar+gzip", layer)],
        },
        tag,
    )


@pytest.mark.parametrize(
    ("kinds", "comes"),
    [("all", True), ("none", False), ("[sboms]", False), ("[application/vnd.example.*]", True)],
)
async def test_with_says_which_companions_come(kinds: str, comes: bool) -> None:
    replica = replica_of(f'repos: a, tags: "v1", with: {kinds}')
    content = replica.source["a"]
    image = content.image("one", "v1")
    signature = content.image("sig", subject=image)
    assert (await replica.run()).complete
    assert await replica.has("a", signature) is comes


@pytest.mark.parametrize(("wanted", "comes"), [("sif", True), ("estargz", False), ("[sif, estargz]", True)])
async def test_variants_come_as_companions_though_with_takes_none(wanted: str, comes: bool) -> None:
    replica = replica_of(
        f'repos: a, tags: "v1", with: none, variants: {wanted}', "repos: a, tags: v1, with: sboms"
    )
    content = replica.source["a"]
    image = content.image("one", "v1")
    signature, config = content.image("sig", subject=image), content.blob(b"{}")
    sif = content.put(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor("application/vnd.sylabs.sif.config.v1+json", config),
            "layers": [descriptor("application/vnd.sylabs.sif.layer.v1.sif", content.blob(b"sif"))],
            "subject": image.descriptor.document(),
        }
    )
    assert (await replica.run()).complete
    assert (await replica.has("a", sif), await replica.has("a", signature)) == (comes, False)


@pytest.mark.parametrize(
    ("kinds", "comes"), [("all", True), ("none", False), ("signatures", True), ("[sboms]", False)]
)
async def test_with_says_which_companion_tags_come(kinds: str, comes: bool) -> None:
    replica = replica_of(f'repos: a, tags: "v1", with: {kinds}')
    content = replica.source["a"]
    image = content.image("one", "v1")
    tag = f"sha256-{image.digest.hex}.sig"
    content.image("sig", tag)
    assert (await replica.run()).complete
    assert (tag in await digests(replica)) is comes


async def test_a_window_lets_bytes_flow_and_questions_always() -> None:
    replica = replica_of('repos: a, tags: "*", when: "02:00-03:00 UTC"')
    image = replica.source["a"].image("one", "v1")
    outcome = await replica.run()
    assert (outcome.complete, outcome.size, await digests(replica)) == (True, 0, {})
    assert f"{HOST}/a:v1 waits: no window of its rules is open" in " ".join(outcome.notes)
    replica.now = MONDAY + 2.5 * 3600
    await replica.run()
    assert await digests(replica) == {"v1": image.digest}


async def test_a_window_that_closes_stops_a_blob_between_two_pieces() -> None:
    replica = replica_of('repos: a, tags: "*", when: "02:00-03:00 UTC"')
    replica.source["a"].image("one", "v1", layers=[random_bytes("l", 1 << 20)])
    begin, looks = MONDAY + 2.5 * 3600, 0

    def clock() -> float:
        nonlocal looks
        looks += 1
        return begin if looks < 6 else begin + 3600

    replica.clock = clock
    outcome = await replica.run()
    assert (outcome.complete, await digests(replica)) == (True, {})
    assert any("waits: no window" in note for note in outcome.notes)
    replica.clock = None
    replica.now = begin + DAY
    assert (await replica.run()).complete
    assert set(await digests(replica)) == {"v1"}


async def test_a_rule_without_a_window_opens_what_another_closes() -> None:
    replica = replica_of('repos: a, tags: "*", when: "02:00-03:00 UTC"', "repos: a, tags: v1")
    for tag in ("v1", "v2"):
        replica.source["a"].image(tag, tag)
    await replica.run()
    assert set(await digests(replica)) == {"v1"}


async def test_every_says_how_often_a_source_is_asked() -> None:
    replica = replica_of(
        "repos: a, tags: v1, every: 1d", "repos: b, tags: v1", "repos: c, tags: v1, every: manual"
    )
    for name in "abc":
        replica.source[name].image(name, "v1")
    assert (await replica.run()).repositories == 2
    replica.now += DAY / 2
    outcome = await replica.run()
    assert (outcome.repositories, replica.source.asked["tags"]) == (1, 1)
    assert outcome.notes == ()
    replica.now += DAY / 2
    assert (await replica.run()).repositories == 2
    replica.by_hand = True
    assert (await replica.run()).repositories == 3


class Stuck(MemoryStore):
    """Takes one blob never to its end."""

    at: Digest | None = None

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()

    @asynccontextmanager
    async def ingest(
        self, expected: Digest | None = None, size: int | None = None, algorithm: str = "sha256"
    ) -> AsyncIterator[MemoryIngest]:
        if expected is not None and expected == self.at:
            self.reached.set()
            await asyncio.Event().wait()
        async with super().ingest(expected, size, algorithm) as ingest:
            yield ingest


async def test_a_run_that_is_stopped_is_gone_on_with_by_the_next_whatever_every_says() -> None:
    replica, store, layer = replica_of("repos: a, tags: v1, every: 1d"), Stuck(), random_bytes("l", 100)
    replica.blobs, replica.repositories = store, DiaryRepositories(store.records, store)
    image = replica.source["a"].image("one", "v1", layers=[layer])
    store.at = Digest.of(layer)
    run = asyncio.create_task(replica.run())
    await store.reached.wait()
    run.cancel()
    await asyncio.wait({run})
    store.at = None
    await replica.run()
    assert await digests(replica) == {"v1": image.digest}


async def test_a_source_that_cannot_be_asked_is_asked_by_the_next_run_whatever_every_says() -> None:
    replica = replica_of("repos: a, tags: v1, every: 1d")
    image = replica.source["a"].image("one", "v1")
    replica.source.always["tags"] = SourceUnavailable("503", source="s")
    assert troubles(await replica.run()) != []
    replica.source.always.clear()
    await replica.run()
    assert await digests(replica) == {"v1": image.digest}


async def test_a_repository_that_cannot_be_asked_has_no_other_asked_before_its_time() -> None:
    replica = replica_of("repos: [a, b], tags: v1, every: 1d")
    for name in "ab":
        replica.source[name].image(name, "v1")
    replica.source.raises["tags"] = [SourceUnavailable("503", source="s")]
    await replica.run()
    await replica.run()
    assert replica.source.asked == {}


@pytest.mark.parametrize("key", ['when: "02:00-03:00 UTC"', "budget: 600KiB/h"])
async def test_what_waits_comes_when_it_may_whatever_every_says(key: str) -> None:
    replica = replica_of(f"repos: a, tags: v1, every: 7d, {key}")
    replica.fill = True
    image = replica.source["a"].image("one", "v1", layers=[random_bytes("l", 1_000_000)])
    for half_hours in range(14):
        replica.now = MONDAY + half_hours * 1800
        await replica.run()
    assert await digests(replica) == {"v1": image.digest}


async def test_priority_orders_what_comes_first() -> None:
    replica = replica_of(
        "repos: a, tags: v1, priority: low", "repos: b, tags: v1", "repos: c, tags: v1, priority: high"
    )
    images = {name: replica.source[name].image(name, "v1") for name in "abc"}
    replica.widths = Widths(streams=1)
    await replica.run()
    layers = {f"blob {images[name].layers[0].digest}": name for name in "abc"}
    assert [layers[each] for each in replica.source.asked if each in layers] == ["c", "b", "a"]


async def test_what_is_denied_does_not_come() -> None:
    replica = replica_of(
        'repos: "**", tags: "*"', more=f"deny: [{{from: {HOST}, repos: bad, note: incident}}]\n"
    )
    replica.source["bad"].image("x", "v1")
    good = replica.source["good"].image("y", "v1")
    outcome = await replica.run()
    assert (await digests(replica, "bad"), await digests(replica, "good")) == ({}, {"v1": good.digest})
    assert f"{HOST}/bad:v1 is denied: incident" in outcome.notes


async def test_a_pin_takes_a_tag_only_while_it_has_that_digest() -> None:
    source = Replica().source
    first = source["a"].image("one", "9")
    replica = replica_of(f'repos: a, tags: "9@{first.digest}"')
    replica.source = source
    assert (await replica.run()).complete
    second = source["a"].image("two", "9")
    outcome = await replica.run()
    assert await digests(replica) == {"9": first.digest}
    assert troubles(outcome) == [
        f"{HOST}/a:9 is {second.digest} there and pinned to {first.digest}: not taken"
    ]
    source["a"].tags.clear()
    await replica.run()
    assert await digests(replica) == {"9": first.digest}


async def test_rules_add_up_and_none_takes_away() -> None:
    """Two platforms of two rules, with what attests them and a signature; a third rule wants no companions."""
    replica = replica_of(
        "repos: a, tags: v1, platforms: linux/amd64",
        "repos: a, tags: v1, platforms: linux/arm64",
        "repos: a, tags: v1, with: none, platforms: linux/amd64",
    )
    content = replica.source["a"]
    children = {name: content.image(name) for name in ("linux/amd64", "linux/arm64", "linux/s390x")}
    index = content.index(children, "v1")
    tag = f"sha256-{index.digest.hex}.sig"
    content.image("sig", tag)
    assert (await replica.run()).complete
    assert await digests(replica) == {"v1": index.digest, tag: content.tags[tag]}
    held = {name: await replica.has("a", child) for name, child in children.items()}
    assert held == {"linux/amd64": True, "linux/arm64": True, "linux/s390x": False}
    switched = [line for line in replica.repositories.diary if line.startswith("tag ")]
    assert "v1" in switched[-1]


async def test_lost_memory_begins_the_clock_anew() -> None:
    replica = replica_of('repos: a, tags: "*", age: 3d')
    replica.source["a"].image("one", "v1")
    await replica.run()
    key = f"receipts/{HOST}/a/remembered.json"
    assert await replica.blobs.records.get(key) is not None
    await replica.blobs.records.put(key, b"not json")
    replica.now = MONDAY + 3 * DAY
    await replica.run()
    assert await digests(replica) == {}
    replica.now = MONDAY + 6 * DAY
    await replica.run()
    assert set(await digests(replica)) == {"v1"}


@pytest.mark.parametrize("fill", [False, True])
@pytest.mark.parametrize(("times", "comes"), [(3, True), (1_000, False)])
async def test_a_blob_that_is_refused_for_a_while_comes_within_the_run(
    times: int, comes: bool, fill: bool
) -> None:
    replica = replica_of("repos: a, tags: v1")
    replica.fill = fill
    image = replica.source["a"].image("one", "v1")

    def busy(tries: int, data: bytes) -> bytes:
        if tries < times:
            raise SourceUnavailable("answered 503")
        return data

    replica.source.faults[image.layers[0].digest] = busy
    outcome = await replica.run()
    assert outcome.complete is comes
    assert comes or any("answered 503" in each for each in troubles(outcome))


async def test_a_rule_of_a_small_budget_leaves_the_lanes_to_others() -> None:
    replica = replica_of("repos: a, tags: '*', budget: 1KiB/s, priority: high", "repos: b, tags: quick")
    for number in range(3):
        replica.source["a"].image(f"slow{number}", f"v{number}", layers=[random_bytes(f"s{number}", 50_000)])
    replica.source["b"].image("quick", "quick")
    replica.widths = Widths(2, 2)
    came = asyncio.Event()

    async def until_the_other_came(seconds: float) -> None:
        async with asyncio.timeout(20):
            while "tag quick" not in replica.repositories.diary:
                await asyncio.sleep(0)
        came.set()

    replica.pace = until_the_other_came
    assert (await replica.run()).complete
    assert came.is_set()
