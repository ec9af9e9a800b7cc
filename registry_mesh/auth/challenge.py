"""WWW-Authenticate challenges (RFC 9110 section 11.6.1; distribution's token specification)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import parse_http_list, parse_keqv_list

LIMIT = 8192
"""Characters of one challenge; a longer one is not read."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One scheme and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(headers: Sequence[str]) -> list[Challenge]:
    """What the header lines demand; lines that cannot be read are passed over."""
    found: list[Challenge] = []
    for line in headers:
        scheme, _, rest = line.strip().partition(" ")
        if len(line) > LIMIT or not scheme:
            continue
        try:
            parameters = parse_keqv_list([p for p in parse_http_list(rest) if "=" in p])
        except (ValueError, IndexError):
            continue
        found.append(Challenge(scheme.lower(), {k.lower(): v for k, v in parameters.items()}))
    return found


def may_ask(realm: str, parent: str) -> bool:
    """Whether a token may be asked for at `realm` on the word of `parent` (both URLs).

    No other scheme than http(s), no way down from https, no literal address and no localhost but the parent's
    own host and port: a hostile parent must not lead us into the inner network.
    """
    there, here = urlsplit(realm), urlsplit(parent)
    if there.scheme not in ("http", "https") or not there.hostname or there.username is not None:
        return False
    if here.scheme == "https" and there.scheme != "https":
        return False
    return same_place(realm, parent) or not _inner(there.hostname)


def may_tell(realm: str, parent: str) -> bool:
    """Whether the credentials of `parent` may be shown to `realm`: the same host and port, or a neighbour in the
    same domain over https."""
    if same_place(realm, parent):
        return True
    there, here = urlsplit(realm), urlsplit(parent)
    if there.scheme != "https" or here.scheme != "https" or _inner(there.hostname or ""):
        return False
    return _domain(there.hostname or "") == _domain(here.hostname or "") != ""


def same_place(one: str, other: str) -> bool:
    """The same scheme, host and port."""
    a, b = urlsplit(one), urlsplit(other)
    return (a.scheme, a.hostname, _port(a.scheme, a.port)) == (b.scheme, b.hostname, _port(b.scheme, b.port))


def inner_host(url: str) -> bool:
    """Whether the URL names localhost or a literal address that is not a public one."""
    return _inner(urlsplit(url).hostname or "")


def _port(scheme: str, port: int | None) -> int:
    return port or (443 if scheme == "https" else 80)


def _inner(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not ip_address(host).is_global
    except ValueError:
        return False


def _domain(host: str) -> str:
    labels = host.split(".")
    return ".".join(labels[-2:]) if len(labels) >= 2 else ""
