"""Siblings: the other servers of a site, each of which brings a part of what the site lacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from registry_mesh.oci.reference import RepositoryName
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.parents import Health


@dataclass(frozen=True, slots=True)
class Sibling:
    """One other server, as it is asked for the blobs of one repository.

    `server`: its name, by which all of the site mean it. `source`: what its readings name as their source.
    """

    server: str
    source: str
    health: Health
    filling: BlobSource
    """Gives what it holds, and fetches the rest."""
    held: BlobSource
    """Gives what it holds. A failure says that it does not."""


@dataclass(frozen=True, slots=True)
class SiblingServer:
    """One other server, as it is asked for one registry."""

    server: str
    source: str
    health: Health
    filling: Callable[[RepositoryName], BlobSource]
    held: Callable[[RepositoryName], BlobSource]

    def repository(self, name: RepositoryName) -> Sibling:
        """The server, asked for the blobs of that repository."""
        return Sibling(self.server, self.source, self.health, self.filling(name), self.held(name))


@dataclass(frozen=True, slots=True)
class Siblings:
    """The servers of a site for one registry: what this one is called by the others, and the others."""

    server: str
    others: tuple[SiblingServer, ...]
