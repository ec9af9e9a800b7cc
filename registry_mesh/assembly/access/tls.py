"""The TLS of a listener: its certificates by the names that clients ask for, and whose certificates it believes."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from registry_mesh.access.authorities import Authorities
from registry_mesh.config.admin import Admin
from registry_mesh.config.listen import Certificate, Listen, Tls
from registry_mesh.tasks.renewed_files import LOOK, RenewedFiles
from registry_mesh.tasks.threads import offload
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


HANDSHAKE: Final = 61.0
"""Seconds after which no handshake is under way that began before: event loops end them after 60."""

Part = Callable[[Callable[[bytes], bool]], object]
"""Ends connections whose client's certificate (DER) is not believed."""


class ListenerTls:
    """The context that a listener is given, and `follow`, which keeps it true to its files."""

    def __init__(
        self, files: Sequence[str | None], read: Callable[[], ssl.SSLContext], clients: str | None = None
    ) -> None:
        """`clients`: the file of authorities among `files`. OSError, `ssl.SSLError` where they cannot be used."""
        self._clients = clients
        self._authorities = Authorities(Path(clients).read_bytes()) if clients is not None else None
        self._files = RenewedFiles([path for path in files if path], read, self._tell)
        self.context = _Newest(ssl.PROTOCOL_TLS_SERVER)
        self.context.files = self._files

    async def follow(self, part: Part = lambda believes: None) -> None:
        """Look at the files, for ever. Ones that are others hold for connections made from then on. Where an authority
        is gone, connections of before end whose client no other one believes: `part` is told, once more when every
        handshake is over that had begun."""
        loop = asyncio.get_running_loop()
        again = math.inf
        while True:
            await asyncio.sleep(LOOK)
            before = self._files.value
            await offload(self._files.renew)
            if self._files.value is not before and await offload(self._has_lost):
                again = loop.time() + HANDSHAKE
            elif loop.time() < again:
                continue
            else:
                again = math.inf
            if self._authorities is not None:
                part(self._authorities.believe)

    def _has_lost(self) -> bool:
        """Whether an authority is gone since the last time."""
        before = self._authorities
        if before is None or self._clients is None:
            return False
        try:
            self._authorities = Authorities(Path(self._clients).read_bytes())
        except (OSError, ValueError):
            return False  # replaced once more meanwhile: the next look sees it
        return not self._authorities >= before

    def _tell(self, why: str) -> None:
        files = self._files.files
        if why:
            said = {"files": files, "why": why}
            log.error("files for TLS of a listener cannot be used: the old ones hold", extra={FIELDS: said})
        else:
            log.info("files for TLS of a listener were read again", extra={FIELDS: {"files": files}})


class _Newest(ssl.SSLContext):
    """Each connection is made of the context that holds when it begins. A session of one is none of the next: who was
    believed by an authority that is gone cannot go on by a ticket."""

    files: RenewedFiles[ssl.SSLContext]

    def wrap_bio(self, *args: Any, **named: Any) -> ssl.SSLObject:  # Any: as the class above has it
        """See `SSLContext.wrap_bio`, which is all that event loops call."""
        return self.files.value.wrap_bio(*args, **named)


def listener_tls(listen: Listen) -> ListenerTls | None:
    """The node's certificates and keys, loaded; None where it speaks plain HTTP. OSError, ssl.SSLError."""
    tls = listen.tls
    if tls is None:
        return None
    pairs = [tls.certificate, tls.key, *(path for each in tls.more for path in (each.certificate, each.key))]
    return ListenerTls([*pairs, tls.clients], lambda: _of_clients(tls), tls.clients)


def admin_tls(admin: Admin) -> ListenerTls | None:
    """The same of the operator's listener. A client without a certificate may still ask whether the node lives."""
    tls = admin.tls
    if tls is None:
        return None

    def read() -> ssl.SSLContext:
        context = _speaking(tls.minimum, tls.certificate, tls.key)
        _believe(context, tls.clients, ssl.CERT_OPTIONAL)
        return context

    return ListenerTls([tls.certificate, tls.key, tls.clients], read, tls.clients)


def _of_clients(tls: Tls) -> ssl.SSLContext:
    context = _loaded(tls, tls)
    if tls.more:
        names = dict(_by_name((pair, _loaded(tls, pair)) for pair in tls.more))

        def choose(socket: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
            if name is not None and (found := names.get(name.lower()) or names.get(_wild(name.lower()))):
                socket.context = found

        context.sni_callback = choose
    return context


def _loaded(tls: Tls, pair: Tls | Certificate) -> ssl.SSLContext:
    context = _speaking(tls.minimum, pair.certificate, pair.key)
    _believe(context, tls.clients, ssl.CERT_REQUIRED if tls.require else ssl.CERT_OPTIONAL)
    return context


def _believe(context: ssl.SSLContext, clients: str | None, mode: ssl.VerifyMode) -> None:
    """Ask clients for certificates of these authorities, where there are any."""
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = mode


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
