"""To be the only one, among the processes of a machine, that does something: a lock on a file.

The kernel gives it back when its owner dies, so that nothing is left to clean up.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from registry_mesh.ports.storage import Alone
from registry_mesh.stores.disk.locks import try_flock
from registry_mesh.stores.faults import translated
from registry_mesh.tasks.threads import offload

_POLL: Final = 0.2


@asynccontextmanager
async def exclusive(path: Path, busy: Callable[[int | None], None]) -> AsyncIterator[None]:
    """Wait until nobody else is in. Where that takes time `busy` is told once, with the process that is in, if it
    left its id. `StoreBroken`."""
    with translated("taking a lock"):
        fd = await offload(_opened, path)
        try:
            told = False
            while not try_flock(fd, shared=False):
                if not told:
                    busy(await offload(_owner, fd))
                told = True
                await asyncio.sleep(_POLL)
            await offload(_sign, fd)
        except BaseException:
            os.close(fd)
            raise
    try:
        yield
    finally:
        os.close(fd)


def alone_below(folder: Path) -> Alone:
    """`exclusive` by a word, which names a file in `folder`."""
    return lambda what, busy: exclusive(folder / what, busy)


def _opened(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _owner(fd: int) -> int | None:
    written = os.pread(fd, 32, 0).strip()
    return int(written) if written.isdigit() else None


def _sign(fd: int) -> None:
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
