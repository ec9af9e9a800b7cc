"""Ports for servers that are about to be started."""

from __future__ import annotations

import fcntl
import itertools
import os
import socket
from functools import cache
from typing import Final

_FIRST: Final = 12_000
_MANY: Final = 20_000
"""Below those that the kernel gives to outgoing connections, which could take a port before its server does."""
_TAKEN: Final = f"/tmp/registry-mesh-ports.{os.getuid()}"
"""A byte of it is locked for each port that a process of tests has taken. The lock ends with the process."""

_numbers = itertools.count(os.getpid() * 37)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, another one at each call.

    It stays this process's: one that a stopped node will want again is not another's meanwhile, neither of the tests
    beside these nor of another run on this machine.
    """
    for number in itertools.islice(_numbers, _MANY):
        port = _FIRST + number % _MANY
        if _take(port) and _is_free(port):
            return port
    raise OSError("every port is taken")


def _take(port: int) -> bool:
    try:
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@cache
def _locks() -> int:
    """Never closed: that would end the locks."""
    return os.open(_TAKEN, os.O_RDWR | os.O_CREAT, 0o600)


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
