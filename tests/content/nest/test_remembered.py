"""Tags of a source through TTL, revalidation, errors, restarts."""

from __future__ import annotations

import asyncio

import pytest

from registry_mesh.content.nest.freshness import Freshness
from registry_mesh.content.nest.race import STOOD
from registry_mesh.content.nest.remembered import AT_ONCE, SOON, Entry, Remembered
from registry_mesh.oci.refusals import ManifestUnknown
from registry_mesh.ports.failures import SourceUnavailable, StoreFull
from registry_mesh.stores.memory.records import MemoryRecords
from tests.eventually import eventually
from tests.simulators.played import busy, played

POLICY = Freshness(ttl=60, stale_while_revalidate=30, stale_if_error=3600, negative_ttl=10)


class FullRecords(MemoryRecords):
    """Of a store that may have no room."""

    full = False

    async def put(self, key: str, data: bytes) -> None:
        if self.full:
            raise StoreFull("no room")
        await super().put(key, data)


class Story:
    """A clock, a source that answers with how often it was asked, and what remembers it."""

    def __init__(self, records: MemoryRecords | None = None) -> None:
        self.now = 1000.0
        self.asked = 0
        self.answer: str | Exception = "v{}"
        self.known: list[str | None] = []
        self.alive = True
        self.offline = False
        self.records = records or MemoryRecords()
        self.restart()

    def restart(self) -> None:
        self.remembered = Remembered(
            self.records, clock=lambda: self.now, alive=lambda: self.alive, offline=lambda: self.offline
        )

    async def fetch(self, known: str | None) -> str:
        self.asked += 1
        self.known.append(known)
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer.format(self.asked)

    async def ask(self) -> tuple[str, bool, float | None]:
        answer, provenance = await self.remembered.ask("tag", POLICY, self.fetch)
        return answer, provenance.stale, provenance.age


async def test_within_the_ttl_nobody_is_asked() -> None:
    story = Story()
    assert (await story.ask())[0] == "v1"
    story.now += 59
    assert await story.ask() == ("v1", False, 59)
    assert story.asked == 1


@played
async def test_a_little_later_it_is_served_stale_and_asked_behind_the_back() -> None:
    story = Story()
    await story.ask()
    story.now += 61
    assert await story.ask() == ("v1", True, 61)
    await asyncio.sleep(0.01)
    assert story.asked == 2
    assert await story.ask() == ("v2", False, 0)


async def test_a_store_that_is_full_takes_no_tag_back() -> None:
    """What it could not write down is remembered while the process lives, and not what it wrote down before."""
    records = FullRecords()
    story = Story(records)
    await story.ask()
    records.full = True
    story.now += 1000
    assert (await story.ask())[0] == "v2"
    story.now += 61
    story.answer = SourceUnavailable("gone")
    assert await story.ask() == ("v2", True, 61)


async def test_later_it_is_asked_first() -> None:
    story = Story()
    await story.ask()
    story.now += 1000
    assert (await story.ask())[0] == "v2"


async def test_when_the_source_fails_the_old_answer_stands_for_a_while() -> None:
    story = Story()
    await story.ask()
    story.answer = SourceUnavailable("gone")
    story.now += 1000
    assert await story.ask() == ("v1", True, 1000)
    story.now += 10_000
    with pytest.raises(SourceUnavailable):
        await story.ask()


async def test_a_source_not_known_to_live_is_not_waited_for() -> None:
    story = Story()
    await story.ask()
    story.alive = False
    story.now += 1000
    assert await story.ask() == ("v1", True, 1000)


async def test_unknown_is_remembered_shortly_and_only_when_it_once_was_on_record() -> None:
    story = Story()
    story.answer = ManifestUnknown()
    for _ in range(3):
        with pytest.raises(ManifestUnknown):
            await story.ask()
    assert story.asked == 1
    assert not await story.records.children("")
    story.now += 11
    story.answer = "v{}"
    assert (await story.ask())[0] == "v2"
    story.answer = ManifestUnknown()
    story.now += 1000
    with pytest.raises(ManifestUnknown):
        await story.ask()
    story.restart()
    with pytest.raises(ManifestUnknown):
        await story.ask()
    assert story.asked == 3


async def test_it_outlives_the_process_and_another_process_refreshes_it() -> None:
    story = Story()
    await story.ask()
    other = Story(story.records)
    other.now += 30
    assert await other.ask() == ("v1", False, 30)
    assert other.asked == 0
    other.now += 1000
    other.asked = 10
    assert (await other.ask())[0] == "v11"
    story.now = other.now + 1
    assert await story.ask() == ("v11", False, 1)


