"""The images that a node holds: tags that it knows, with what of each is here."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence

from registry_mesh.admin.images import Unheeded
from registry_mesh.assembly.sources.repositories import open_repositories
from registry_mesh.config.schema import Config
from registry_mesh.content.holdings.forms import Form, forms_of
from registry_mesh.content.holdings.image import Image, Looks
from registry_mesh.content.nest.remembered_referrers import remembered_referrers
from registry_mesh.content.nest.remembered_tags import remembered_tags
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.holdings import Holdings
from registry_mesh.ports.place import Place
from registry_mesh.ports.repositories import EVERY, Repository
from registry_mesh.ports.storage import Storage
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.repositories.of_replica import ReplicaRepositories
from registry_mesh.tasks.together import ask_each


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

    async def forms(self, images: Sequence[Image]) -> list[list[Form]]:
        """The other forms of each. `Unheeded` where nothing tells."""
        looks = Looks(self._storage.blobs, self.holdings())
        listed = await ask_each(self._referrers, images)  # in a bucket each takes its time
        return [await forms_of(looks, image.place, each) for image, each in zip(images, listed, strict=True)]

    async def _referrers(self, image: Image) -> Sequence[Descriptor]:
        if self._config.role == "site":
            return await remembered_referrers(self._storage.records, image.place, image.digest)
        try:
            return (await self._repository(image.place).referrers.referrers(image.digest)).descriptors
        except Refusal:  # deleted since
            return ()

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
            registry = RegistryName(self._config.registry or "origin")
            async for name in self._own().names(""):
                yield self._own().repository(registry, name)
            return
        for registry in self.registries:
            async for name in self._replicated().repositories(registry):
                yield self._replicated().repository(registry, name).kept

    def _repository(self, place: Place) -> Repository:
        if self._config.role == "origin":
            return self._own().repository(place.registry, place.repository)
        return self._replicated().repository(place.registry, place.repository).kept

    def _own(self) -> Repositories:
        return open_repositories(self._config, self._storage, lambda who, name: False)

    def _replicated(self) -> ReplicaRepositories:
        return ReplicaRepositories(self._storage.records, self._storage.blobs, time.time)
