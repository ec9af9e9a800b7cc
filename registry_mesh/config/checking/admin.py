"""Checks of `admin:` that no single key can make."""

from __future__ import annotations

from collections.abc import Mapping

from registry_mesh.access.gate import is_loopback
from registry_mesh.config.access_files import load_users
from registry_mesh.config.checking.certificates import authorities_fault, check_pair
from registry_mesh.config.checking.named import MAKE_USERS, check_named
from registry_mesh.config.document import Document, mapping
from registry_mesh.config.finding import Path


def check_admin(document: Document) -> None:
    """Add what is wrong to the document's findings. The operator's listener tells much and does much: nobody reaches it
    from elsewhere without a login or a certificate."""
    admin = mapping(document.find("admin"))
    tls = mapping(admin.get("tls"))
    _check_tls(document, tls)
    address, users = admin.get("address", "127.0.0.1"), admin.get("users")
    if isinstance(users, str) and users:
        check_named(document, ("admin", "users"), load_users, MAKE_USERS)
    elif isinstance(address, str) and not is_loopback(address) and not tls.get("clients"):
        document.report(
            ("admin", "address"),
            f"{address} can be reached from other machines, which are asked for no login",
            "add users: FILE (htpasswd -nB NAME), or tls with clients and names, or listen on 127.0.0.1",
        )


def _check_tls(document: Document, tls: Mapping[str, object]) -> None:
    path: Path = ("admin", "tls")
    certificate, key, clients = tls.get("certificate"), tls.get("key"), tls.get("clients")
    if isinstance(certificate, str) and isinstance(key, str):
        for part, what, how in check_pair(certificate, key):
            document.report_file((*path, part), certificate if part == "certificate" else key, what, how)
    if isinstance(clients, str) and clients and (fault := authorities_fault(clients)):
        how = "it holds the authorities that made the operators' certificates"
        document.report_file((*path, "clients"), clients, fault, how)
    for lone, lacking, how in (
        ("clients", "names", "add names: [NAME], of the certificates that are let in"),
        ("names", "clients", "add clients: FILE, of the authorities that made them"),
    ):
        if tls.get(lone) and not tls.get(lacking):
            document.report((*path, lone), f"{lone} without {lacking}", how, key=True)
