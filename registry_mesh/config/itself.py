"""Whether a node names itself as its parent: it would wait for its own answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from registry_mesh.auth.hosts import split
from registry_mesh.config.document import Document, mapping
from registry_mesh.config.finding import Path

_ALL: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 (compared, not bound)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def check_itself(document: Document) -> None:
    """Report each parent whose address is the one that this node listens on."""
    listen = mapping(document.find("listen"))
    address, port = str(listen.get("address", "127.0.0.1")).strip("[]"), listen.get("port", 5000)
    ours = names(address, document.find("name"))
    for path, url in _parents(document):
        parts = split(url)
        if parts is None:
            continue
        theirs = parts.port or (443 if parts.scheme == "https" else 80)
        if theirs == port and (parts.hostname or "") in ours:
            document.report(path, f"{url} is this node itself", "name the node or registry above it")


def names(address: str, name: object) -> frozenset[str]:
    """By what this machine is reached where it listens on `address`."""
    if address in _LOOPBACK:
        return _LOOPBACK
    own = {address, os.uname().nodename.lower(), str(name or "").lower()} - {""}
    return frozenset(own | _LOOPBACK) if address in _ALL else frozenset(own)


def _parents(document: Document) -> Iterator[tuple[Path, str]]:
    for host, registry in mapping(document.find("registries")).items():
        groups = mapping(registry).get("parents")
        for i, group in enumerate(groups if isinstance(groups, list) else ()):
            for j, url in enumerate(group if isinstance(group, list) else ()):
                if isinstance(url, str):
                    yield ("registries", host, "parents", i, j), url
