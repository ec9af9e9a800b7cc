"""`listen:`, where clients are served: its keys."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from registry_mesh.config.values import Address, FilePath, Patterns, Port, Section, host_and_port


class Certificate(Section):
    """One more certificate, for the names that clients ask for by SNI."""

    names: Annotated[Patterns, Field(min_length=1)]
    """Host names; `*.example.org` for all of one level."""
    certificate: FilePath
    """PEM file: the certificate, then its chain."""
    key: FilePath
    """PEM file: the private key."""


class Tls(Section):
    """`tls:`: the listener speaks HTTPS."""

    certificate: FilePath
    """PEM file: the certificate, then its chain."""
    key: FilePath
    """PEM file: the private key."""
    minimum: Literal["1.2", "1.3"] = "1.2"
    """The oldest version of TLS that is spoken."""
    more: tuple[Certificate, ...] = Field(default=(), strict=False)
    """Certificates for other names, chosen by the name that a client asks for."""
    clients: FilePath | None = None
    """PEM file of certificate authorities: a client that shows a certificate of theirs is `node:NAME` in policies,
    where NAME is the certificate's first DNS name, else its URI, else its common name."""
    require: bool = False
    """Whether clients without such a certificate are turned away in the handshake."""


class Listen(Section):
    """`listen:`: where clients are served."""

    address: Address = "127.0.0.1"
    """Address to listen on; 0.0.0.0 or :: for all."""
    port: Port = 5000
    tls: Tls | None = None

    def __str__(self) -> str:
        return host_and_port(self.address, self.port)
