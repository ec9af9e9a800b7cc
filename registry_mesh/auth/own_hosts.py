"""Hosts that belong to well-known registries: their token services, and where their blobs come from.

What a registry is not known to have, a configuration names (`redirects`, `token_service`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from registry_mesh.auth.hosts import place

_HUB: Final = ("auth.docker.io", "production.cloudflare.docker.com", ".r2.cloudflarestorage.com")
_OWN: Final[dict[str, tuple[str, ...]]] = {
    "docker.io": _HUB,
    "index.docker.io": _HUB,
    "registry-1.docker.io": _HUB,
    "ghcr.io": ("pkg-containers.githubusercontent.com",),
    "mcr.microsoft.com": (".data.mcr.microsoft.com",),
    "gcr.io": ("storage.googleapis.com",),
    "registry.gitlab.com": ("gitlab.com", "cdn.registry.gitlab-static.net", "storage.googleapis.com"),
    "registry.digitalocean.com": ("api.digitalocean.com",),
}
"""By the registry's host; with a dot before it all names below."""


def own_hosts(urls: Iterable[str]) -> frozenset[str]:
    """Return the hosts that belong to the registries at `urls` beside those of the URLs; with a dot before it all names
    below. Each has what lies below its own name, where that is a public one."""
    found: set[str] = set()
    for url in urls:
        where = place(url)
        if where is not None:
            found.update(_OWN.get(where[1], ()))
            found.add("." + where[1])
    return frozenset(found)


def is_among(host: str, hosts: frozenset[str]) -> bool:
    """Return whether `host` is one of `hosts`, or lies below one that begins with a dot."""
    labels = host.split(".")
    return host in hosts or any("." + ".".join(labels[start:]) in hosts for start in range(1, len(labels)))
