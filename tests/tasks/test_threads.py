"""Blocking calls run beside the loop."""

import asyncio
import os
import threading

import pytest

from registry_mesh.tasks.threads import Pool, ask_remote, in_thread, offload, submit
from tests.eventually import eventually


async def test_runs_in_another_thread_and_gives_the_result() -> None:
    def call(a: int, *, b: int) -> tuple[int, int]:
        return a + b, threading.get_ident()

    result, thread = await offload(call, 1, b=2)
    assert result == 3
    assert thread != threading.get_ident()


async def test_raises_what_the_call_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        await offload(lambda: 1 // 0)


async def test_cancelled_it_waits_for_the_thread() -> None:
    begun, go, done = threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        assert go.wait(30)
        done.set()

    task = asyncio.ensure_future(offload(call))
    await eventually(begun.is_set, "the call to begin")
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()


async def test_a_question_to_a_server_is_left_when_it_is_cancelled() -> None:
    go = threading.Event()
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await ask_remote(go.wait, 30)
    finally:
        go.set()


async def test_answers_have_threads_while_every_one_of_the_stores_waits() -> None:
    go = threading.Event()
    waiting = [submit(go.wait, 30) for _ in range(100)]
    assert await in_thread(threading.get_ident) != threading.get_ident()
    assert not any(each.done() for each in waiting)
    go.set()
    assert all(await asyncio.gather(*map(asyncio.wrap_future, waiting)))


async def test_a_forked_child_has_threads_of_its_own() -> None:
    pool = Pool(1, "test")
    await pool.run(lambda: None)
    child = os.fork()
    if child == 0:
        os._exit(0 if pool.submit(int, "7").result(30) == 7 else 1)
    _, status = await in_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
