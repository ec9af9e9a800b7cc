"""What a replica deletes: never without a rule that says so, never for an error, and never what cannot come back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

from registry_mesh.content.snapshot.records.outcome import Outcome, Stopped
from registry_mesh.content.snapshot.removing.removed import APPROVED, REMOVED
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.ports.pushes import Pusher
from registry_mesh.ports.repositories import Repository, Resolved, TagSource
from tests.content.snapshot.test_rule_keys import DAY, MONDAY, replica_of
from tests.simulators.images import HOST
from tests.simulators.kept import DiaryRepository
from tests.simulators.replica import Replica

WEEK: Final = 'repos: a, tags: "*", delete: 7d'
ALL: Final = "guard: 100%\n"


async def filled(replica: Replica, count: int, name: str = "a") -> Replica:
    for number in range(count):
        replica.source[name].image(f"{name}{number}", f"t{number:03}")
    assert (await replica.run()).complete
    return replica


async def at(replica: Replica, days: float) -> Outcome:
    replica.now = MONDAY + days * DAY
    return await replica.run()


def drop(replica: Replica, *tags: str, name: str = "a") -> None:
    for tag in tags:
        del replica.source[name].tags[Tag(tag)]


async def test_a_tag_that_is_gone_is_deleted_after_its_grace_and_not_before() -> None:
    replica = await filled(replica_of(WEEK, more=ALL), 3)
    drop(replica, "t000")
    assert (await at(replica, 1)).deleted == 0
    outcome = await at(replica, 7.9)
    assert outcome.deleted == 0
    assert any("is deleted 1970-01-13 00:00 UTC: gone at its source since" in note for note in outcome.notes)
    outcome = await at(replica, 8)
    assert (outcome.complete, outcome.deleted) == (True, 1)
    assert set(await replica.tags("a")) == {"t001", "t002"}
    assert (await at(replica, 9)).deleted == 0


async def test_what_is_left_is_not_looked_at_anew_for_each_deletion() -> None:
    looks = 0

    class Counted(DiaryRepository):
        @property
        def kept(self) -> Repository:
            nonlocal looks
            looks += 1
            return super().kept

    replica = await filled(replica_of(WEEK, more=ALL), 60)
    drop(replica, *(f"t{number:03}" for number in range(50)))
    await at(replica, 1)
    replica.repositories.instead["a"] = Counted
    assert (await at(replica, 8)).deleted == 50
    assert looks <= 10 * 60


async def test_nothing_is_deleted_where_no_rule_says_so() -> None:
    replica = await filled(replica_of('repos: a, tags: "*"'), 2)
    drop(replica, "t000")
    await at(replica, 1)
    assert (await at(replica, 999)).deleted == 0
    assert len(await replica.tags("a")) == 2


async def test_a_tag_that_comes_back_begins_its_grace_anew() -> None:
    replica = await filled(replica_of(WEEK, more=ALL), 2)
    content = replica.source["a"]
    digest = content.tags[Tag("t000")]
    drop(replica, "t000")
    await at(replica, 1)
    content.tags[Tag("t000")] = digest
    await at(replica, 6)
    drop(replica, "t000")
    assert (await at(replica, 9)).deleted == 0
    assert (await at(replica, 16)).deleted == 1


async def test_an_empty_or_broken_listing_or_a_lost_repository_deletes_nothing() -> None:
    replica = await filled(replica_of(WEEK, more=ALL), 20)
    kept = dict(replica.source["a"].tags)
    replica.source["a"].tags.clear()
    outcome = await at(replica, 1)
    told = [each.why for each in outcome.troubles]
    assert told == [f"{HOST} lists no tags for a and listed 20 before: not taken as deletions"]
    assert (await at(replica, 99)).deleted == 0
    replica.source["a"].tags.update(kept)
    replica.source.always["tags"] = SourceUnavailable("503", source="s")
    assert (await at(replica, 100)).deleted == 0
    replica.source.always.clear()
    content = replica.source.content.pop(RepositoryName("a"))
    assert (await at(replica, 101)).deleted == (await at(replica, 199)).deleted == 0
    replica.source.content[RepositoryName("a")] = content
    assert len(await replica.tags("a")) == 20


async def test_a_tag_that_is_not_listed_and_answers_is_not_gone() -> None:
    """Registries whose lists lag, or end too early."""
    replica = await filled(replica_of(WEEK, more=ALL), 3)
    replica.source["a"].unlisted.add(Tag("t000"))
    await at(replica, 1)
    assert (await at(replica, 99)).deleted == 0


async def test_a_tag_that_does_not_answer_is_not_gone() -> None:
    replica = await filled(replica_of(WEEK, more=ALL), 2)
    drop(replica, "t000")
    await at(replica, 1)
    replica.source.always["resolve"] = SourceUnavailable("503", source="s")
    assert (await at(replica, 9)).deleted == 0
    replica.source.always.clear()
    assert (await at(replica, 10)).deleted == 0  # the grace begins anew
    assert (await at(replica, 17)).deleted == 1


async def test_the_guard_stops_all_until_a_person_approves_and_undo_brings_it_back() -> None:
    replica = await filled(replica_of(WEEK, more="guard: 10%\n"), 40)
    before = await replica.tags("a")
    drop(replica, *(f"t{number:03}" for number in range(10)))
    await at(replica, 1)
    outcome = await at(replica, 9)
    assert (outcome.deleted, len(await replica.tags("a"))) == (0, 40)
    (why,) = [each.why for each in outcome.troubles]
    said = f"stopped: 10 of 40 tags of {HOST} (25 %) would go, the guard is 10 %; nothing was deleted. `rules approve "
    assert why.startswith(said)
    digest = why.removeprefix(said).partition("`")[0]
    assert outcome.stopped == (Stopped(HOST, 10, 40, 0.1, digest),)
    records = replica.blobs.records
    await records.put(APPROVED, json.dumps({"digest": "sha256:other"}).encode())
    assert (await at(replica, 10)).deleted == 0
    await records.put(APPROVED, json.dumps({"digest": digest}).encode())
    outcome = await at(replica, 11)
    assert (outcome.complete, outcome.deleted, len(await replica.tags("a"))) == (True, 10, 30)
    assert await records.get(APPROVED) is None
    for entry in json.loads(await records.get(REMOVED) or b""):
        kept = replica.repositories.real.repository(HOST, RepositoryName(entry["repository"]))
        restored = await kept.restore(Tag(entry["tag"]), Pusher("somebody"))
        assert str(restored) == entry["digest"]
    assert await replica.tags("a") == before
    outcome = await at(replica, 12)
    assert (outcome.complete, outcome.deleted) == (True, 0)


async def test_few_tags_may_go_whatever_the_guard_and_a_day_counts_together() -> None:
    replica = await filled(replica_of(WEEK, more="guard: 10%\n"), 5)
    drop(replica, "t000", "t001", "t002")
    await at(replica, 1)
    assert (await at(replica, 8)).deleted == 3
    replica.source["a"].image("new", "new")
    drop(replica, "t003", "t004")
    await at(replica, 8.1)
    more = await filled(replica_of(WEEK, more="guard: 10%\n"), 8)
    drop(more, *(f"t{number:03}" for number in range(4)))
    await at(more, 1)
    drop(more, "t004", "t005", "t006")
    await at(more, 1.5)
    assert (await at(more, 8.2)).deleted == 4
    assert (await at(more, 8.6)).deleted == 0  # seven within a day
    assert (await at(more, 9.5)).deleted == 3


async def test_what_no_rule_wants_goes_by_the_rule_that_wanted_it() -> None:
    replica = await filled(replica_of("repos: a, tags: ['t*'], delete: {unselected: 2d}", more=ALL), 3)
    replica.rules = replica_of("repos: a, tags: ['t000'], delete: {unselected: 2d}", more=ALL).rules
    assert (await at(replica, 1)).deleted == 0
    assert (await at(replica, 3)).deleted == 2
    assert set(await replica.tags("a")) == {"t000"}


async def test_what_is_past_its_newest_goes() -> None:
    rule = 'repos: a, tags: "semver: *", keep: 1, delete: 1d'
    replica = replica_of(rule, more=ALL)
    replica.source["a"].image("one", "1.0")
    await replica.run()
    replica.source["a"].image("two", "2.0")
    await at(replica, 1)
    assert set(await replica.tags("a")) == {"1.0", "2.0"}
    await at(replica, 2)
    assert set(await replica.tags("a")) == {"2.0"}


async def test_a_rule_that_vanished_leaves_its_tags_to_the_default_and_its_hold_stands() -> None:
    """Nightlies, of which one is held by a second rule; then both rules go, with the repository's last."""
    night = 'repos: a, tags: "*", delete: 1d'
    replica = await filled(replica_of(night, "repos: a, tags: t001, hold: forever", more=ALL), 3)
    replica.source["b"].image("b", "1")
    replica.rules = replica_of("repos: b, tags: '*'", more=ALL).rules
    await at(replica, 1)
    outcome = await at(replica, 99)
    assert outcome.deleted == 0
    assert f"{HOST}/a: 1 tag stays, held by a rule that is gone (t001)" in outcome.notes
    replica.rules = replica_of("repos: b, tags: '*'", more=ALL + "defaults: {delete: 1d}\n").rules
    await at(replica, 100)
    await at(replica, 101)
    assert set(await replica.tags("a")) == {"t001"}


