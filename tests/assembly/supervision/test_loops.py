import asyncio

import pytest

from registry_mesh.assembly.supervision.loops import LoopMissing, loop_factory


def test_asyncio_is_always_there() -> None:
    assert loop_factory("asyncio") is asyncio.new_event_loop


def test_auto_takes_uvloop_where_it_is_installed() -> None:
    pytest.importorskip("uvloop")
    loop = loop_factory("auto")()
    assert type(loop).__module__.startswith("uvloop")
    loop.close()


def test_without_uvloop_auto_goes_on_and_uvloop_is_a_fault() -> None:
    def nothing(name: str) -> None:
        return None

    assert loop_factory("auto", nothing) is asyncio.new_event_loop
    with pytest.raises(LoopMissing, match="registry-mesh\\[speed\\]"):
        loop_factory("uvloop", nothing)
