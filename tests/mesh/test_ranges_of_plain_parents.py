"""A site before a registry of another kind: what a client is told of a range that nothing proves."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from registry_mesh.assembly.node.build import running
from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.config.schema import Config
from tests.eventually import eventually
from tests.simulators.parent import plain_parent
from tests.suites.bytes_of import pattern

LAYER = pattern(3 * MIB, seed=5)
RANGE = {"Range": "bytes=1000-200000"}


@pytest.mark.parametrize(
    ("ranges", "status", "unproven"),
    [("unproven", 206, True), ("whole-first", 206, False), ("refuse", 403, False)],
)
async def test_what_is_not_proven_is_said_to_be(
    tmp_path: Path, ranges: str, status: int, unproven: bool
) -> None:
    async with plain_parent() as parent:
        url = f"http://127.0.0.1:{parent.port}"
        digest = parent.add(LAYER)
        config = {
            "role": "site",
            "name": "site",
            "listen": {"address": "127.0.0.1", "port": 0},
            "admin": {"port": 0},
            "store": {"disk": {"path": str(tmp_path)}},
            "registries": {"r.example": {"default": True, "parents": [[url]], "ranges": ranges}},
        }
        async with running(Config.model_validate(config)) as node, aiohttp.ClientSession() as client:
            blob = f"{node.url}/v2/team/app/blobs/{digest}"
            for _ in range(3):  # cold, held in part, perhaps by the fast path
                async with client.get(blob, headers=RANGE) as answer:
                    body = await answer.read()
                    assert answer.status == status
                    if status == 206:
                        assert body == LAYER[1000:200001]
                        assert ("; unproven" in answer.headers["Cache-Status"]) is unproven
                    else:
                        assert b"pull it whole" in body
            async with client.get(blob) as answer:
                assert await answer.read() == LAYER
                assert "unproven" not in answer.headers["Cache-Status"]

            async def told() -> str:
                async with client.get(blob, headers=RANGE) as answer:
                    assert await answer.read() == LAYER[1000:200001]
                    return answer.headers["Cache-Status"]

            # what the fast path keeps of a blob on its way lives a moment longer
            await eventually(told, "a range of what is held", until=lambda said: said == '"site"; hit')