async def test_what_is_denied_goes_whatever_guards_it() -> None:
    replica = await filled(replica_of('repos: "*", tags: "*", hold: forever', more="guard: 0%\n"), 9)
    await filled(replica, 9, "b")
    digest = (await replica.tags("a"))["t003"]
    deny = f'guard: 0%\ndeny: [{{from: {HOST}, repos: b}}, {{from: {HOST}, digest: "{digest}"}}]\n'
    replica.rules = replica_of('repos: "*", tags: "*", hold: forever', more=deny).rules
    outcome = await at(replica, 1)
    assert outcome.deleted == 10
    assert await replica.tags("b") == {}
    assert len(await replica.tags("a")) == 8


async def test_lost_memory_deletes_nothing_until_it_is_seen_again() -> None:
    replica = await filled(replica_of(WEEK, more=ALL), 3)
    drop(replica, "t000")
    await at(replica, 1)
    await replica.blobs.records.delete([f"receipts/{HOST}/a/remembered.json"])
    await at(replica, 9)
    assert (await at(replica, 99)).deleted == 0


async def test_companions_go_after_their_subject() -> None:
    replica = replica_of("repos: a, tags: ['v*'], delete: 1d", more=ALL)
    content = replica.source["a"]
    image, other = content.image("one", "v1"), content.image("two", "v2")
    tags = [f"sha256-{each.digest.hex}.sig" for each in (image, other)]
    for tag in tags:
        content.image(tag, tag)
    await replica.run()
    drop(replica, "v1", tags[0])
    await at(replica, 1)
    await at(replica, 2)
    assert set(await replica.tags("a")) == {"v2", tags[1]}
    assert [line for line in replica.repositories.diary if line.startswith("untag")] == [
        "untag v1",
        f"untag {tags[0]}",
    ]


