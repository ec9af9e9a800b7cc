"""Whose turn it is to write to an upload session.

A client whose connection broke comes back at once, perhaps to another process, while the server still waits for bytes
from the dead connection, for minutes where no packet says that it is dead. So the second one waits a little; and one
that goes on exactly where the session stands is let in by a holder that has not seen a byte for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar

from registry_mesh.oci.refusals import BlobUploadInvalid
from registry_mesh.ports.failures import Failure

PATIENCE: Final = 10.0
"""Seconds that a request waits for its turn."""

QUIET: Final = 2.0
"""Seconds without a byte after which a holder gives way."""

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5

T = TypeVar("T")


class TurnTaken(BlobUploadInvalid):
    """Another request has the turn."""

    def __init__(self, **detail: object) -> None:
        super().__init__("another request is writing to this upload", **detail)


async def turn(attempt: Callable[[], Awaitable[T]], patience: float) -> T:
    """What `attempt` gives once it is not `TurnTaken` any more; `TurnTaken` where that takes longer than `patience`."""
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + patience, _FIRST_PAUSE
    while True:
        try:
            return await attempt()
        except TurnTaken:
            if loop.time() >= deadline:
                raise
        await asyncio.sleep(min(pause, patience))
        pause = min(2 * pause, _LONGEST_PAUSE)


class TurnPulse:
    """When a holder last saw a byte. While it works on what it has, it is not quiet."""

    def __init__(self, quiet: float = QUIET) -> None:
        self.allowed = quiet
        self._clock = asyncio.get_running_loop().time
        self._beat = self._clock()
        self._working = 0

    @property
    def quiet(self) -> bool:
        """Whether the holder has seen no byte for longer than it is allowed, and waits for one."""
        return not self._working and self._clock() - self._beat >= self.allowed

    def __enter__(self) -> None:
        self._working += 1

    def __exit__(self, *_: object) -> None:
        self._working -= 1
        self._beat = self._clock()


@asynccontextmanager
async def giving_way(pulse: TurnPulse, asked: Callable[[], Awaitable[bool]]) -> AsyncIterator[None]:
    """Hold the turn for the body; it is ended by `BlobUploadInvalid` where it is quiet and the turn is `asked` for."""
    try:
        async with asyncio.timeout(None) as turn_of_ours:
            watcher = asyncio.create_task(_watch(pulse, asked, turn_of_ours), name="upload turn")
            try:
                yield
            finally:
                watcher.cancel()
                await asyncio.wait([watcher])  # it may be writing
    except TimeoutError:
        if not turn_of_ours.expired():
            raise
        raise BlobUploadInvalid("another request went on with this upload") from None


async def _watch(pulse: TurnPulse, asked: Callable[[], Awaitable[bool]], until: asyncio.Timeout) -> None:
    while True:
        await asyncio.sleep(pulse.allowed / 4)
        with suppress(Failure):  # the holder meets it too
            if pulse.quiet and await asked() and pulse.quiet:
                until.reschedule(asyncio.get_running_loop().time())
                return
