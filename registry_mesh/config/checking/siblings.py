"""Checks of `siblings:`: whether each server of a site means the same ones, finds itself among them, and has none of
them as a parent."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

from registry_mesh.config.checking.client_tls import check_client_tls
from registry_mesh.config.document import Document, mapping
from registry_mesh.config.finding import Path
from registry_mesh.config.logins import check_login

_NODES: Final[Path] = ("siblings", "nodes")


def check_siblings(document: Document) -> None:
    """Add what is wrong with them to the document's findings."""
    nodes = mapping(document.find(*_NODES))
    if nodes:
        _check_itself(document, nodes)
        _check_addresses(document, nodes)
        _check_parents(document, nodes)
    check_client_tls(document, ("siblings",))
    check_login(document, ("siblings",))


def _check_itself(document: Document, nodes: Mapping[str, Any]) -> None:
    """A server that is not on its own list asks itself under another name, or is asked by none."""
    name, known = document.find("name"), ", ".join(map(str, nodes))
    if name is None and (host := os.uname().nodename) not in nodes:
        what = f"this server, called {host} as its host is, is not one of {known}"
        document.lack(_NODES, what, "set name: to what it is called there, or add it with its address")
    elif isinstance(name, str) and name not in nodes:
        what = f"this server, called {name}, is not one of {known}"
        document.report(_NODES, what, "add it with its address, or set name: to what it is called there")


def _check_addresses(document: Document, nodes: Mapping[str, Any]) -> None:
    """One of two names for a server is asked by the server itself."""
    first: dict[str, str] = {}
    for name, url in nodes.items():
        if isinstance(url, str) and (other := first.setdefault(_address(url), name)) != name:
            document.report(
                (*_NODES, name), f"{url} is the address of {other} as well", "give each server its own"
            )


def _check_parents(document: Document, nodes: Mapping[str, Any]) -> None:
    """Two servers of a site that are each other's parents ask each other for what neither has."""
    known = {_address(url): name for name, url in nodes.items() if isinstance(url, str)}
    for path, url in _parents(document):
        if isinstance(url, str) and (name := known.get(_address(url))) is not None:
            what = f"{url} is the address of {name}, a server of this site"
            document.report(path, what, "leave it out: servers of a site find each other by siblings")


def _parents(document: Document) -> Iterator[tuple[Path, object]]:
    """The address of each parent, and where it stands."""
    for host, registry in mapping(document.find("registries")).items():
        groups = mapping(registry).get("parents")
        for i, group in enumerate(groups if isinstance(groups, list) else []):
            for j, url in enumerate(group if isinstance(group, list) else []):
                yield ("registries", host, "parents", i, j), url


def _address(url: str) -> str:
    return url.rstrip("/").lower()
