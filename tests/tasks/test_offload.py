"""Blocking calls run beside the loop."""

import threading

import pytest

from registry_mesh.tasks.offload import offload


async def test_runs_in_another_thread_and_gives_the_result() -> None:
    def call(a: int, *, b: int) -> tuple[int, int]:
        return a + b, threading.get_ident()

    result, thread = await offload(call, 1, b=2)
    assert result == 3
    assert thread != threading.get_ident()


async def test_raises_what_the_call_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        await offload(lambda: 1 // 0)
