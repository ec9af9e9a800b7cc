"""The registries that rules push out to, each through the same session by which it is read."""

from __future__ import annotations

from collections.abc import Mapping

from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.upstream.pushes.place import PushPlace
from registry_mesh.upstream.pushes.repository import OutwardRepository
from registry_mesh.upstream.pushes.traits import Traits
from registry_mesh.upstream.pushes.upload import CHUNK
from registry_mesh.upstream.registry import UpstreamRegistry


class PushedRegistries:
    """Implements `ports.outward.OutwardRegistries`. `chunk`: bytes of one request."""

    def __init__(
        self,
        registries: Mapping[RegistryName, UpstreamRegistry],
        records: KeyedRecords,
        chunk: int = CHUNK,
    ) -> None:
        self._registries = registries
        self._records = records
        self._chunk = chunk
        self._traits = {name: Traits() for name in registries}
        self._made: dict[tuple[RegistryName, RepositoryName], OutwardRepository] = {}

    def repository(self, registry: RegistryName, name: RepositoryName) -> OutwardRepository:
        """The same object for the same repository."""
        key = (registry, name)
        if key not in self._made:
            there = self._registries[registry]
            place, read = PushPlace(registry, there.asked(name)), there.repository(name)
            self._made[key] = OutwardRepository(
                place, read, self._traits[registry], self._records, self._chunk
            )
        return self._made[key]
