"""What parents lack is asked for once in a while, and never hides what has come since."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.nest.freshness import Freshness
from registry_mesh.content.nest.names import Names
from registry_mesh.content.nest.negative import SPREAD, LessAsked, Negatives
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown, NameUnknown, Refusal
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.ports.place import Place
from registry_mesh.ports.repositories import Repository
from registry_mesh.roles.site import Site, SiteRegistry
from registry_mesh.stores.memory.records import MemoryRecords
from registry_mesh.stores.memory.store import MemoryStore
from tests.roles.test_site import Offer
from tests.simulators.images import HOST, SourceRegistry
from tests.suites.bytes_of import read

HERE, THERE = RepositoryName("team/app"), RepositoryName("team/other")
LATE = Digest.of(b"pushed later")


class Seconds:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Asked:
    """The negative entries of a registry, over what its parent has."""

    def __init__(self, draw: float = 0.0) -> None:
        self.seconds, self.source = Seconds(), SourceRegistry()
        self.source[HERE].image("image", "1")
        self.source[THERE].image("image", "1")
        self.names = Names(MemoryStore(), MemoryRecords())
        self.negatives = Negatives(10.0, clock=self.seconds, draw=lambda: draw)

    def of(self, name: RepositoryName) -> LessAsked:
        at = self.source.repository(name)
        return self.negatives.of(at.blobs, at.manifests, self.names.of(Place(HOST, name)))

    @property
    def questions(self) -> int:
        return sum(self.source.asked[kind] for kind in ("stat", "blob", "manifest"))


@pytest.fixture
def asked() -> Asked:
    return Asked()


async def opened(source: LessAsked, digest: Digest) -> None:
    async with source.open(digest):
        pass


Question = Callable[[LessAsked, Digest], Awaitable[object]]
QUESTIONS: tuple[Question, ...] = (
    lambda source, digest: source.stat(digest),
    opened,
    lambda source, digest: source.manifest(digest),
)


@pytest.mark.parametrize("question", QUESTIONS)
async def test_the_parents_are_asked_once(asked: Asked, question: Question) -> None:
    for after in range(5):
        with pytest.raises((BlobUnknown, ManifestUnknown)) as told:
            await question(asked.of(HERE), LATE)
        assert (told.value.remembered is None) == (after == 0)
    assert asked.questions == 1
    asked.seconds.now += 10
    with pytest.raises((BlobUnknown, ManifestUnknown)):
        await question(asked.of(HERE), LATE)
    assert asked.questions == 2


async def test_a_blob_is_no_manifest_and_one_repository_not_another(asked: Asked) -> None:
    """What is said of one says nothing of the other: another repository is another right, too."""
    asked.source[THERE].blob(b"pushed later")
    manifest = asked.source[HERE].image("unread", "2")
    with pytest.raises(BlobUnknown):
        await asked.of(HERE).stat(LATE)
    with pytest.raises(BlobUnknown):
        await asked.of(HERE).stat(manifest.digest)
    assert (await asked.of(THERE).stat(LATE)).size
    assert (await asked.of(HERE).manifest(manifest.digest)).manifest == manifest


async def test_what_the_repository_names_since_is_asked_for(asked: Asked) -> None:
    with pytest.raises(BlobUnknown):
        await asked.of(HERE).stat(LATE)
    asked.source[HERE].blob(b"pushed later")
    await asked.names.of(Place(HOST, HERE)).note(LATE)
    assert (await asked.of(HERE).stat(LATE)).size


async def test_what_is_named_and_missing_is_asked_for_once(asked: Asked) -> None:
    """The layer that a parent lost is wanted by a thousand nodes at a time."""
    await asked.names.of(Place(HOST, HERE)).note(LATE)
    for _ in range(3):
        with pytest.raises(BlobUnknown):
            await asked.of(HERE).stat(LATE)
    assert asked.questions == 1


async def test_a_parent_that_cannot_tell_leaves_no_entry(asked: Asked) -> None:
    asked.source.down = True
    with pytest.raises(SourceUnavailable):
        await asked.of(HERE).stat(LATE)
    asked.source.down = False
    asked.source[HERE].blob(b"pushed later")
    assert (await asked.of(HERE).stat(LATE)).size


async def test_entries_end_at_different_times_and_never_late() -> None:
    for draw in (0.0, 0.5, 1.0):
        asked = Asked(draw)
        with pytest.raises(BlobUnknown):
            await asked.of(HERE).stat(LATE)
        asked.seconds.now += 10 * (1 - SPREAD * draw) - 0.01
        with pytest.raises(BlobUnknown) as told:
            await asked.of(HERE).stat(LATE)
        assert told.value.remembered == pytest.approx(0.01)
        asked.seconds.now += 0.01
        asked.source[HERE].blob(b"pushed later")
        assert (await asked.of(HERE).stat(LATE)).size


async def test_made_up_digests_take_no_memory_without_end(asked: Asked) -> None:
    asked.negatives = Negatives(10.0, clock=asked.seconds, most=100)
    source = asked.of(HERE)
    for number in range(110):
        with pytest.raises(BlobUnknown):
            await source.stat(Digest.of(b"%d" % number))
    assert len(asked.negatives) == 100


async def test_a_ttl_of_nothing_asks_each_time(asked: Asked) -> None:
    asked.negatives.ttl = 0.0
    for _ in range(3):
        with pytest.raises(BlobUnknown):
            await asked.of(HERE).stat(LATE)
    assert asked.questions == 3
    assert not len(asked.negatives)


class Node:
    """A site over a parent."""

    def __init__(self) -> None:
        self.parent = SourceRegistry()
        self.parent[HERE].image("image", "1")
        self.store, self.records = MemoryStore(), MemoryRecords()
        self.fills = Fills(self.store)
        freshness = Freshness(negative_ttl=3600, digest_negative_ttl=3600)
        served = {HOST: SiteRegistry([[Offer(self.parent)]], freshness)}  # type: ignore[list-item]
        self.site = Site(self.store, self.records, self.fills, served)

    @property
    def mine(self) -> Repository:
        return self.site.repository(HOST, HERE)

    @property
    def questions(self) -> int:
        return sum(self.parent.asked[kind] for kind in ("stat", "blob", "manifest", "resolve", "referrers"))


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    node = Node()
    yield node
    await node.site.close()
    await node.fills.close()


async def test_a_storm_of_unknown_digests_and_tags_costs_a_question_each(node: Node) -> None:
    unknown = [Digest.of(b"nobody has %d" % number) for number in range(20)]
    for _ in range(10):
        for digest in unknown:
            with pytest.raises(Refusal):
                await node.mine.blobs.stat(digest)
            with pytest.raises(Refusal):
                await read(node.mine.blobs, digest)
            with pytest.raises(Refusal):
                await node.mine.manifests.manifest(digest)
            with pytest.raises(Refusal):
                await node.mine.tags.resolve(Tag(f"t{digest.hex[:8]}"))
    assert node.questions <= 3 * len(unknown)


async def test_an_image_that_was_pushed_since_is_pulled_by_its_tag_at_once(node: Node) -> None:
    """Its layers were asked for before it was there."""
    image = SourceRegistry()[HERE].image("pushed later")
    for blob in image.blobs():
        with pytest.raises(BlobUnknown):
            await node.mine.blobs.stat(blob.digest)
    with pytest.raises(ManifestUnknown):
        await node.mine.manifests.manifest(image.digest)
    node.parent[HERE].image("pushed later", "2")
    assert (await node.mine.tags.resolve(Tag("2"))).descriptor.digest == image.digest
    assert (await node.mine.manifests.manifest(image.digest)).manifest == image
    for blob in image.blobs():
        assert len(await read(node.mine.blobs, blob.digest)) == blob.size


async def test_a_node_that_is_told_that_something_came_asks_anew(node: Node) -> None:
    """A refresh, a preload and a run tell each process to forget."""
    data = b"pushed later"
    for digest in (LATE, Digest.of(b"and never")):
        with pytest.raises(BlobUnknown):
            await read(node.mine.blobs, digest)
    node.parent[HERE].blob(data)
    with pytest.raises(BlobUnknown):
        await read(node.mine.blobs, LATE)
    node.site.forget()
    assert await read(node.mine.blobs, LATE) == data


async def test_a_repository_that_came_since_is_found_by_its_tag(node: Node) -> None:
    with pytest.raises(NameUnknown):
        await node.site.repository(HOST, THERE).manifests.manifest(LATE)
    image = node.parent[THERE].image("new", "1")
    there = node.site.repository(HOST, THERE)
    assert (await there.tags.resolve(Tag("1"))).descriptor.digest == image.digest


async def test_referrers_of_made_up_digests_leave_no_records(node: Node) -> None:
    before = [key async for key in node.records.walk("")]
    for number in range(20):
        assert not (await node.mine.referrers.referrers(Digest.of(b"%d" % number))).descriptors
    assert [key async for key in node.records.walk("")] == before
    image = (await node.mine.tags.resolve(Tag("1"))).descriptor.digest
    await node.mine.referrers.referrers(image)
    assert any("_referrers" in key for key in [key async for key in node.records.walk("")])
