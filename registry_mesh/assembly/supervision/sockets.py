"""Listening sockets. They belong to the supervisor and are inherited: what waits in the queue of a worker that died
is answered by the one that takes its seat."""

from __future__ import annotations

import socket
from typing import Final

from registry_mesh.config.values import host_and_port

BACKLOG: Final = 4096


class AddressTaken(Exception):
    """Somebody listens there already, or the address is not ours."""


def listen(address: str, port: int, count: int = 1) -> list[socket.socket]:
    """`count` sockets on one port; the kernel shares connections out among them. Port 0: any that is free.

    `AddressTaken` also where another node of the same user listens with SO_REUSEPORT: without the trial bind it
    would silently get half of our connections.
    """
    try:
        family, _, _, _, target = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with _bound(family, target, shared=False) as trial:
            target = (target[0], trial.getsockname()[1], *target[2:])
        sockets = [_bound(family, target, shared=True) for _ in range(count)]
    except OSError as fault:
        raise AddressTaken(
            f"cannot listen on {host_and_port(address, port)}: {fault.strerror or fault}"
        ) from None
    for each in sockets:
        each.listen(BACKLOG)
    return sockets


def taken_from(held: list[socket.socket], address: str, port: int) -> list[socket.socket]:
    """Those of `held` that listen at the address; they are taken out of it."""
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return []
    wanted = {(family, target[:2]) for family, _, _, _, target in found}
    ours = [each for each in held if (each.family, each.getsockname()[:2]) in wanted]
    held[:] = [each for each in held if each not in ours]
    return ours


def _bound(family: int, target: object, *, shared: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and str(target[0]) != "::":  # type: ignore[index]
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.setblocking(False)
        made.bind(target)  # type: ignore[arg-type]
    except BaseException:
        made.close()
        raise
    return made
