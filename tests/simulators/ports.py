"""Ports for servers that are about to be started."""

from __future__ import annotations

import itertools
import os
import re
import socket
from typing import Final

_FIRST: Final = 12_000
_MANY: Final = 20_000
"""Below those that the kernel gives to outgoing connections, which could take a port before its server does."""
_WORKERS: Final = 16
"""Each of pytest's workers has ports of its own: one that a stopped node will want again is not another's meanwhile."""

_numbers = itertools.count(os.getpid() * 37)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, another one at each call."""
    for number in itertools.islice(_numbers, _MANY // _WORKERS):
        port = _FIRST + (number * _WORKERS + _worker()) % _MANY
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("every port is taken")


def _worker() -> int:
    """The number of this worker of pytest (`gw3`: 3); 0 where it has none."""
    digits = re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", ""))
    return int(digits or 0) % _WORKERS
