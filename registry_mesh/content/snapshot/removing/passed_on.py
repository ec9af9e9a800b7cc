"""A kept repository that stands before another, and leaves to it what it does not do otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.ports.repositories import KeptRepository

R = TypeVar("R", bound=KeptRepository)


class PassedOn(Generic[R]):
    """Everything of `ports.repositories.KeptRepository` but what is read of it and what becomes of its tags."""

    def __init__(self, real: R) -> None:
        self._real = real

    async def link(self, blob: Digest) -> None:
        """As the real one."""
        await self._real.link(blob)

    async def put_manifest(self, manifest: Manifest, left_out: frozenset[Digest] = frozenset()) -> None:
        """As the real one."""
        await self._real.put_manifest(manifest, left_out)

    async def hold(self, digest: Digest) -> bool:
        """As the real one."""
        return await self._real.hold(digest)

    async def unhold(self, digest: Digest) -> None:
        """As the real one."""
        await self._real.unhold(digest)

    async def pinned(self) -> Sequence[Digest]:
        """As the real one."""
        return await self._real.pinned()
