"""`admin:`, where operators are served: its keys."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from registry_mesh.config.values import Address, FilePath, Port, Section, Text, listed


class AdminTls(Section):
    """`admin.tls:`: the operator's listener speaks HTTPS."""

    certificate: FilePath
    """PEM file: the certificate, then its chain."""
    key: FilePath
    """PEM file: the private key."""
    minimum: Literal["1.2", "1.3"] = "1.2"
    """The oldest version of TLS that is spoken."""
    clients: FilePath | None = None
    """PEM file of certificate authorities: who shows a certificate of theirs with one of `names` needs no login."""
    names: Annotated[tuple[Text, ...], BeforeValidator(listed)] = ()
    """Names of such certificates that are let in (the first DNS name, else the URI, else the common name); `*` stands
    for any letters."""


class Admin(Section):
    """`admin:`: where operators are served."""

    address: Address = "127.0.0.1"
    """Address of /healthz, /readyz, /metrics and /status; keep it away from clients."""
    port: Port = 5001
    users: FilePath | None = None
    """File of htpasswd with bcrypt or argon2id: who may ask from other machines, by Basic. Needed, if `tls.clients` is
    not there, where the address is none of this machine's own (127.0.0.1)."""
    tls: AdminTls | None = None
    hosts: Annotated[tuple[Text, ...], BeforeValidator(listed)] = ()
    """Names, without ports, by which the listener is asked from this machine without a login, beside its addresses,
    `localhost`, the node's `name` and the machine's: those that a proxy in front of it is asked by. Any other may be
    that of a web page which makes a browser ask."""
