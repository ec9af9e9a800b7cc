"""Which process holds a lease, and whether it lives."""

from __future__ import annotations

import os
import platform
from functools import cache

from registry_mesh.stores.boot import boot_id


@cache
def _machine() -> str:
    return f"{boot_id()}/{platform.node()}"


def process_name(pid: int) -> str:
    """Return the name of a process of this machine, by which others there can tell that it died."""
    return f"{_machine()}/{pid}"


def this_process() -> str:
    """Return the name of this process."""
    return process_name(os.getpid())


def is_dead(by: str) -> bool:
    """Return whether the process was on this machine and is gone."""
    machine, _, pid = by.rpartition("/")
    if machine != _machine() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
