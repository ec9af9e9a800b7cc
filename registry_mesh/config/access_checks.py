"""Checks of `access:` that no single key can make."""

from __future__ import annotations

from typing import Final

from registry_mesh.config.access_files import load_users
from registry_mesh.config.document import Document, mapping
from registry_mesh.config.finding import ConfigInvalid

_LOOPBACK: Final = ("127.", "::1", "localhost")


def check_access(document: Document) -> None:
    """Add what is wrong to the document's findings, with what is wrong in the file of users."""
    access = mapping(document.find("access"))
    users = access.get("users")
    if users is None:
        for key in ("authenticated", "tokens"):
            if key in access:
                document.report(("access", key), f"{key} without users", "add users: FILE", key=True)
        return
    if isinstance(users, str):
        try:
            load_users(users)
        except ConfigInvalid as invalid:
            document.findings.extend(invalid.findings)
    listen = mapping(document.find("listen"))
    if "tls" not in listen and not str(listen.get("address", "127.0.0.1")).startswith(_LOOPBACK):
        document.warn(
            ("access", "users"),
            "passwords and tokens cross the network in the clear",
            "add listen.tls, or let only a TLS proxy reach the listener",
        )
