"""What the service manager is told (sd_notify(3)), and the sockets that it holds for a node (sd_listen_fds(3)). Where
there is none, nothing happens."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping, MutableMapping
from typing import Final

_FIRST: Final = 3
"""Of the descriptors that are handed to a service."""


def notify(*lines: str, environ: Mapping[str, str] = os.environ) -> None:
    """Send lines such as `READY=1`, `STOPPING=1`, `WATCHDOG=1`, `STATUS=…`."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
    ):
        out.sendto("\n".join(lines).encode(), address)


def watchdog_interval(environ: Mapping[str, str] = os.environ) -> float | None:
    """Seconds between signs of life that the manager wants of this process; half of its patience."""
    microseconds, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not microseconds.isdigit() or int(microseconds) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 2e6


def held_sockets(environ: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """The sockets that the manager listens on for this process, to be taken once: what connects while the service is
    started again waits there, and nobody is refused."""
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    held = [socket.socket(fileno=descriptor) for descriptor in range(_FIRST, _FIRST + int(count))]
    for each in held:
        each.set_inheritable(False)
        each.setblocking(False)
    return held
