"""Questions that the processes of a node ask once between them: also where the one that asks hangs, fails or dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from registry_mesh.content.nest.asked_once import AskedOnce
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.stores.disk.store import DiskStore
from tests.eventually import SECONDS, eventually

FOREVER = 3600.0


class Node:
    """Processes over one store, and what one of them has written down."""

    def __init__(self, store: DiskStore) -> None:
        self.store = store
        self.written: str | None = None
        self.asked = 0
        self.answers = asyncio.Event()
        self.broken = False

    async def look(self) -> str | None:
        return self.written

    async def ask(self) -> str:
        self.asked += 1
        await self.answers.wait()
        if self.broken:
            raise SourceUnavailable("gone")
        self.written = f"answer {self.asked}"
        return self.written

    def process(self, patience: float = FOREVER) -> asyncio.Task[str]:
        """Begin to ask in one more of them."""
        return asyncio.create_task(AskedOnce(self.store, patience)("key", self.look, self.ask))  # type: ignore[arg-type]

    async def begun(self, asked: int = 1) -> None:
        await eventually(lambda: self.asked == asked, "a question")


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    store = await DiskStore.start(tmp_path)
    yield Node(store)
    await store.close()


async def test_the_others_find_what_one_has_learned(node: Node) -> None:
    asking = [node.process() for _ in range(8)]
    await node.begun()
    node.answers.set()
    async with asyncio.timeout(SECONDS):
        assert await asyncio.gather(*asking) == ["answer 1"] * 8
    assert node.asked == 1


async def test_where_one_hangs_the_next_asks_after_its_patience(node: Node) -> None:
    hung = node.process()
    await node.begun()
    other = node.process(patience=0.05)
    await node.begun(2)
    assert not hung.done() and not other.done()
    node.answers.set()
    async with asyncio.timeout(SECONDS):
        assert {await hung, await other} == {"answer 2"}


@pytest.mark.parametrize("how", ["fails", "is given up"])
async def test_where_one_has_no_answer_the_next_asks_at_once(node: Node, how: str) -> None:
    first = node.process()
    await node.begun()
    second = node.process()
    if how == "fails":
        node.broken = True
        node.answers.set()
        with pytest.raises(SourceUnavailable):
            await first
    else:
        first.cancel()
    await node.begun(2)
    node.broken = False
    node.answers.set()
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(second, return_exceptions=True)
    assert node.asked == 2


async def test_a_store_that_cannot_lock_keeps_nobody_from_asking(node: Node) -> None:
    node.answers.set()
    locks = node.store.layout.run / "locks"
    for each in locks.iterdir():
        each.unlink()
    locks.rmdir()
    locks.write_bytes(b"")
    assert await node.process() == "answer 1"
