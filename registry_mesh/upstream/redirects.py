"""Where a parent may lead (RFC 9110 section 15.4)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urljoin, urlsplit

from registry_mesh.auth.hosts import place
from registry_mesh.ports.failures import SourceUnreadable
from registry_mesh.upstream.way import Way, url_of

REDIRECTS: Final = 10
"""As many are followed for one request, as clients do."""

_HOST: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*|[0-9a-f:.]+")


def redirected(url: str, location: str, way: Way, source: str) -> str:
    """Return where a redirect of `url` leads: an address that can be read, is no less safe, and does not lie inside a
    network unless it is named. Raises `SourceUnreadable` for any other."""
    try:
        target = urljoin(url, location)
        url_of(target)
    except ValueError:
        target = ""
    there, here = place(target), urlsplit(url)
    if not location or there is None or not _HOST.fullmatch(there[1]):
        raise SourceUnreadable(f"redirects to no http address: {location[:200]!r}", source=source)
    if here.scheme == "https" and there[0] == "http":
        raise SourceUnreadable("redirects from https to http", source=source)
    if not way.may_lead_to(target):
        what = "to none of the registry's hosts" if way.never else "into a network"
        raise SourceUnreadable(
            f"redirects {what}, to {there[1]}:{there[2]}: if that is right, name it in redirects",
            source=source,
        )
    return target
