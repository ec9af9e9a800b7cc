"""The images that a node holds: tags that it knows, with what of each is here."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from registry_mesh.admin.images import Unheeded
from registry_mesh.assembly.sources.repositories import open_repositories
from registry_mesh.config.schema import Config
from registry_mesh.content.holdings.image import Image, Looks
from registry_mesh.content.nest.remembered_tags import remembered_tags
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.holdings import Holdings
from registry_mesh.ports.place import Place
from registry_mesh.ports.repositories import EVERY, Repository
from registry_mesh.ports.storage import Storage
from registry_mesh.repositories.of_replica import ReplicaRepositories


class HeldImages:
    """Of the node that `config` describes, in its open storage."""

    def __init__(self, config: Config, storage: Storage) -> None:
        self._config = config
        self._storage = storage
        self.registries = [RegistryName(host) for host in config.registries]

    async def all(self) -> list[Image]:
        """Those of which anything is here, by name. `Unheeded` where nothing tells."""
        looks = Looks(self._storage.blobs, self.holdings())
        found = [await looks.image(place, tag, digest) async for place, tag, digest in self._tags()]
        return sorted((image for image in found if image.held), key=lambda image: image.name)

    def holdings(self) -> Holdings:
        """What is here of each blob. `Unheeded` where nothing tells."""
        if self._storage.holdings is None:
            raise Unheeded(f"a {self._config.role} on a bucket keeps no account of images: ask the bucket")
        return self._storage.holdings

    async def _tags(self) -> AsyncIterator[tuple[Place, str, Digest]]:
        if self._config.role == "site":
            async for each in remembered_tags(self._storage.records, self.registries):
                yield each.place, each.tag, each.digest
            return
        async for repository in self._kept():
            for tag in (await repository.tags.tags(EVERY)).tags:
                try:
                    digest = (await repository.tags.resolve(tag)).descriptor.digest
                except Refusal:  # deleted since
                    continue
                yield Place(repository.registry, repository.name), tag, digest

    async def _kept(self) -> AsyncIterator[Repository]:
        if self._config.role == "origin":
            own = open_repositories(self._config, self._storage, lambda who, name: False)
            async for name in own.names(""):
                yield own.repository(RegistryName(self._config.registry or "origin"), name)
            return
        held = ReplicaRepositories(self._storage.records, self._storage.blobs, time.time)
        for registry in self.registries:
            async for name in held.repositories(registry):
                yield held.repository(registry, name).kept
