"""What no single key can tell: keys that need each other, exclude each other, or name something outside the file.

These run on the document as it was written, so that they are reported together with faults of type.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from registry_mesh.config.checking.access import check_access
from registry_mesh.config.checking.admin import check_admin
from registry_mesh.config.checking.certificates import authorities_fault, check_pair
from registry_mesh.config.checking.client_tls import check_authorities, check_client_tls
from registry_mesh.config.checking.pulls import check_pulls
from registry_mesh.config.checking.siblings import check_siblings
from registry_mesh.config.checking.webhooks import check_webhooks
from registry_mesh.config.document import Document, mapping
from registry_mesh.config.finding import Path
from registry_mesh.config.itself import check_itself
from registry_mesh.config.logins import check_login
from registry_mesh.config.places import check_places
from registry_mesh.config.signers import check_keys
from registry_mesh.config.stores import AUTHORITIES, check_store
from registry_mesh.oci.reference import parse_registry
from registry_mesh.oci.refusals import NameUnknown

_NEEDS: Final[dict[str, dict[str, str]]] = {
    "origin": {},
    "replica": {
        "registries": "name the registries it brings, with their parents",
        "rules": "name the directory of rule files",
    },
    "site": {"registries": "name the registries it serves, with their parents"},
}
_BELONGS: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "registry": (("origin",), "only an origin has a registry of its own; use registries"),
    "siblings": (("site",), "only the servers of a site bring blobs together"),
    "keys": (("origin", "replica"), "a site brings what rules take, whoever signed it"),
    "pushes": (("origin",), "only an origin takes pushes"),
    "collection": (("origin", "replica"), "a site makes room by itself"),
    "webhooks": (("origin",), "only an origin takes pushes, and tells of them"),
    "retention": (
        ("origin",),
        "a replica keeps what its rules take: keep, delete; a site makes room by itself",
    ),
}
"""Keys that not every role has: whose they are, and why."""


def check_document(document: Document) -> None:
    """Add what is wrong to the document's findings."""
    _check_role(document)
    _check_belongs(document)
    check_places(document)
    check_store(document)
    check_authorities(document, AUTHORITIES)
    _check_registries(document)
    _check_prices(document)
    _check_filling(document)
    check_siblings(document)
    _check_children(document)
    _check_retention(document)
    _check_listeners(document)
    check_itself(document)
    _check_tls(document)
    check_admin(document)
    check_access(document)
    check_keys(document)
    check_pulls(document)
    check_webhooks(document)


def _check_role(document: Document) -> None:
    role = document.find("role")
    for key, how in _NEEDS.get(role if isinstance(role, str) else "", {}).items():
        if not document.find(key):
            document.report((key,), f"a {role} needs {key}", how, key=True)


def _check_belongs(document: Document) -> None:
    """A key that the role does not heed would be believed to do something."""
    role = document.find("role")
    for key, (roles, how) in _BELONGS.items():
        if role in _NEEDS and role not in roles and document.find(key) is not None:
            article = "an" if role == "origin" else "a"
            document.report((key,), f"{article} {role} has no {key}", f"leave it out: {how}", key=True)


def _check_children(document: Document) -> None:
    """What an origin's children are asked for, and whether they are an origin's."""
    path = ("scrub", "children")
    if not document.find(*path):
        return
    if document.find("role") in ("replica", "site"):
        document.report(path, "only an origin is mended from its children", "leave it out: parents are asked")
    elif document.find("role") == "origin" and document.find("registry") is None:
        document.report(path, "children are asked for a registry by its name", "add registry: HOST")


def _check_filling(document: Document) -> None:
    """An origin fetches what its rules take, from registries that are not its own, and keeps it under its own name."""
    if document.find("role") == "site":
        if document.find("replication") is not None and not document.find("rules"):
            document.report(("replication",), "replication without rules", "add rules: DIRECTORY", key=True)
        return
    if document.find("role") != "origin":
        return
    rules, registries = document.find("rules"), document.find("registries")
    if registries and not rules:
        document.report(
            ("registries",), "an origin fetches nothing but what rules take", "add rules: DIRECTORY", key=True
        )
    if rules and document.find("registry") is None:
        document.report(
            ("rules",), "what rules bring needs a registry to be in", "add registry: HOST", key=True
        )
    for key in ("replication", "keys"):
        if document.find(key) is not None and not rules:
            document.report((key,), f"{key} without rules", "add rules: DIRECTORY", key=True)
    for host, registry in mapping(registries).items():
        if not mapping(registry).get("parents"):
            where: Path = ("registries", host, "parents")
            document.report(where, "no parent to fetch from", "add parents: [[https://HOST]]", key=True)
        if host == document.find("registry"):
            document.report(
                ("registries", host), "this is the origin's own registry", "take it out", key=True
            )