async def test_a_tag_that_goes_meanwhile_leaves_the_companions_of_others() -> None:
    """`sv` is deleted between the list of what is left and the look at it; v2 stands for the image all the same."""
    replica = replica_of("repos: a, tags: ['v*', sv], delete: 1d", more=ALL)
    content = replica.source["a"]
    image = content.image("one", "v1")
    content.tags[Tag("v2")] = image.digest
    other, companion = content.image("other", "sv"), f"sha256-{image.digest.hex}.sig"
    content.image("signature", companion)

    class Losing(DiaryRepository):
        @property
        def kept(self) -> Repository:
            kept = self.real.kept
            return replace(kept, tags=Lost(kept.tags)) if "untag v1" in self.diary else kept

    class Lost:
        def __init__(self, tags: TagSource) -> None:
            self.tags, self._tags = tags.tags, tags

        async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
            if tag == "sv":
                await replica.repositories.real.repository(HOST, RepositoryName("a")).untag(
                    Tag("sv"), other.digest, "a person"
                )
            return await self._tags.resolve(tag, known)

    await replica.run()
    drop(replica, "v1")
    await at(replica, 1)
    replica.repositories.instead["a"] = Losing
    assert (await at(replica, 2)).deleted == 1
    assert set(await replica.tags("a")) == {"v2", companion}


async def test_a_tag_that_moved_meanwhile_is_not_deleted() -> None:
    replica = await filled(replica_of(WEEK, more=ALL), 2)
    kept = replica.repositories.real.repository(HOST, RepositoryName("a"))
    tags = await replica.tags("a")
    await kept.untag(Tag("t000"), tags["t001"], "a test")
    assert await replica.tags("a") == tags
