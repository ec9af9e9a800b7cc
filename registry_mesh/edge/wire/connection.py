"""One client connection: aiohttp's protocol with our way of sending and our words for malformed HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import struct
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod, LineTooLong
from aiohttp.web_protocol import RequestHandler

from registry_mesh.edge import head
from registry_mesh.edge.wire.certificate import certified_name
from registry_mesh.edge.wire.door import Door
from registry_mesh.edge.wire.sending import Crowd, Wire

log: Final = logging.getLogger(__name__)


METHODS: Final = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
"""What is told of a method that the parser does not know, and so has not read what it was for."""

_TOKEN: Final = re.compile(r"\n  b['\"][!#$%&*+.^_`|~0-9A-Za-z-]")
"""In what the parser says of a method: it begins as a method may (RFC 9110, 5.6.2)."""


STOOD: Final = 0.05
"""Seconds by which an idle connection's end is late in a process that stood still."""

AGAIN: Final = 0.01
"""Seconds that such a connection is given, once: for what its client has sent meanwhile."""

_DROP: Final = struct.pack("ii", 1, 0)
"""For SO_LINGER: an end without waiting for anything."""


class Answered(web.StreamResponse):
    """Tells aiohttp that the answer has left, and whether another request may come."""

    def __init__(self, keep_alive: bool) -> None:
        super().__init__()
        self._goes_on = keep_alive

    @property
    def keep_alive(self) -> bool:
        """Whether the connection goes on after this answer."""
        return self._goes_on

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing is left to prepare: the answer has been sent."""
        return

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write: the answer has been sent."""
        return


class Connection(RequestHandler):
    """A subclass may override `data_received` to answer what it knows before aiohttp parses anything."""

    __slots__ = ("_crowd", "_door", "_spared", "busy", "certified", "client", "last_used", "surplus", "wire")

    def __init__(
        self,
        manager: web.Server,
        *,
        crowd: Crowd,
        door: Door,
        **kwargs: Any,  # aiohttp's own keywords
    ) -> None:
        """`door` tells whether there are more connections than may be."""
        super().__init__(manager, **kwargs)
        self._crowd = crowd
        self._door = door
        self.certified = ""
        """The name in the certificate that the client showed."""
        self.client = ""
        """Whose it is, where there are bounds for each client; empty for one that has none."""
        self.busy = False
        """Whether a request is being answered."""
        self.last_used = 0.0
        self.surplus = False
        """Came when there were too many already: is answered 503 and closed."""
        self.wire: Wire | None = None
        self._spared = 0.0
        """The end of its idle time that was put off."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked that is not answered, and all of what was answered has left."""
        transport = self.transport
        if transport is None or transport.is_closing() or self.busy or self._messages:
            return False
        return not transport.get_write_buffer_size()

    def let_go(self) -> None:
        """Let the next answer be the last: another process takes over."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the connection its wire; `surplus` says whether it is one too many."""
        # A cast, for uvloop's transports are no subclasses of asyncio's.
        self.wire = Wire(self._loop, cast(asyncio.Transport, transport), self._crowd)
        self.last_used = self._loop.time()
        super().connection_made(transport)
        self.certified = certified_name(transport)
        peer = transport.get_extra_info("peername")
        self.client = self._door.enter(str(peer[0]) if isinstance(peer, tuple) else "")
        self.surplus = self._door.is_full(self.client)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the wire first, so that what is being read for it is closed."""
        # First the writer goes, then the task is cancelled, which closes whatever was being read.
        if self.wire is not None:
            self.wire.close()
        self._door.leave(self.client)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The socket takes nothing more for now, and the wire waits."""
        super().pause_writing()
        if self.wire is not None:
            self.wire.pause()

    def resume_writing(self) -> None:
        """The socket takes bytes again, and the wire goes on."""
        super().resume_writing()
        if self.wire is not None:
            self.wire.resume()

    def _process_keepalive(self) -> None:
        """What came while this process stood still is read first: uvloop looks at its timers before its sockets."""
        late = self._loop.time() - self._next_keepalive_close_time
        if late > STOOD and self._next_keepalive_close_time != self._spared:
            self._spared = self._next_keepalive_close_time = self._next_keepalive_close_time + late + AGAIN
        super()._process_keepalive()

    def abort(self) -> None:
        """Drop the connection with whatever was on its way: the client sees a cut, never an end."""
        if self.transport is not None:
            self.transport.abort()

    def forget_unsent(self) -> None:
        """Have the kernel drop, once the connection is aborted, what its client has not read: it would be kept for
        minutes more for a client that reads nothing."""
        if self.transport is not None and (sock := self.transport.get_extra_info("socket")) is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What aiohttp could not parse (400; 405 for a method that nobody knows), or what escaped from us (500): JSON,
        and the connection ends."""
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("the client has gone")
        if status >= 500:
            log.error("unexpected failure outside a request's handling", exc_info=exc)
        self.transport.write(_refusal(status, exc, message or ""))
        return Answered(keep_alive=False)


def _refusal(status: int, exc: BaseException | None, message: str) -> bytes:
    code, allow = "UNSUPPORTED", []
    reason = (message or "malformed HTTP").strip().splitlines()[0][:200]
    if status >= 500:
        code, reason = "UNKNOWN", "internal error"
    elif isinstance(exc, BadHttpMethod) and _TOKEN.search(message):
        status, reason, allow = 405, "this method is not known here", [("Allow", ", ".join(METHODS))]
    elif isinstance(exc, LineTooLong) and bytes(exc.args[0]).startswith((b"/", b"http")):
        status, reason = 414, f"the request target has more than {exc.args[1]} bytes"
    elif isinstance(exc, LineTooLong):  # its message repeats the field, and that may be a login
        reason = f"a field of the request has more than {exc.args[1]} bytes"
    error = {"code": code, "message": reason, "detail": {"protocol": "HTTP/1.1"}}
    body = json.dumps({"errors": [error]}).encode()
    fields = [
        ("Date", head.date()),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        *allow,
        ("Connection", "close"),
    ]
    return head.render(status, fields) + body
