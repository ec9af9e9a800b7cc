"""Which host a URL leads to: the same as another's, or one inside a network."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from unicodedata import normalize
from urllib.parse import SplitResult, urlsplit

_INNER_ZONES: Final = ("localhost", "local", "localdomain", "internal", "intranet", "lan", "home.arpa", "svc")
"""Top domains that no public name has; `svc` is that of services in a Kubernetes cluster."""
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_IDEOGRAPHIC_STOP: Final = "\u3002"
"""Which stands for a dot in a name (RFC 3490 section 3.1), as its other forms do, which NFKC makes this one."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
_PUBLIC: Final = IPv6Network("2000::/3")
"""All that was ever given out for the public network (RFC 4291 section 2.4). Beside it are forms that carry an IPv4
address (`::127.0.0.1`, `::ffff:0:127.0.0.1`, `64:ff9b:1::/48`), those of a site (`fec0::/10`), and nobody's."""


def same_place(one: str, other: str) -> bool:
    """Return whether both URLs have the same scheme, host and port. False for what is no URL."""
    here = place(one)
    return here is not None and here == place(other)


@lru_cache(256)
def place(url: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of an http or https URL; None for anything else."""
    parts = split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    usual = 443 if parts.scheme == "https" else 80
    return parts.scheme, host_of(url), usual if parts.port is None else parts.port


def host_of(url: str) -> str:
    """Return the host in lower case, without the dot that may end it; empty where there is none."""
    parts = split(url)
    return (parts.hostname or "").removesuffix(".") if parts else ""


def split(url: str) -> SplitResult | None:
    """Return the parts of a URL; None where its host or port cannot be read."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (raises where the port is none)
    except ValueError:
        return None
    return parts


def inner_host(url: str) -> bool:
    """Return whether the URL names this machine, a name that only an inner network knows, or a literal address that is
    not a public one, however it is written, in whichever digits. True for what cannot be read."""
    if split(url) is None:
        return True
    host = normalize("NFKC", host_of(url)).replace(_IDEOGRAPHIC_STOP, ".").removesuffix(".")
    return inner_name(host) or inner_address(host)


def inner_name(host: str) -> bool:
    """Return whether the name can only be one of an inner network: `localhost`, `registry`, `a.internal`."""
    labels = host.split(".")
    if ":" in host or _NUMBER.fullmatch(labels[-1]):
        return False
    return len(labels) < 2 or any(host == zone or host.endswith("." + zone) for zone in _INNER_ZONES)


def inner_address(host: str) -> bool:
    """Return whether the host is this machine or a literal address that is not a public one. Short and octal forms
    (`127.1`, `0x7f000001`), which resolvers take, are never public here."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = _within(ip_address(host))
    except ValueError:
        return bool(_NUMBER.fullmatch(host.rpartition(".")[2]))
    if isinstance(address, IPv6Address) and address not in _PUBLIC:
        return True
    return not address.is_global or address.is_multicast


def _within(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address carries, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
