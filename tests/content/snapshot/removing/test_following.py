"""What becomes of tags that are deleted at their source, or that rules no longer take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from registry_mesh.content.nest.followed_tags import FollowedTags
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.oci.refusals import ManifestUnknown
from registry_mesh.ports.blobs import Provenance
from registry_mesh.ports.place import Place
from registry_mesh.ports.unfollowed import Following, Unfollowed, Why, following
from registry_mesh.replication.rules import Rule, Rules
from registry_mesh.replication.terms import Delete
from tests.simulators.images import HOST, Content
from tests.simulators.replica import Replica, rule

AT_ONCE = Delete(0.0, 0.0)
PLACE = Place(HOST, RepositoryName("app"))


def stocked(*rules: Rule, tags: int = 3) -> tuple[Replica, Content]:
    replica = Replica(*rules)
    content = replica.source.content[RepositoryName("app")] = Content()
    for n in range(tags):
        content.image(f"image {n}", f"v{n}")
    return replica, content


def taking(tags: str = "*", delete: Delete = AT_ONCE) -> Rule:
    return replace(rule("app", tags), delete=delete)


async def away(replica: Replica) -> dict[str, Why]:
    found = await following(replica.blobs.records, PLACE)
    return {tag: each.why for tag, each in found.unfollowed.items()}


async def answered(replica: Replica, tag: str) -> Provenance:
    """How the replica answers a tag."""
    followed = FollowedTags(replica.blobs.records, lambda: replica.now)
    return (await followed.of(replica.held("app")).tags.resolve(Tag(tag))).provenance


async def test_a_tag_that_is_gone_at_its_source_goes_when_the_rule_says_so() -> None:
    replica, content = stocked(taking(delete=Delete(gone=600.0)))
    assert (await replica.run()).complete
    del content.tags[Tag("v1")]
    outcome = await replica.run()
    assert outcome.complete
    assert await away(replica) == {"v1": Why.GONE}
    replica.now += 500
    assert (await answered(replica, "v1")) == Provenance(age=500.0, stale=True)
    assert not (await answered(replica, "v0")).stale
    replica.now += 101
    outcome = await replica.run()
    assert [note for note in outcome.notes if "v1 was deleted: gone at its source" in note]
    assert set(await replica.tags("app")) == {"v0", "v2"}
    with pytest.raises(ManifestUnknown):
        await answered(replica, "v1")
    assert await away(replica) in ({"v1": Why.GONE}, {})
    await replica.run()
    assert await away(replica) == {}


async def test_a_tag_that_its_rules_leave_out_is_told_as_not_fresh_and_goes_only_when_they_say_so() -> None:
    replica, _ = stocked(taking(delete=Delete()))
    await replica.run()
    replica.rules = Rules((taking("v[02]", delete=Delete()),))
    for _ in range(2):
        replica.now += 60
        await replica.run()
    assert await away(replica) == {"v1": Why.UNSELECTED}
    assert (await answered(replica, "v1")) == Provenance(age=60.0, stale=True)
    replica.rules = Rules((taking("v[02]"),))
    await replica.run()
    assert set(await replica.tags("app")) == {"v0", "v2"}


async def test_a_tag_that_is_wanted_again_is_fresh_again() -> None:
    replica, _ = stocked(taking(delete=Delete()))
    await replica.run()
    replica.rules = Rules((taking("v0", delete=Delete()),))
    await replica.run()
    assert set(await away(replica)) == {"v1", "v2"}
    replica.rules = Rules((taking(delete=Delete()),))
    await replica.run()
    assert await away(replica) == {}
    assert not (await answered(replica, "v1")).stale


async def test_an_empty_list_or_an_unknown_repository_is_no_deletion() -> None:
    replica, content = stocked(taking())
    await replica.run()
    tags = dict(content.tags)
    content.tags.clear()
    await replica.run()
    assert await away(replica) == dict.fromkeys(tags, Why.UNTOLD)
    del replica.source.content[RepositoryName("app")]
    await replica.run()
    assert set(await replica.tags("app")) == set(tags)
    assert (await answered(replica, "v0")).stale


async def test_a_repository_that_no_rule_takes_any_more_is_unselected() -> None:
    replica, _ = stocked(taking(delete=Delete()))
    await replica.run()
    replica.rules = Rules((rule("other"),), vanished=Delete())
    await replica.run()
    assert set((await away(replica)).values()) == {Why.UNSELECTED}
    assert len(await replica.tags("app")) == 3, "the rule is gone, and nothing says that they are deleted"
    replica.rules = Rules((rule("other"),), vanished=AT_ONCE)
    await replica.run()
    assert not await replica.tags("app")


async def test_the_guard_stops_all_of_a_registry_and_says_so() -> None:
    replica, content = stocked(taking(), tags=20)
    await replica.run()
    for n in range(8):
        del content.tags[Tag(f"v{n}")]
    outcome = await replica.run()
    (why,) = [trouble.why for trouble in outcome.troubles]
    assert why.startswith(
        f"stopped: 8 of 20 tags of {HOST} (40 %) would go, the guard is 10 %; nothing was deleted"
    )
    assert len(await replica.tags("app")) == 20
    replica.rules = replace(replica.rules, guard=0.5)
    assert (await replica.run()).complete
    assert len(await replica.tags("app")) == 12
    for n in range(8, 14):
        del content.tags[Tag(f"v{n}")]
    outcome = await replica.run()
    assert outcome.troubles, "fourteen of twenty within a day are more than half"
    replica.now += 86401
    assert (await replica.run()).complete
    assert len(await replica.tags("app")) == 6


async def test_a_signature_stays_as_long_as_its_source_has_it() -> None:
    replica, content = stocked(taking("v0"))
    signed = content.tags[Tag("v0")]
    signature = Tag(f"sha256-{signed.hex}.sig")
    content.image("signature", signature)
    await replica.run()
    assert set(await replica.tags("app")) == {"v0", signature}
    await replica.run()
    await replica.run()
    assert set(await replica.tags("app")) == {"v0", signature}
    assert await away(replica) == {}


@pytest.mark.parametrize("data", [None, b"", b"[]", b"{", b'{"away": {"v1": 5}}', b'{"wanted": 5}'])
def test_a_note_that_cannot_be_read_is_none(data: bytes | None) -> None:
    assert Following.decode(data) == Following()


def test_a_note_is_kept_as_it_was() -> None:
    told = Following({Tag("a"): ("r", "s")}, {Tag("b"): Unfollowed(Why.GONE, 5.5)})
    assert Following.decode(told.encode()) == told
