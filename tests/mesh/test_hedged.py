"""A site whose first parent answers pings and nothing else, or heads and no bytes: its first pull of all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from registry_mesh.assembly.node.build import build
from registry_mesh.config.schema import Config
from registry_mesh.oci.digest import Digest
from tests.eventually import eventually
from tests.simulators.bare import listening
from tests.simulators.slow import SlowRegistry
from tests.suites.bytes_of import pattern

HOST = "r.example"
SMALL, LARGE = pattern(70_000, 3), pattern(2_000_000, 4)
HELD = {str(Digest.of(each)): each for each in (SMALL, LARGE)}


@pytest.mark.parametrize("silent", [True, False], ids=["no head", "no body"])
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_the_second_parent_gives_what_the_first_is_late_with(
    tmp_path: Path, silent: bool, data: bytes
) -> None:
    async with AsyncExitStack() as stack:
        bad, good = [
            await stack.enter_async_context(listening(each))
            for each in (
                SlowRegistry(blobs=HELD, pause=3600, drips_head=silent),
                SlowRegistry(blobs=HELD, step=len(data), pause=0),
            )
        ]
        parents = [[bad.url], [good.url]]
        config = {
            "role": "site",
            "name": "site",
            "listen": {"address": "127.0.0.1", "port": 0},
            "admin": {"port": 0},
            "store": {"disk": {"path": str(tmp_path / "store")}},
            "registries": {HOST: {"default": True, "parents": parents}},
        }
        node = build(Config.model_validate(config))
        await node.start()
        stack.push_async_callback(node.close)
        client = await stack.enter_async_context(aiohttp.ClientSession())

        async def late() -> Mapping[str, Any]:
            async with client.get(f"{node.admin_url}/status") as answer:
                [[first], _] = (await answer.json())["registries"][HOST]["parents"]
            return first["hedges"]

        async with asyncio.timeout(60):
            async with client.get(f"{node.url}/v2/team/app/blobs/{Digest.of(data)}") as answer:
                assert await answer.read() == data
            await eventually(late, "it to be counted")
            assert (await late()).get("won", 0) >= 1
        assert good.asked == 1, "every byte once"
        assert good.sent == len(data)
