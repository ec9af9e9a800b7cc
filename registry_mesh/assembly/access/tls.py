"""The TLS of a listener: its certificates by the names that clients ask for, and whose certificates it believes."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from registry_mesh.access.authorities import Authorities
from registry_mesh.config.admin import Admin
from registry_mesh.config.listen import Certificate, Listen, Tls
from registry_mesh.listening.parting import Believes, Shown
from registry_mesh.tasks.files import Files
from registry_mesh.tasks.last_files import LastFiles
from registry_mesh.tasks.renewed_files import LOOK, RenewedFiles
from registry_mesh.tasks.threads import offload
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


HANDSHAKE: Final = 61.0
"""Seconds after which no handshake is under way that began before: event loops end them after 60."""

EXPIRED: Final = 15.0
"""Seconds between two looks for clients whose certificates have ended."""

Part = Callable[[Believes], object]
"""Ends connections whose client is not believed by the certificate it showed."""


class ListenerTls:
    """The context that a listener is given, and `follow`, which keeps it true to its files."""

    def __init__(
        self,
        files: Sequence[str | None],
        read: Callable[[Files], ssl.SSLContext],
        clients: str | None = None,
        clock: Callable[[], float] = time.time,
        last: LastFiles | None = None,
    ) -> None:
        """`clients`: the file of authorities among `files`. `last`: see `RenewedFiles`. OSError, ValueError,
        `ssl.SSLError` where they cannot be used."""
        self._clients = clients
        self._clock = clock
        self._named = [path for path in files if path]
        self._files = RenewedFiles(self._named, partial(self._read, read), self._tell, last)
        self._authorities = self._files.value.authorities
        self.context = _Newest(ssl.PROTOCOL_TLS_SERVER)
        self.context.files = self._files

    async def follow(self, part: Part = lambda believes: None, expired: float = EXPIRED) -> None:
        """Look at the files, for ever. Ones that are others hold for connections made from then on. Connections end
        whose client is not believed any more: each `expired` seconds those whose certificate has ended; where an
        authority is gone or has ended, those that no other one believes, and once more when every handshake is over
        that had begun."""
        if self._authorities is None:
            await self._follow_files()
        else:
            await self._follow_clients(self._authorities, part, expired)

    async def _follow_files(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            await offload(self._files.renew)

    async def _follow_clients(self, before: Authorities, part: Part, expired: float) -> None:
        loop = asyncio.get_running_loop()
        again, look = math.inf, loop.time() + expired
        while True:
            await asyncio.sleep(LOOK)
            now = await offload(self._believed, before)
            if not now >= before:
                again = loop.time() + HANDSHAKE
                part(_by(now))
            elif loop.time() >= again:
                again = math.inf
                part(_by(now))
            if loop.time() >= look:
                look = loop.time() + expired
                part(_until(self._clock()))
            before = now

    def _believed(self, before: Authorities) -> Authorities:
        """Who is believed now, after a look at the files."""
        files = self._files.value
        self._files.renew()
        if self._files.value is files and self._clock() < before.until:
            return before
        return Authorities(self._files.value.clients, self._clock())

    def _read(self, read: Callable[[Files], ssl.SSLContext], files: Files) -> _Held:
        clients = files.data(self._clients) if self._clients is not None else b""
        authorities = Authorities(clients, self._clock()) if self._clients is not None else None
        return _Held(read(files), clients, authorities)

    def _tell(self, why: str) -> None:
        files = self._named
        if why:
            said = {"files": files, "why": why}
            log.error("files for TLS of a listener cannot be used: the old ones hold", extra={FIELDS: said})
        else:
            log.info("files for TLS of a listener were read again", extra={FIELDS: {"files": files}})


def _by(authorities: Authorities) -> Believes:
    def believes(shown: Shown) -> bool:
        certificate = shown.der
        return not certificate or authorities.believe(certificate)

    return believes


def _until(now: float) -> Believes:
    return lambda shown: now < shown.until


@dataclass(frozen=True, slots=True)
class _Held:
    """What files of a listener said when they were good. `clients`: the bytes of authorities of clients."""

    context: ssl.SSLContext
    clients: bytes
    authorities: Authorities | None


class _Newest(ssl.SSLContext):
    """Each connection is made of the context that holds when it begins. A session of one is none of the next: who was
    believed by an authority that is gone cannot go on by a ticket."""

    files: RenewedFiles[_Held]

    def wrap_bio(self, *args: Any, **named: Any) -> ssl.SSLObject:  # Any: as the class above has it
        """See `SSLContext.wrap_bio`, which is all that event loops call."""
        return self.files.value.context.wrap_bio(*args, **named)


def listener_tls(listen: Listen, last: LastFiles | None = None) -> ListenerTls | None:
    """The node's certificates and keys, loaded; None where it speaks plain HTTP. OSError, ValueError, ssl.SSLError."""
    tls = listen.tls
    if tls is None:
        return None
    pairs = [tls.certificate, tls.key, *(path for each in tls.more for path in (each.certificate, each.key))]
    return ListenerTls([*pairs, tls.clients], partial(_of_clients, tls), tls.clients, last=last)


def admin_tls(admin: Admin, last: LastFiles | None = None) -> ListenerTls | None:
    """The same of the operator's listener. A client without a certificate may still ask whether the node lives."""
    tls = admin.tls
    if tls is None:
        return None

    def read(files: Files) -> ssl.SSLContext:
        context = _speaking(tls.minimum, files.at(tls.certificate), files.at(tls.key))
        _believe(context, tls.clients, files, ssl.CERT_OPTIONAL)
        return context

    return ListenerTls([tls.certificate, tls.key, tls.clients], read, tls.clients, last=last)


def _of_clients(tls: Tls, files: Files) -> ssl.SSLContext:
    context = _loaded(tls, tls, files)
    if tls.more:
        names = dict(_by_name((pair, _loaded(tls, pair, files)) for pair in tls.more))

        def choose(socket: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
            if name is not None and (found := names.get(name.lower()) or names.get(_wild(name.lower()))):
                socket.context = found

        context.sni_callback = choose
    return context


def _loaded(tls: Tls, pair: Tls | Certificate, files: Files) -> ssl.SSLContext:
    context = _speaking(tls.minimum, files.at(pair.certificate), files.at(pair.key))
    _believe(context, tls.clients, files, ssl.CERT_REQUIRED if tls.require else ssl.CERT_OPTIONAL)
    return context


def _believe(context: ssl.SSLContext, clients: str | None, files: Files, mode: ssl.VerifyMode) -> None:
    """Ask clients for certificates of these authorities, where there are any."""
    if clients is not None:
        context.load_verify_locations(files.at(clients))
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
