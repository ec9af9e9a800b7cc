"""Whether a node names itself as its parent: it would wait for its own answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from registry_mesh.auth.hosts import split
from registry_mesh.config.document import Document, mapping
from registry_mesh.config.finding import Path
from registry_mesh.config.put_aside import WRONG

_ALL: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 (compared, not bound)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def check_itself(document: Document) -> None:
    """Report each parent whose address is the one that this node listens on."""
    for key, usual, what in (
        ("listen", 5000, "this node itself"),
        ("admin", 5001, "this node's admin listener"),
    ):
        if document.find(key) is WRONG:
            continue
        own = mapping(document.find(key))
        address, port = str(own.get("address", "127.0.0.1")).strip("[]"), own.get("port", usual)
        ours = names(address, document.find("name"))
        for path, url in _parents(document):
            parts = split(url)
            theirs = (parts.port or (443 if parts.scheme == "https" else 80)) if parts else None
            if parts and theirs == port and (parts.hostname or "") in ours:
                document.report(path, f"{url} is {what}", "name the node or registry above it")


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
