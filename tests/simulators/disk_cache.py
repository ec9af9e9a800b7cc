"""A site's cache on a disk, with a parent that gives what is put into it."""

from __future__ import annotations

from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.stores.disk.store import DiskStore
from tests.simulators.source import SimulatedSource


class DiskCache:
    """Over a store that the caller opens and closes; `fills` are the caller's to close, too."""

    def __init__(self, store: DiskStore, data: bytes) -> None:
        self.source = SimulatedSource()
        self.source.add(data)
        self.store = store
        self.fills = Fills(store, FillPolicy(complete_after=2))
        self.through = PullThrough(store, self.source, self.fills)
