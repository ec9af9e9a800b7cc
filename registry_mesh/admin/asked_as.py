"""By which names the operator's listener may be asked without a login, and what a web page may make a browser ask.

A page whose name resolves to this machine's own address (DNS rebinding) has a browser here read and do whatever needs
no login here. The browser says so: `Host` is the page's name, and `Origin` and `Sec-Fetch-Site` (Fetch Metadata) tell
of a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

LOCAL: Final = "localhost"

_FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
_OWN: Final = ("none", "same-origin")


class AskedAs:
    """The `names` of a node, and the addresses it is asked at."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(_name(each) for each in (LOCAL, *names))

    def knows(self, host: str | None, own: str) -> bool:
        """Whether the `Host` field names this node. `own`: the address that the connection came to. One that has no
        such field comes from no browser."""
        if host is None:
            return True
        name = _name(host)
        return name in self._names or _is_own(name, own)


def is_forwarded(headers: Mapping[str, str]) -> bool:
    """Whether a proxy says that it asks for somebody else."""
    return any(name in headers for name in _FORWARDED)


def is_of_a_page(headers: Mapping[str, str]) -> bool:
    """Whether a browser sends it for a page that is not the node's own. The node has no pages: `Origin` alone says
    so."""
    return "Origin" in headers or headers.get("Sec-Fetch-Site", "none").strip().lower() not in _OWN


def _name(host: str) -> str:
    """Without port and brackets, as names are compared."""
    host = host.strip().lower()
    if host.startswith("["):
        address, closed, _ = host[1:].partition("]")
        return address if closed else ""
    return host.partition(":")[0].removesuffix(".")


def _is_own(name: str, own: str) -> bool:
    """Whether `name` is an address of the listener: its own, or this machine's to itself."""
    asked, at = _address(name), _address(own)
    return asked is not None and at is not None and (asked == at or (asked.is_loopback and at.is_loopback))


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
