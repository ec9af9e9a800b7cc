"""What came of blobs and is not in the store for good yet: kept by this machine alone, for the process that follows one
that was killed.

Nothing is lost with it but time. The digest of the whole proves what is made of it, as it proves what a source sends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol

from registry_mesh.oci.digest import Digest


class Remainder(Protocol):
    """Of one blob. Left, it stays, unless it was forgotten."""

    def after(self, offset: int) -> AsyncIterator[bytes]:
        """The bytes from `offset` on, as many as are here without a gap."""
        ...

    async def write(self, offset: int, data: bytes, kept: int) -> None:
        """Take in what came at `offset`. The store has the bytes before `kept` for good: they are not needed here."""
        ...

    async def forget(self) -> None:
        """Nothing of it is needed any more."""
        ...


class Remainders(Protocol):
    """Of the blobs on their way."""

    def of(self, digest: Digest) -> AbstractAsyncContextManager[Remainder]:
        """That of one blob, for one process at a time: to another it is empty and stays so."""
        ...


class _Nothing:
    """Implements `Remainder`."""

    async def after(self, offset: int) -> AsyncIterator[bytes]:
        return
        yield b""

    async def write(self, offset: int, data: bytes, kept: int) -> None:
        """Keep nothing."""

    async def forget(self) -> None:
        """There is nothing."""


NOTHING: Remainder = _Nothing()


class NoRemainders:
    """Implements `Remainders` where nothing is kept."""

    def of(self, digest: Digest) -> AbstractAsyncContextManager[Remainder]:
        """An empty one."""
        return nullcontext(NOTHING)


_: type[Remainders] = NoRemainders
