"""Who is let in to what a node tells its operator: its own machine, and from elsewhere users with a password and those
who show a certificate."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

from cachetools import LRUCache

from registry_mesh.access.passwords import Passwords
from registry_mesh.auth.basic import parse_basic
from registry_mesh.auth.certified import name_of
from registry_mesh.oci.refusals import TooManyRequests

BELIEVED: Final = 60.0
"""Seconds for which a password that fitted is not hashed again."""


class Gate:
    """`hashes`: of passwords, by user. `certified`: names, or patterns of the shell, of certificates."""

    def __init__(
        self, hashes: Mapping[str, str], clock: Callable[[], float], certified: Sequence[str] = ()
    ) -> None:
        self._hashes = hashes
        self._certified = certified
        self._clock = clock
        self._passwords = Passwords()
        self._believed: LRUCache[str, float] = LRUCache(64)

    async def lets_in(self, peer: str, authorization: str | None) -> bool:
        """Whether the other end of a connection may ask, by its address and its `Authorization` field, in whose place
        may stand what states a certificate."""
        if is_loopback(peer):
            return True
        if authorization is None:
            return False
        if (name := name_of(authorization)) is not None:
            return any(fnmatchcase(name, each) for each in self._certified)
        if self._clock() < self._believed.get(authorization, 0.0):
            return True
        login = parse_basic(authorization)
        try:
            fits = login is not None and await self._passwords.fit(login, self._hashes)
        except TooManyRequests:
            return False
        if fits:
            self._believed[authorization] = self._clock() + BELIEVED
        return fits


def is_loopback(address: str) -> bool:
    """Whether it can only be reached from the machine itself."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address == "localhost"
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback
