"""The TLS of a listener: its certificates by the names that clients ask for, and whose certificates it believes."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Final

from registry_mesh.config.admin import Admin
from registry_mesh.config.listen import Certificate, Listen, Tls

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def tls_context(listen: Listen) -> ssl.SSLContext | None:
    """The node's certificates and keys, loaded; None where it speaks plain HTTP. OSError, ssl.SSLError."""
    tls = listen.tls
    if tls is None:
        return None
    context = _loaded(tls, tls)
    if tls.more:
        names = dict(_by_name((pair, _loaded(tls, pair)) for pair in tls.more))

        def choose(socket: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
            if name is not None and (found := names.get(name.lower()) or names.get(_wild(name.lower()))):
                socket.context = found

        context.sni_callback = choose
    return context


def admin_context(admin: Admin) -> ssl.SSLContext | None:
    """The same of the operator's listener. Who shows no certificate may still ask whether the node lives."""
    tls = admin.tls
    if tls is None:
        return None
    context = _speaking(tls.minimum, tls.certificate, tls.key)
    if tls.clients is not None:
        context.load_verify_locations(tls.clients)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _loaded(tls: Tls, pair: Tls | Certificate) -> ssl.SSLContext:
    context = _speaking(tls.minimum, pair.certificate, pair.key)
    if tls.clients is not None:
        context.load_verify_locations(tls.clients)
        context.verify_mode = ssl.CERT_REQUIRED if tls.require else ssl.CERT_OPTIONAL
    return context


def _speaking(minimum: str, certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = _VERSIONS[minimum]
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(certificate, key)
    return context


def _by_name(loaded: Iterable[tuple[Certificate, ssl.SSLContext]]) -> Iterable[tuple[str, ssl.SSLContext]]:
    for pair, context in loaded:
        for name in pair.names:
            yield name.lower(), context


def _wild(name: str) -> str:
    return "*." + name.partition(".")[2]
