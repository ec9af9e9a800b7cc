"""Listening sockets. They belong to the supervisor and are inherited: what waits in the queue of a worker that died
is answered by the one that takes its seat."""

from __future__ import annotations

import errno
import logging
import math
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from registry_mesh.config.schema import Config
from registry_mesh.config.values import host_and_port
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

BACKLOG: Final = 4096

LEAVE: Final = 2.0
"""Seconds of ours in which the processes of a node that was killed let go of its ports."""
AGAIN: Final = 0.05
"""Seconds until a port that is taken is tried again."""


class AddressTaken(Exception):
    """Somebody listens there already, or the address is not ours."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """What a node listens on: for clients, shared out by the kernel, and for its operator; with their addresses, as the
    configuration says them."""

    serving: list[socket.socket]
    operating: socket.socket
    listen: tuple[str, int]
    admin: tuple[str, int]

    @classmethod
    def of(cls, config: Config, held: Sequence[socket.socket] = ()) -> Sockets:
        """Those of `held` that listen where `config` says, and new ones; the rest is closed. `AddressTaken` where
        another has an address for longer than `LEAVE`."""
        addresses, left = _addresses(config), list(held)
        serving = taken_from(left, *addresses[0]) or listen(*addresses[0], config.workers, LEAVE)
        operating = taken_from(left, *addresses[1])
        for each in left:
            told = {"held": host_and_port(*each.getsockname()[:2]), "listen": str(config.listen)}
            log.warning("the service manager listens where the configuration does not", extra={FIELDS: told})
            each.close()
        try:
            return cls(serving, (operating or listen(*addresses[1], patience=LEAVE))[0], *addresses)
        except AddressTaken:
            for each in serving:
                each.close()
            raise

    def moved(self, config: Config) -> Sockets:
        """Those that `config` wants: these, where its addresses are the same. `AddressTaken`."""
        kept, (at, admin) = self, _addresses(config)
        if at != self.listen:
            kept = replace(kept, serving=listen(*at, config.workers), listen=at)
        if admin != self.admin:
            try:
                kept = replace(kept, operating=listen(*admin)[0], admin=admin)
            except AddressTaken:
                kept.close((*self.serving, self.operating))
                raise
        return kept

    def of_worker(self, index: int, workers: int) -> list[socket.socket]:
        """Each is served by somebody, whether there are more workers than sockets or fewer."""
        count = len(self.serving)
        return [self.serving[i] for i in range(index, count, workers)] or [self.serving[index % count]]

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return int(self.serving[0].getsockname()[1])

    def close(self, but: Sequence[socket.socket] = ()) -> None:
        """Close those that are not among `but`."""
        for each in (*self.serving, self.operating):
            if each not in but:
                each.close()


def listen(
    address: str,
    port: int,
    count: int = 1,
    patience: float = 0.0,
    sleep: Callable[[float], object] = time.sleep,
) -> list[socket.socket]:
    """`count` sockets on one port; the kernel shares connections out among them. Port 0: any that is free. A port that
    is taken is tried again for `patience` seconds: so often that those count for nothing in which the machine stands
    still, and with it whoever is about to let go of the port.

    `AddressTaken` also where another node of the same user listens with SO_REUSEPORT: without the trial bind it
    would silently get half of our connections.
    """
    left = math.ceil(patience / AGAIN)
    while True:
        try:
            sockets = _on_one_port(address, port, count)
            break
        except OSError as fault:
            taken = fault.errno == errno.EADDRINUSE
            if not taken or left == 0:
                who = f"; `ss -tanp sport = :{port}` names the program" if taken else ""
                where = host_and_port(address, port)
                raise AddressTaken(f"cannot listen on {where}: {fault.strerror or fault}{who}") from None
        left -= 1
        sleep(AGAIN)
    for each in sockets:
        each.listen(BACKLOG)
    return sockets


def _on_one_port(address: str, port: int, count: int) -> list[socket.socket]:
    family, _, _, _, target = socket.getaddrinfo(
        address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with _bound(family, target, shared=False) as trial:
        target = (target[0], trial.getsockname()[1], *target[2:])
    return [_bound(family, target, shared=True) for _ in range(count)]


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


def _addresses(config: Config) -> tuple[tuple[str, int], tuple[str, int]]:
    return (config.listen.address, config.listen.port), (config.admin.address, config.admin.port)
