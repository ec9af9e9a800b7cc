"""Ports for servers that are about to be started."""

from __future__ import annotations

import itertools
import os
import socket
from typing import Final

_FIRST: Final = 12_000
_MANY: Final = 20_000
"""Below those that the kernel gives to outgoing connections, which could take a port before its server does."""

_numbers = itertools.count(os.getpid() * 37)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, another one at each call."""
    for number in itertools.islice(_numbers, _MANY):
        port = _FIRST + number % _MANY
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("every port is taken")
