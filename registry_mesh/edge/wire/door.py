"""Who is let in: how many connections there may be, of all clients and of one."""

from __future__ import annotations

from collections import Counter

from registry_mesh.edge.client_limits import UNBOUNDED, Limits, client_of


class Door:
    """Counts connections by client. `most`: of all, 0 for no bound; `limits` says how many of one."""

    def __init__(self, most: int = 0, limits: Limits | None = None) -> None:
        self._most = most
        self._limits = limits or Limits()
        self._all = 0
        self._inside: Counter[str] = Counter()

    def enter(self, address: str) -> str:
        """Let a connection from `address` in; whose it is, where there are bounds for each client."""
        client = client_of(address, self._limits.exempt) if self._limits.bounded else UNBOUNDED
        self._all += 1
        self._inside[client] += 1
        return client

    def is_full(self, client: str) -> bool:
        """Whether one that was let in is one too many."""
        if 0 < self._most < self._all:
            return True
        return bool(client) and 0 < self._limits.connections < self._inside[client]

    def leave(self, client: str) -> None:
        """One of the client's connections has ended."""
        self._all -= 1
        self._inside[client] -= 1
        if not self._inside[client]:
            del self._inside[client]
