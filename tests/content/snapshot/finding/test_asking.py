"""Sources that ask us to come later, on a clock in the test's hand."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from registry_mesh.content.snapshot.finding.asking import LONGEST, PATIENCE, TRIES, Asking
from registry_mesh.oci.reference import RegistryName
from registry_mesh.oci.refusals import ManifestUnknown
from registry_mesh.ports.failures import (
    Failure,
    SourceDown,
    SourceErred,
    SourceThrottled,
    SourceUnavailable,
)

A, B = RegistryName("a.example"), RegistryName("b.example")


class World:
    """Time passes in `sleep` alone."""

    def __init__(self, *again: float) -> None:
        self.now = 100.0
        self.asking = Asking(4, lambda: self.now, self.sleep, again)
        self.asked: list[tuple[str, float]] = []

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.now += seconds

    async def ask(self, registry: RegistryName, *failures: Failure, name: str = "x") -> str:
        """A question that fails in these ways before it is answered."""
        left = list(failures)

        async def question() -> str:
            self.asked.append((name, self.now - 100))
            if left:
                raise left.pop(0)
            return name

        return await self.asking.ask(registry, question)


async def test_what_is_to_come_later_is_asked_for_then() -> None:
    world = World()
    assert (
        await world.ask(A, SourceThrottled("429", retry_after=7), SourceUnavailable("503", retry_after=1))
        == "x"
    )
    assert world.asked == [("x", 0), ("x", 7), ("x", 8)]


async def test_without_a_time_it_is_asked_after_longer_and_longer() -> None:
    world = World()
    await world.ask(A, *(SourceThrottled("429") for _ in range(TRIES - 1)))
    assert [at for _, at in world.asked] == [0, 1, 3, 7, 15]
    with pytest.raises(SourceThrottled):
        await world.ask(A, *(SourceThrottled("429") for _ in range(TRIES)))


async def test_all_questions_to_that_registry_wait_and_those_to_others_do_not() -> None:
    world = World()
    first = asyncio.ensure_future(world.ask(A, SourceThrottled("429", retry_after=9)))
    while not world.asked:
        await asyncio.sleep(0)
    assert await world.ask(B, name="other") == "other"
    assert world.asked[-1] == ("other", 0)
    await world.ask(A, name="same")
    await first
    assert min(at for name, at in world.asked if name == "same") >= 9


async def test_what_waiting_does_not_mend_comes_through_at_once() -> None:
    world = World()
    for failure in (SourceUnavailable("500"), SourceDown("down")):
        with pytest.raises(Failure):
            await world.ask(A, failure)
    assert len(world.asked) == 2


async def test_a_parent_that_is_left_alone_for_its_503s_is_waited_for() -> None:
    world = World()
    assert await world.ask(A, SourceUnavailable("503", retry_after=1), SourceDown("down")) == "x"
    assert [at for _, at in world.asked] == [0, 1, 3]


async def test_neither_one_answer_nor_all_together_make_a_run_wait_for_ever() -> None:
    world = World()
    await world.ask(A, SourceThrottled("429", retry_after=86_400))
    assert world.asked[-1][1] == LONGEST
    with pytest.raises(SourceThrottled):
        while True:
            await world.ask(A, SourceThrottled("429", retry_after=LONGEST))
    assert world.now - 100 <= PATIENCE


async def test_what_fails_for_a_moment_is_asked_again_and_holds_up_no_other() -> None:
    world = World(0.5, 2.0, 6.0)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(world.ask(A, *(SourceUnavailable("answered 503") for _ in range(3))))
        while not world.asked:
            await asyncio.sleep(0)
        assert await world.ask(A, name="other") == "other"
        assert world.asked[1] == ("other", 0)
    assert first.result() == "x"
    assert [at for name, at in world.asked if name == "x"] == [0, 0.5, 2.5, 8.5]


async def test_a_source_that_is_left_alone_for_its_503_is_asked_again_too() -> None:
    world = World(0.5, 2.0, 6.0)
    assert await world.ask(A, SourceUnavailable("answered 503"), SourceDown("left alone")) == "x"
    with pytest.raises(SourceDown):
        await world.ask(A, SourceDown("nobody was asked"))
    with pytest.raises(SourceErred):
        await world.ask(A, SourceErred("answered 500"))


@pytest.mark.parametrize("answer", [None, ManifestUnknown()])
async def test_a_registry_that_answers_nothing_is_asked_each_thing_once_until_it_does(
    answer: ManifestUnknown | None,
) -> None:
    world = World(0.5, 2.0, 6.0)

    async def fails() -> int:
        before = len(world.asked)
        with pytest.raises(SourceUnavailable):
            await world.ask(A, *(SourceUnavailable("answered 503") for _ in range(9)))
        return len(world.asked) - before

    async def answered() -> None:
        if answer is not None:
            raise answer

    assert [await fails(), await fails(), await fails()] == [4, 1, 1]
    with suppress(ManifestUnknown):
        await world.asking.ask(A, answered)
    assert await fails() == 4
