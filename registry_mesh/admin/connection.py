"""One connection to the operator's listener."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from registry_mesh import __version__

SERVER: Final = f"registry-mesh/{__version__}"
"""The program's name, and no list of what it is made of."""


class _Brief(logging.Filter):
    """What is no HTTP is the other end's fault: a line, and no traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record."""
        fault = record.exc_info[1] if record.exc_info else None
        if isinstance(fault, HttpProcessingError):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.msg, record.args, record.exc_info = "what came was no HTTP", (), None
        return True


_http: Final = logging.getLogger(__name__)
_http.addFilter(_Brief())

_HOW: Final[dict[str, Any]] = {"access_log": None, "keepalive_timeout": 75.0, "logger": _http}
# Any: aiohttp's own keywords


class Connection(web.RequestHandler):
    """Says nothing of what it is made of, in answers to what it cannot read either."""

    __slots__ = ()

    def __init__(self, server: web.Server) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **_HOW)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP (400), or what escaped from us (500)."""
        said = "what came is no HTTP/1.1\n" if status < 500 else None
        answer = super().handle_error(request, status, exc, said)
        answer.headers["Server"] = SERVER
        return answer
