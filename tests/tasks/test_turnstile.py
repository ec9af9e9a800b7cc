"""How many go on in one turn of the loop."""

from __future__ import annotations

import asyncio

from registry_mesh.tasks.turnstile import MOST, Turnstile


async def test_a_few_go_on_in_each_turn_and_all_in_the_end() -> None:
    turnstile, passed, turns = Turnstile(), list[int](), list[int]()

    async def one(number: int) -> None:
        await turnstile.passed()
        passed.append(number)

    crowd = [asyncio.ensure_future(one(number)) for number in range(10 * MOST)]
    crowd[MOST + 1].cancel()
    while not all(each.done() for each in crowd):
        before = len(passed)
        await asyncio.sleep(0)
        turns.append(len(passed) - before)
    assert passed == [number for number in range(10 * MOST) if number != MOST + 1]
    assert max(turns) <= 2 * MOST, "of one turn, and of the one in which this task had its own"
    await turnstile.passed()


async def test_who_waits_and_is_cancelled_takes_nobody_s_turn() -> None:
    turnstile = Turnstile(1)
    await turnstile.passed()
    waiting = [asyncio.ensure_future(turnstile.passed()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.gather(waiting[0], waiting[2])
    assert waiting[1].cancelled()
