"""Another registry as a source: the ear for what the edge speaks (distribution-spec, "Pulling", "Listing")."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import aclosing, suppress
from typing import Any, Final

from registry_mesh.oci.endpoints import Endpoint
from registry_mesh.oci.reference import RegistryName, RepositoryName, parse_name
from registry_mesh.oci.refusals import NameInvalid
from registry_mesh.ports.repositories import Repository
from registry_mesh.upstream.blobs import ParentBlobs
from registry_mesh.upstream.documents.lists import ParentLists
from registry_mesh.upstream.documents.manifests import ParentManifests
from registry_mesh.upstream.documents.pages import page
from registry_mesh.upstream.documents.walk import PAGE, Walk
from registry_mesh.upstream.health.parent import KnownParent
from registry_mesh.upstream.repository import ParentRepository
from registry_mesh.upstream.session import ParentSession

_log: Final = logging.getLogger(__name__)


class UpstreamRegistry:
    """One parent, asked for one registry's repositories.

    `ns` is sent as containerd does: where the parent's host is not the registry's own name.
    """

    def __init__(
        self, session: ParentSession, registry: RegistryName, fields: Mapping[str, str] | None = None
    ) -> None:
        """`fields` are sent with every request for what is in a repository."""
        self._fields = fields or {}
        self.session = session
        self.registry = registry
        own = {registry, "registry-1.docker.io" if registry == "docker.io" else registry}
        self.query: Mapping[str, str] = {} if session.name in own else {"ns": registry}

    @property
    def name(self) -> str:
        """The parent's name."""
        return self.session.name

    @property
    def parent(self) -> KnownParent:
        """What is known of the parent."""
        return self.session.parent

    def repository(self, name: RepositoryName) -> Repository:
        """The repository as the parent has it, below the folder of the parent's URL."""
        parent = self.asked(name)
        manifests = ParentManifests(parent)
        lists = ParentLists(parent, manifests)
        return Repository(self.registry, name, ParentBlobs(parent), manifests, lists, lists)

    def asked(self, name: RepositoryName) -> ParentRepository:
        """How the parent is asked for a repository."""
        folder = self.session.folder
        there = RepositoryName(f"{folder}/{name}") if folder else name
        return ParentRepository(self.session, there, self.query, self._fields, self.registry)

    async def repositories(self) -> AsyncIterator[RepositoryName]:
        """Those that the parent lists, by `_catalog`. `SourceUnavailable` where it does not offer that."""
        walk = Walk(self._page, f"{Endpoint.CATALOG.path()}?n={PAGE}", "repositories", self.name)
        async with aclosing(walk.pages()) as pages:
            async for names in pages:
                for name in self._below(names):
                    with suppress(NameInvalid):
                        yield parse_name(name)
        if walk.note:
            _log.warning("%s: its list of repositories %s", self.name, walk.note)

    def _below(self, names: Iterable[str]) -> Iterator[str]:
        """Those in the parent's folder, as they are called there."""
        folder = f"{self.session.folder}/" if self.session.folder else ""
        return (name.removeprefix(folder) for name in names if name.startswith(folder))

    async def _page(self, path: str) -> tuple[dict[str, Any], str | None]:  # Any: JSON
        return await page(self.session, path, "registry:catalog:*", "list of repositories", self.query)
