"""The self-check of a node's store, with its parents to repair from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from registry_mesh.assembly.runs.menders import by_repository, menders
from registry_mesh.assembly.sources.repositories import open_repositories
from registry_mesh.assembly.sources.storage import open_storage
from registry_mesh.config.schema import Config
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.repositories.verify import Progress, SelfCheck, no_parents


@asynccontextmanager
async def open_self_check(
    config: Config, *, repair: bool = False, progress: Progress = lambda _: None
) -> AsyncIterator[tuple[SelfCheck, KeyedRecords]]:
    """The check, and the records of the store. `StoreBroken`, `NotBuilt`."""
    async with AsyncExitStack() as stack:
        storage = await open_storage(config)
        stack.push_async_callback(storage.close)
        asked = no_parents
        if repair:
            asked = by_repository(config, await stack.enter_async_context(menders(config)))
        yield SelfCheck(open_repositories(config, storage), parents=asked, progress=progress), storage.records
