"""What one client may have: requests and bytes a second, on average.

Each is one moment for a client, up to which its share is used up (the generic cell rate algorithm): a request moves
it on by one over the rate, an answer by its bytes over theirs, and one that parents had to be asked for in vain by one
over the rate of these. A client that is ahead of the clock by more than
`AHEAD` has to wait.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

AHEAD: Final = 5.0
"""Seconds by which a client may be ahead of its share: pulls come in bursts."""
AHEAD_IN_VAIN: Final = 60.0
"""The same of questions that parents are asked in vain: a thousand nodes behind one address begin together."""
CLIENTS: Final = 1 << 16
"""Clients that are remembered; the one not heard of for the longest is forgotten first."""
UNBOUNDED: Final = ""
"""Stands for all clients that have no bound."""

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Limits:
    """A second, in this process; 0: no bound. `connections` at once. `exempt`: who has no bound."""

    connections: int = 0
    requests: float = 0.0
    bytes: float = 0.0
    unknown: float = 0.0
    exempt: tuple[Network, ...] = ()

    @property
    def rates(self) -> bool:
        """Whether anything is bounded that each request counts for."""
        return bool(self.requests or self.bytes)

    @property
    def bounded(self) -> bool:
        """Whether anything is bounded."""
        return self.rates or self.unknown > 0 or self.connections > 0


def client_of(address: str, exempt: Sequence[Network]) -> str:
    """Whom an address stands for: itself, of IPv6 its network of 64 bits, that one machine may have all of."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if any(found in network for network in exempt if network.version == found.version):
        return UNBOUNDED
    return str(IPv6Network((int(found) >> 64 << 64, 64))) if isinstance(found, IPv6Address) else str(found)


class ClientLimits:
    """Of one listener. Times are of the loop's clock."""

    def __init__(self, limits: Limits) -> None:
        self._of_request = 1 / limits.requests if limits.requests else 0.0
        self._of_byte = 1 / limits.bytes if limits.bytes else 0.0
        self._of_unknown = 1 / limits.unknown if limits.unknown else 0.0
        self._used: OrderedDict[str, list[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._used)

    def wait(self, client: str, now: float) -> float:
        """Seconds until the client may ask again; 0 where it may now, and the request counts."""
        if not client:
            return 0.0
        used = self._of(client, now)
        ahead = max(used[0], used[1]) - now
        if ahead > AHEAD:
            return ahead - AHEAD
        used[0] = max(used[0], now) + self._of_request
        return 0.0

    def spend(self, client: str, size: int, now: float) -> None:
        """Count the bytes of an answer."""
        if client and self._of_byte:
            used = self._of(client, now)
            used[1] = max(used[1], now) + size * self._of_byte

    def wait_for_unknown(self, client: str, now: float) -> float:
        """Seconds until parents may be asked for the client once more; 0 where they may now."""
        if not client or not self._of_unknown:
            return 0.0
        return max(0.0, self._of(client, now)[2] - now - AHEAD_IN_VAIN)

    def asked_in_vain(self, client: str, now: float) -> None:
        """Count an answer that parents were asked for, and do not have."""
        if client and self._of_unknown:
            used = self._of(client, now)
            used[2] = max(used[2], now) + self._of_unknown

    def _of(self, client: str, now: float) -> list[float]:
        used = self._used.get(client)
        if used is None:
            used = self._used[client] = [now, now, now]
            if len(self._used) > CLIENTS:
                self._used.popitem(last=False)
        else:
            self._used.move_to_end(client)
        return used
