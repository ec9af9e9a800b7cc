"""What came of blobs and is not in the store for good yet: kept by this machine alone, for the process that follows one
that was killed.

Nothing is lost with it but time. The digest of the whole proves what is made of it, as it proves what a source sends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.tasks.threads import offload

Receive = Callable[[], bytes]
"""Gives the next bytes of a stream, as far as they are here."""


class Remainder(Protocol):
    """Of one blob. Left, it stays, unless it was forgotten."""

    def after(self, offset: int) -> AsyncIterator[bytes]:
        """The bytes from `offset` on, as many as are here without a gap."""
        ...

    def spans(self) -> list[Span]:
        """All that is here, in order. One may begin where the one before ends, or before that."""
        ...

    async def write(self, offset: int, data: bytes, kept: int) -> None:
        """Take in what came at `offset`. The store has the bytes before `kept` for good: they are not needed here.

        Several streams of the blob may each bring bytes of their own."""
        ...

    async def write_from(self, offset: int, receive: Receive, kept: int) -> list[bytes]:
        """Take in, and return, what `receive` gives from `offset` on, until that is nothing. It is called in the worker
        thread that writes, each time once all that it gave before is written. A failure to receive is raised where it
        gave nothing before; else the next call tells of it. `SourceUnavailable`."""
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

    def spans(self) -> list[Span]:
        return []

    async def write(self, offset: int, data: bytes, kept: int) -> None:
        """Keep nothing."""

    async def write_from(self, offset: int, receive: Receive, kept: int) -> list[bytes]:
        return [await offload(receive)]

    async def forget(self) -> None:
        """There is nothing."""


NOTHING: Remainder = _Nothing()


class NoRemainders:
    """Implements `Remainders` where nothing is kept."""

    def of(self, digest: Digest) -> AbstractAsyncContextManager[Remainder]:
        """An empty one."""
        return nullcontext(NOTHING)


_: type[Remainders] = NoRemainders
