"""The way to the parents of a registry: through which proxy, whom TLS believes, and where answers may lead on to."""

from __future__ import annotations

import errno
import re
import socket
import ssl
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlsplit

import aiohttp
from cachetools import LRUCache
from yarl import URL

from registry_mesh.auth.hosts import inner_address, inner_host, place
from registry_mesh.auth.own_hosts import is_among
from registry_mesh.upstream.tls_files import TlsFiles

DIRECT: Final = "none"
"""In place of a proxy's address: none, whatever the environment says."""


_ODD: Final = re.compile(r"[^!#-;=?-\[\]_a-z~]")
"""What no URL may hold (RFC 3986, section 2): blanks, quotes, angle brackets and all that is no ASCII."""


class LeadsInward(OSError):
    """A connection to an address inside a network that nobody has named."""


class NotNamed(OSError):
    """A host that is none of the registry's, where no other may be asked."""


@dataclass(frozen=True)
class Way:
    """`hosts`: HOST or HOST:PORT that may lie inside a network; those of the parents are among them. `proxy`: an
    address, `none`, or empty for what the usual variables say. `tls`: for whom to believe, and
    the client certificate that the parents, and nobody else, are shown; None for what the system believes. `never`:
    no host is asked that is not among `hosts`, the parents, what is theirs (`own`), or configured beside them."""

    hosts: frozenset[str] = frozenset()
    proxy: str = ""
    tls: TlsFiles | None = None
    parents: frozenset[tuple[str, str, int] | None] = frozenset()
    never: bool = False
    own: frozenset[str] = frozenset()
    _inner: set[tuple[str, int]] = field(default_factory=set)
    _admitted: set[str] = field(default_factory=set)
    _proxies: LRUCache[tuple[str, str, int | None], str | None] = field(
        default_factory=lambda: LRUCache(1000), compare=False
    )

    def admit(self, url: str) -> None:
        """Let a parent, a proxy or a token service that was configured lie inside."""
        found = place(url)
        if found is not None:
            self._admitted.add(f"{found[1]}:{found[2]}")

    def names(self, host: str, port: int) -> bool:
        """Whether the host is one that may lie inside."""
        host = host.lower().removesuffix(".")
        whole = f"{host}:{port}"
        return host in self.hosts or whole in self.hosts or whole in self._admitted

    def may_lead_to(self, url: str) -> bool:
        """As far as its text can tell. Where names lead to is seen when a connection is made."""
        found = place(url)
        if found is None:
            return False
        return self.names(found[1], found[2]) or (not inner_host(url) and self._may_ask(found))

    def _may_ask(self, where: tuple[str, str, int]) -> bool:
        """Whether requests may go to that scheme, host and port at all."""
        scheme, host, port = where
        if not self.never or self.names(host, port):
            return True
        return (scheme, port) == ("https", 443) and is_among(host, self.own)

    def demand(self, url: str) -> None:
        """Raise `NotNamed` where no request may go to `url`. Before a name is resolved, whatever proxy there is."""
        found = place(url)
        if found is None or not self._may_ask(found):
            host = f"{found[1]}:{found[2]}" if found else url[:200]
            raise NotNamed(
                errno.EACCES,
                f"{host} is none of this registry's hosts: if it is, name it in redirects, "
                "or let the registry have direct: public",
            )

    def proxy_of(self, url: URL) -> str | None:
        """The proxy's address for a URL; None where it is asked directly."""
        if self.proxy == DIRECT:
            return None
        found = self.proxy or self._of_environment(url.scheme, url.host or "", url.port)
        if found:
            self.admit(found)
        return found or None

    def _of_environment(self, scheme: str, host: str, port: int | None) -> str | None:
        """What the environment says, which is read once for each host: that takes a fifth of a small request's time."""
        key = scheme, host, port
        if key not in self._proxies:
            self._proxies[key] = proxy_from_environment(scheme, host, port)
        return self._proxies[key]

    def proxy_named(self, url: str) -> str:
        """The proxy on the way to a URL, without the login to it; empty where there is none."""
        proxy = self.proxy_of(URL(url))
        return str(URL(proxy).with_user(None)) if proxy else ""

    def tls_of(self, url: URL) -> ssl.SSLContext | bool:
        """Whom to believe, and as whom to appear."""
        if self.tls is None:
            return True
        contexts = self.tls.contexts()
        return contexts.parents if place(str(url)) in self.parents else contexts.elsewhere

    def note(self, host: str, port: int, addresses: Iterable[str]) -> None:
        """A name was resolved: where it may lie inside, so may its addresses."""
        if self.names(host, port):
            self._inner.update((address, port) for address in addresses)

    def connecting(self, family: int, kind: int, protocol: int, address: tuple[str, int]) -> socket.socket:
        """A socket for a connection to this very address; `LeadsInward` where that is not allowed."""
        host, port = address[0], address[1]
        if inner_address(host) and (host, port) not in self._inner and not self.names(host, port):
            raise LeadsInward(
                errno.EACCES, f"{host}:{port} lies inside a network, and is not named in redirects"
            )
        return socket.socket(family, kind, protocol)


def proxy_from_environment(scheme: str, host: str, port: int | None) -> str | None:
    """What HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say of a host, in capitals or small letters."""
    proxies = urllib.request.getproxies_environment()
    found = proxies.get(scheme) or proxies.get("all")
    whole = f"{host}:{port}" if port else host
    if not found or urllib.request.proxy_bypass_environment(whole, proxies):  # type: ignore[attr-defined]  # no stub
        return None
    return found if "://" in found else f"http://{found}"


class NotingResolver(aiohttp.abc.AbstractResolver):
    """The system's resolver. Tells the way what a name led to."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        """The addresses of a host, which are noted. OSError where the host has none."""
        try:
            found = await self._resolver.resolve(host, port, family)
        except ValueError as fault:  # labels that no name may have
            raise OSError(f"{host[:100]!r} is no name of a host") from fault
        self._way.note(host, port, (each["host"] for each in found))
        return found

    async def close(self) -> None:
        """Close the resolver behind."""
        await self._resolver.close()


class Client:
    """The HTTP client on one way. To be entered and left."""

    def __init__(self, http: aiohttp.ClientSession, way: Way) -> None:
        self._http = http
        self.way = way

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    def request(
        self, method: str, url: str | URL, **options: Any
    ) -> aiohttp.client._RequestContextManager:  # Any: the options of aiohttp
        """As `aiohttp.ClientSession.request`. A text is taken as it is written (`url_of`)."""
        target = url if isinstance(url, URL) else url_of(url)
        self.way.demand(str(target))
        proxy = self.way.proxy_of(target)
        return self._http.request(method, target, proxy=proxy, ssl=self.way.tls_of(target), **options)


def url_of(text: str) -> URL:
    """The URL as it is written, what is encoded left as it is; what no URL may hold is encoded. `ValueError`."""
    return URL(_ODD.sub(lambda odd: quote(odd[0], errors="surrogateescape"), text), encoded=True)


def base_and_folder(url: str) -> tuple[str, str]:
    """A parent's address cut where `/v2` stands: what comes before it, and the folder of repositories after it."""
    parts = urlsplit(url.rstrip("/"))
    before, found, folder = f"{parts.path}/".partition("/v2/")
    return f"{parts.scheme}://{parts.netloc}{before.rstrip('/')}", folder.strip("/") if found else ""
