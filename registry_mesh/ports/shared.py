"""Blobs that several sites share, and blobs that are near."""

from __future__ import annotations

from typing import Protocol

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.cache import KnownSizes


class SharedBlobs(BlobSource, Protocol):
    """The shared place. Its readings give bytes as they come: the caller checks them."""

    @property
    def name(self) -> str:
        """What its readings name as their source."""
        ...

    def reject(self, digest: Digest) -> None:
        """Bytes of that blob were wrong: look again, and forget what is. Returns at once."""
        ...


class SharedStore(Protocol):
    """A site's store, some of whose blobs are shared."""

    @property
    def near(self) -> NearBlobs:
        """What this site can send at once."""
        ...

    @property
    def shared(self) -> SharedBlobs:
        """The bucket's side, which other sites write too."""
        ...

    def redirects(self, digest: Digest) -> bool:
        """Whether clients can be sent to the shared place for it, as far as is known without asking there."""
        ...


class NearBlobs(BlobSource, KnownSizes, Protocol):
    """What can be sent at once, and what is known of the size of the rest."""
