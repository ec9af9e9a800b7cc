"""The wire that counts what crosses it adds nothing of its own."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from tests.clients.wire import Wire
from tests.eventually import eventually_here
from tests.simulators.parent import plain_parent

pytestmark = pytest.mark.slow


def blobs(wire: Wire) -> int:
    return len([request for request in wire.seen() if request.of_blob])


@pytest.mark.parametrize("size", [5, 65_536, 200_000])
async def test_each_request_crosses_once(tmp_path: Path, size: int) -> None:
    async with plain_parent() as parent:
        digest = parent.add(bytes(size))
        with Wire(f"http://127.0.0.1:{parent.port}", tmp_path / "to") as to_parent:
            with Wire(to_parent.url, tmp_path / "from") as wire:
                async with aiohttp.ClientSession() as client:
                    for _ in range(6):
                        async with client.get(f"{wire.url}/v2/team/app/blobs/{digest}") as answer:
                            assert len(await answer.read()) == size
                eventually_here(
                    lambda: min(blobs(wire), blobs(to_parent)) >= 6, "the last to be written down", 20
                )
                assert (blobs(wire), blobs(to_parent)) == (6, 6)
