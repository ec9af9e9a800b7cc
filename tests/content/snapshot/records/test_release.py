"""`age` from the first look to the last, and what a person lets through before its time."""

from __future__ import annotations

from pathlib import Path

from registry_mesh.content.snapshot.records.released import Release, Releases
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reference import RepositoryName, Tag
from tests.content.snapshot.test_rule_keys import DAY, MONDAY, digests, replica_of, troubles
from tests.simulators.images import HOST
from tests.simulators.replica import Replica

TEN = MONDAY + 10 * 3600
AGED = ('repos: a, tags: "*", age: 3d', "repos: a, tags: v1.2")


async def days(replica: Replica, *numbers: float) -> None:
    for number in numbers:
        replica.now = TEN + number * DAY
        await replica.run()


async def test_a_value_comes_when_it_was_shown_for_days_whatever_another_rule_says(tmp_path: Path) -> None:
    replica = replica_of(*AGED)
    content = replica.source["a"]
    former = content.image("l0", "latest")
    await days(replica, -3, 0)
    assert await digests(replica) == {"latest": former.digest}
    content.image("A", "v1.2")
    await days(replica, 0)
    second = content.image("B", "v1.2")
    for day in range(1, 4):
        content.image(f"l{day}", "latest")
        await days(replica, day, day + 0.999)
    assert await digests(replica) == {"latest": former.digest}
    replica.now = TEN + 4 * DAY - 1
    assert "v1.2" not in await digests(replica)
    await days(replica, 4)
    assert await digests(replica) == {"latest": former.digest, "v1.2": second.digest}
    outcome = await replica.run()
    assert any("/a:latest shows" in note and "it moved 3 times in 14 d" in note for note in outcome.notes)


async def test_what_is_deleted_before_its_time_never_comes() -> None:
    replica = replica_of(*AGED)
    content = replica.source["a"]
    content.image("A", "v1.2")
    content.image("x", "other")
    await days(replica, 0)
    content.image("B", "v1.2")
    await days(replica, 1)
    del content.tags[Tag("v1.2")]
    await days(replica, 2, 4, 5)
    assert "v1.2" not in await digests(replica)


async def release(replica: Replica, tag: str, image: Manifest) -> None:
    one = Release(HOST, RepositoryName("a"), Tag(tag), str(image.digest), "kim", "CVE-2026-1", at=replica.now)
    await Releases(replica.blobs.records).note(one)


async def test_one_value_is_let_through_and_the_next_waits() -> None:
    replica = replica_of("repos: a, tags: '*', age: 3d, fixed: v2")
    content = replica.source["a"]
    image, other = content.image("A", "v1"), content.image("other", "v2")
    await days(replica, 0)
    await release(replica, "v1", image)
    outcome = await replica.run()
    assert (troubles(outcome), await digests(replica)) == ([], {"v1": image.digest})
    assert f"{HOST}/a:v1 was let through before its time by kim: CVE-2026-1" in outcome.notes
    content.image("B", "v1")
    outcome = await replica.run()
    assert await digests(replica) == {"v1": image.digest}
    assert not any("was let through" in note for note in outcome.notes)
    await days(replica, 3)
    moved = content.image("moved", "v2")
    await release(replica, "v2", moved)
    (told,) = troubles(await replica.run())
    assert f"is fixed: it stays at {other.digest}" in told
