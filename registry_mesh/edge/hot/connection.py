"""The fast path: hits answered before aiohttp parses anything.

`data_received` looks at the raw bytes. One complete GET or HEAD for something hot, with fields that cannot change
the answer, is answered at once (`edge.hot.manifest_answers`, `edge.hot.blob_answers`). Everything else goes to aiohttp
untouched, and so do all requests that come while something is being answered the slow way. What the answer holds is
what the slow path would have answered, byte for byte but for the variable fields (Date, X-Request-Id, Age); a
differential test sends every shape of request through both.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web

from registry_mesh.edge.hot.blob_answers import BlobAnswers
from registry_mesh.edge.hot.fast_path import FastPath
from registry_mesh.edge.hot.heads import Heads, is_complete
from registry_mesh.edge.hot.layouts import NOTHING
from registry_mesh.edge.hot.manifest_answers import ManifestAnswers
from registry_mesh.edge.hot.recognise import KnownManifest

STASH: Final = 64 << 10
"""Bytes of pipelined requests kept while an answer is on its way; then the client is made to wait."""

TURNS: Final = 8
"""Of the loop, for which a hit waits for aiohttp to be done with the answer before it."""


class FastConnection(ManifestAnswers, BlobAnswers):
    """See the module."""

    __slots__ = ("_heads", "_path", "_stash")

    def __init__(
        self, path: FastPath, manager: web.Server, **kwargs: Any
    ) -> None:  # Any: aiohttp's own keywords
        super().__init__(manager, **kwargs)
        self._path: FastPath | None = path
        """None from the moment on that the parser may hold the state: half a head, a body, two requests."""
        self._heads = Heads(path)
        self._stash = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection too many has no fast path."""
        super().connection_made(transport)
        if self.surplus:
            self._path = None

    def let_go(self) -> None:
        """Answer no more by the fast path, whose answers keep connections open."""
        if self._remainder is None and not self._stash:
            self._path = None

    def data_received(self, data: bytes) -> None:
        """Answer a request for what is hot at once, or hand the bytes to the slow path, in their order."""
        path = self._path
        if path is None:
            super().data_received(data)
        elif self._remainder is not None or self._stash:
            self._keep(data)
        elif self._idle():
            if not self.answer(path, data):
                self._give(data)
        elif self._is_between() and self._heads.read(data) is not None:
            self._stash = data
            self._loop.call_soon(self._look_again, TURNS)
        else:
            self._give(data)

    def answer(self, path: FastPath, data: bytes) -> bool:
        """Whether `data` is one request for what is hot; it is being answered then."""
        heads = self._heads
        if heads.plain:
            known = path.known.get(data)
            if known is not None and not known.entry.gone:
                if isinstance(known, KnownManifest):
                    return self.send_manifest(path, known, None, NOTHING)
                return self.send_blob(path, known, None, NOTHING, None)
            heads.plain = False
        elif (
            heads.varies
            and (usual := heads.layouts.get(len(data))) is not None
            and not path.recording
            and (given := usual.again(data)) is not None
        ):
            if isinstance(known := usual.known, KnownManifest):
                return self.send_manifest(path, known, None, given)
            return self.send_blob(path, known, None, given, None)
        known = heads.read(data)
        if known is None:
            return False
        if isinstance(known, KnownManifest):
            return heads.asked is None and self.send_manifest(path, known, heads.caller, heads.given)
        return self.send_blob(path, known, heads.caller, heads.given, heads.asked)

    def _idle(self) -> bool:
        """Whether aiohttp waits for a request and has nothing of ours in its buffers. Whoever wakes it from that has
        put a message there, or told it to close."""
        return not (self.busy or self._messages or self._force_close or self._close) and (
            self._waiter is not None or not self._request_count
        )

    def _is_between(self) -> bool:
        """Whether aiohttp has had its last answer sent and comes back to wait within a few turns. A client that asks at
        once finds it so each time, and would have all its hits answered the slow way."""
        return self._waiter is None and not (
            self.busy or self._messages or self._force_close or self._close or self.transport is None
        )

    def _look_again(self, turns: int) -> None:
        path, stash = self._path, self._stash
        if self.transport is None or self.transport.is_closing():
            return
        if not self._idle() and self._is_between() and turns:
            self._loop.call_soon(self._look_again, turns - 1)
            return
        self._stash = b""
        self.transport.resume_reading()
        if path is None or not (self._idle() and self.answer(path, stash)):
            self._give(stash)

    def _give(self, data: bytes) -> None:
        """To aiohttp."""
        self._is_clear = False
        if not is_complete(data):
            self._path = None
        super().data_received(data)

    # -- what comes meanwhile ---------------------------------------------------------------------------------

    def _keep(self, data: bytes) -> None:
        self._stash += data
        if len(self._stash) > STASH and self.transport is not None:
            self.transport.pause_reading()

    def _go_on(self) -> None:
        """Now for requests that came meanwhile."""
        super()._go_on()
        stash, self._stash = self._stash, b""
        if stash and self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
            self.data_received(stash)