@played
async def test_who_is_asked_again_is_told_what_it_said_last() -> None:
    story = Story()
    await story.ask()
    story.now += 61
    await story.ask()  # behind its back
    await asyncio.sleep(0.01)
    story.now += 1000
    story.restart()
    await story.ask()
    story.now += 100_000  # too old to be served, but the source may still say that it holds
    await story.ask()
    assert story.known == [None, "v1", "v2", "v3"]


async def test_after_unknown_nothing_is_known() -> None:
    story = Story()
    await story.ask()
    story.answer = ManifestUnknown()
    story.now += 1000
    with pytest.raises(ManifestUnknown):
        await story.ask()
    story.answer = "v{}"
    story.now += 1000
    await story.ask()
    assert story.known == [None, "v1", None]


async def test_many_askers_make_one_question() -> None:
    story = Story()
    answers = await asyncio.gather(*(story.ask() for _ in range(100)))
    assert {answer for answer, _, _ in answers} == {"v1"}
    assert story.asked == 1


async def test_a_damaged_record_is_as_none() -> None:
    story = Story()
    await story.records.put("tag", b'{"answer": 3')
    assert (await story.ask())[0] == "v1"


@pytest.mark.parametrize("long", [False, True], ids=["a tag", "a list"])
@played
async def test_a_source_that_never_answers_costs_what_is_held_a_moment_once(long: bool) -> None:
    story = Story()
    await story.ask()
    hung = asyncio.Event()

    async def never(known: str | None) -> str:
        await hung.wait()
        return "late"

    loop = asyncio.get_running_loop()
    waited = []
    for _ in range(4):
        story.now += 100
        began = loop.time()
        answer, provenance = await story.remembered.ask("tag", POLICY, never, long=long)
        waited.append(loop.time() - began)
        assert (answer, provenance.stale) == ("v1", True)
    assert waited == pytest.approx([SOON, AT_ONCE, AT_ONCE, AT_ONCE])
    hung.set()
    await eventually(
        lambda: story.remembered.ask("tag", POLICY, never, long=long),
        "the late answer",
        until=lambda answer: answer[0] == "late",
    )
    await story.remembered.close()


@played
async def test_time_in_which_the_process_stood_still_is_not_the_source_s() -> None:
    """Else a node whose machine was paused says that a tag is stale, and hurries the questions that follow."""
    story, loop = Story(), asyncio.get_running_loop()
    await story.ask()
    story.now += 1000

    async def slow(known: str | None) -> str:
        await asyncio.sleep(1.5 * SOON)
        return "new"

    loop.call_later(0.5 * SOON, busy, SOON + STOOD)
    answer, provenance = await story.remembered.ask("tag", POLICY, slow)
    assert (answer, provenance.stale) == ("new", False)


@played
async def test_a_list_that_takes_long_hurries_no_tag() -> None:
    story, hung = Story(), asyncio.Event()
    await story.ask()

    async def walk(known: str | None) -> str:
        await hung.wait()
        return "walked"

    async def slow(known: str | None) -> str:
        await asyncio.sleep(2 * AT_ONCE)
        return "new"

    await story.records.put("list", Entry("old", 0.0).encode())
    story.now = 1000
    assert (await story.remembered.ask("list", POLICY, walk, long=True))[0] == "old"
    story.now = 1200
    answer, provenance = await story.remembered.ask("tag", POLICY, slow)
    assert (answer, provenance.stale) == ("new", False)
    await story.remembered.close()


DAY = 86400.0


@pytest.mark.parametrize("restarted", [False, True])
async def test_offline_an_answer_is_good_for_longer_than_among_errors(restarted: bool) -> None:
    story = Story()
    await story.ask()
    story.answer = SourceUnavailable("answered 503")
    story.now += 3700 + 60
    if restarted:
        story.restart()
        story.alive = False
    with pytest.raises(SourceUnavailable):
        await story.ask()
    story.answer, story.offline = SourceUnavailable("no answer: refuses connections"), True
    for days in (0, 29):
        story.now += days * DAY
        answer, stale, age = await story.ask()
        assert (answer, stale) == ("v1", True) and age is not None
    story.now += 2 * DAY
    with pytest.raises(SourceUnavailable):
        await story.ask()
    story.answer = "v{}"
    assert (await story.ask())[1] is False, "back is back"
