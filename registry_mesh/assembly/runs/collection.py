"""Collections of an origin's or a replica's store: one at a command, or again and again."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

from registry_mesh.assembly.labels import node_name
from registry_mesh.assembly.sources.audited import Keep, ran
from registry_mesh.assembly.sources.repositories import open_repositories
from registry_mesh.config.schema import Config
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.storage import Storage
from registry_mesh.repositories.collection import Collection, Progress
from registry_mesh.repositories.collection_report import CollectionReport
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

_LOOK: Final = 60.0
"""Seconds between two looks whether collections were switched on."""


def collects(config: Config) -> bool:
    """Whether the node removes by itself what nothing refers to."""
    return may_collect(config) and not config.pushes.read_only


def may_collect(config: Config) -> bool:
    """Whether that can be removed. A replica that fetches for clients, too, keeps in the same store what no document of
    its own speaks of: that is not told from garbage."""
    return config.role == "origin" or (
        config.role == "replica" and config.replication.fallthrough == "refuse"
    )


def new_collection(
    config: Config, storage: Storage, *, dry_run: bool = False, progress: Progress = lambda _: None
) -> Collection:
    """A collection of the store, ready to run."""
    return Collection(
        open_repositories(config, storage),
        dry_run=dry_run,
        remove_blobs=storage.remove_many,
        progress=progress,
    )


async def collect_again_and_again(config: Callable[[], Config], storage: Storage, keep: Keep) -> None:
    """Never ends. The first comes after one interval, give or take a tenth: hosts that start together take turns.
    `keep` takes lines of the audit log."""
    while True:
        interval = config().collection.interval
        if not interval:
            await asyncio.sleep(_LOOK)
            continue
        await asyncio.sleep(interval * random.uniform(0.9, 1.1))
        keep(await _collected(config(), storage))


async def _collected(config: Config, storage: Storage) -> str:
    """One collection, and its line for the audit log: one that failed may have removed something before."""
    try:
        report = await new_collection(config, storage).run()
    except Failure as fault:
        log.warning("the collection failed; the next goes on with it", extra={FIELDS: {"why": fault.reason}})
        return ran(config, "gc", node_name(config), f"failed: {fault.reason}")
    _tell(report)
    return ran(config, "gc", node_name(config), report.done)


def _tell(report: CollectionReport) -> None:
    log.info(
        "collected",
        extra={
            FIELDS: {
                "removed": report.removed,
                "removed_bytes": report.removed_bytes,
                "waiting": report.waiting,
                "spared": report.spared,
            }
        },
    )
