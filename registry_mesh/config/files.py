"""Files that people name: read beside a loop that serves, so that one on a disk that hangs holds up no request."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

import aiofiles

from registry_mesh.config.finding import ConfigInvalid, Finding
from registry_mesh.tasks.files import ON_DISK, Files
from registry_mesh.tasks.threads import offload

_OPEN: Final = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")
"""What is open already: a shell's `<(...)` is a pipe whose other end writes."""


async def read_file(path: str | Path) -> bytes:
    """The whole content of the file. Raises `ConfigInvalid` where it cannot be read."""
    await offload(demand_file, path)
    try:
        async with aiofiles.open(path, "rb") as file:
            return await file.read()
    except OSError as fault:
        raise unreadable(path, fault) from None


def content_of(path: str | Path, files: Files = ON_DISK) -> bytes:
    """As `read_file`, for what no loop waits for."""
    if files is ON_DISK:
        demand_file(path)
    try:
        return files.data(str(path))
    except OSError as fault:
        raise unreadable(path, fault) from None


def demand_file(path: str | Path) -> None:
    """`ConfigInvalid` where `path` cannot be looked at, or is a named pipe, a socket or a device: who opens one may
    wait for ever."""
    if str(path).startswith(_OPEN):
        return
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError) as fault:
        raise unreadable(path, fault if isinstance(fault, OSError) else OSError(0, str(fault))) from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        what = "a pipe, a socket or a device, which may never end"
        raise ConfigInvalid([Finding(str(path), None, (), what, "name a file")])


def unreadable(path: str | Path, fault: OSError) -> ConfigInvalid:
    """What to raise for a file or folder that cannot be read."""
    return ConfigInvalid([Finding(str(path), None, (), fault.strerror or "unreadable")])
