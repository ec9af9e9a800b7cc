"""What the service manager is told (sd_notify(3)). Where there is none, nothing happens."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


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
