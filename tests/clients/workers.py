"""What each worker of a node answers: they share its port, and one may know later than another what was changed."""

from __future__ import annotations

import http.client
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from tests.clients.nodes import Node
from tests.eventually import eventually_here


def said_to_a_login(node: Node, user: str, password: str, workers: int = 2) -> set[int]:
    """The statuses that the workers give to it, each over a connection of its own."""
    login = {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}
    found: dict[int, int] = {}

    def ask() -> bool:
        """The kernel chooses among them by the client's port."""
        with closing(http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)) as client:
            client.request("GET", "/v2/", headers=login)
            answer = client.getresponse()
            answer.read()
            if (worker := _holder(node, client.sock.getsockname()[1])) is not None:
                found[worker] = answer.status
        return len(found) == workers

    eventually_here(ask, "an answer of each worker", pause=0)
    return set(found.values())


def _holder(node: Node, port: int) -> int | None:
    """Whose the other end of a connection from `port` is; None where it has been closed."""
    ends = [f"0100007F:{each:04X}" for each in (node.port, port)]
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    inodes = [line[9] for line in lines if line[1:3] == ends]
    assert node.process is not None
    return next(
        (pid for pid in _below(node.process.pid) for each in inodes if _has(pid, f"socket:[{each}]")), None
    )


def _below(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                yield child
                yield from _below(child)


def _has(pid: int, link: str) -> bool:
    with suppress(OSError):
        for each in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if str(each.readlink()) == link:
                    return True
    return False