def _check_retention(document: Document) -> None:
    """Rules name the registry that they are about."""
    path = ("retention", "rules")
    if document.find(*path) and document.find("role") == "origin" and document.find("registry") is None:
        document.report(path, "rules are about a registry by its name", "add registry: HOST")
    if document.find("retention", "interval") is not None and not document.find(*path):
        document.report(("retention", "interval"), "interval without rules", "add rules: DIRECTORY", key=True)


def _check_prices(document: Document) -> None:
    """A price of nobody's bytes would be believed to count."""
    for host, registry in mapping(document.find("registries")).items():
        groups = mapping(registry).get("parents")
        urls = [url for group in groups or () if isinstance(group, list) for url in group]
        known = [str(url).partition("://")[2].rstrip("/") for url in urls]
        for name in mapping(mapping(registry).get("prices")):
            if name not in known:
                near = get_close_matches(str(name), known, 1)
                how = f"did you mean {near[0]}?" if near else "name it as HOST[:PORT] stands in parents"
                document.report(
                    ("registries", host, "prices", name), f"{name} is no parent of {host}", how, key=True
                )


def _check_registries(document: Document) -> None:
    role, defaults = document.find("role"), list[Path]()
    names: dict[str, Path] = {}
    for host, registry in mapping(document.find("registries")).items():
        path: Path = ("registries", host)
        registry = mapping(registry)
        if registry.get("default") is True:
            defaults.append((*path, "default"))
        if role in ("replica", "site") and not registry.get("parents"):
            document.report(
                (*path, "parents"), "no parent to fetch from", "add parents: [[https://HOST]]", key=True
            )
        _check_names(document, path, names)
        _check_parents_once(document, path)
        check_login(document, path)
        check_client_tls(document, path)
    for path in defaults[1:]:
        first = document.mark(defaults[0]).line
        document.report(
            path, f"a second default registry: {defaults[0][1]} on line {first} is one", "keep one"
        )


def _check_names(document: Document, path: Path, names: dict[str, Path]) -> None:
    """No two registries by one name, be it a spelling or an alias. `names` keeps those that were met."""
    aliases = document.find(*path, "aliases")
    listed = enumerate(aliases if isinstance(aliases, list) else ())
    for name, where in [(path[-1], path), *((alias, (*path, "aliases", i)) for i, alias in listed)]:
        try:
            bare = parse_registry(str(name))
        except NameUnknown:
            continue
        first = names.setdefault(bare, where)
        if first != where:
            line = document.mark(first).line
            document.report(
                where, f"{name} is a name of {first[1]} on line {line}", "keep one", key=where == path
            )


def _check_parents_once(document: Document, path: Path) -> None:
    seen: set[str] = set()
    groups = document.find(*path, "parents")
    for i, group in enumerate(groups if isinstance(groups, list) else ()):
        for j, url in enumerate(group if isinstance(group, list) else ()):
            if isinstance(url, str):
                if (bare := url.rstrip("/").lower()) in seen:
                    document.report((*path, "parents", i, j), f"{url} stands twice", "keep one")
                seen.add(bare)


def _check_listeners(document: Document) -> None:
    listen, admin = mapping(document.find("listen")), mapping(document.find("admin"))
    port = listen.get("port", 5000)
    if port != admin.get("port", 5001) or port == 0:
        return
    ours, theirs = listen.get("address", "127.0.0.1"), admin.get("address", "127.0.0.1")
    if ours == theirs or {ours, theirs} & {"0.0.0.0", "::", ""}:  # noqa: S104 (compared, not bound)
        path: Path = ("admin", "port") if "port" in admin else ("listen", "port")
        document.report(path, f"listen and admin both want port {port}", "give one another port")


def _check_tls(document: Document) -> None:
    path: Path = ("listen", "tls")
    more = document.find(*path, "more")
    for at in (path, *((*path, "more", i) for i in range(len(more) if isinstance(more, list) else 0))):
        certificate, key = document.find(*at, "certificate"), document.find(*at, "key")
        if isinstance(certificate, str) and isinstance(key, str):
            for part, what, how in check_pair(certificate, key):
                document.report_file((*at, part), str(document.find(*at, part)), what, how)
    clients = document.find(*path, "clients")
    if isinstance(clients, str) and clients and (fault := authorities_fault(clients)):
        how = "it holds the authorities that made the clients' certificates"
        document.report_file((*path, "clients"), clients, fault, how)
    if document.find(*path, "require") is True and clients is None:
        document.report((*path, "require"), "require without clients", "add clients: FILE", key=True)
