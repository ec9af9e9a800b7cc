"""The outer ring: a request id, a bound on what goes on at once, every fault turned into its answer, the log."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from typing import Final

from aiohttp import web

from registry_mesh.edge import audit, pull_of, spans
from registry_mesh.edge.dispatch import Dispatch
from registry_mesh.edge.exchange import Exchange
from registry_mesh.edge.faults import (
    Circumstances,
    ErrorAnswer,
    LoopFound,
    Overloaded,
    TooFast,
    answer_for,
    reason_of,
    unexpected,
)
from registry_mesh.edge.hot.entries import Hot
from registry_mesh.edge.respond import remembered_fields
from registry_mesh.edge.share import ClientShare
from registry_mesh.edge.traffic import Traffic
from registry_mesh.edge.wire.connection import Answered, Connection
from registry_mesh.oci.endpoints import Endpoint
from registry_mesh.oci.refusals import NameUnknown, Refusal, Unauthorized
from registry_mesh.ports.client import CLIENT
from registry_mesh.ports.failures import Failure, NotHeld
from registry_mesh.ports.hops import HOPS, REASON, SIBLING, Hops, asks_of, passed
from registry_mesh.ports.share import SHARE
from registry_mesh.tasks.turnstile import Turnstile
from registry_mesh.telemetry.audit import CHANGES
from registry_mesh.telemetry.traces import enter

log: Final = logging.getLogger(__name__)

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_READING: Final = ("GET", "HEAD")
_LINE: Final = json.JSONEncoder(separators=(",", ":")).encode


class OuterRing:
    """What aiohttp calls for every request it has parsed."""

    def __init__(self, dispatch: Dispatch, role_name: str, traffic: Traffic, hot: Hot | None) -> None:
        """`hot` takes what may be answered by the fast path; None where there is none."""
        self._dispatch = dispatch
        self._site = role_name == "site"
        self._role_name = role_name
        self._traffic = traffic
        self._settings = traffic.settings
        self._hot = hot
        self._failed = Turnstile()
        """One failure may be that of a whole crowd."""
        self.under_way: set[Exchange] = set()
        """Requests being answered, but for hits that are sent by themselves."""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        began = loop.time()
        connection = request.protocol
        assert isinstance(connection, Connection)
        exchange = Exchange(request, self._settings, self._request_id(request), self._hot)
        exchange.laggards = self._traffic.laggards
        if self._traffic.audit_log.kept and request.method not in _READING:
            exchange.before_answer = self._audit_change
        exchange.began, exchange.role = began, self._role_name
        exchange.keep_alive = exchange.keep_alive and not self._traffic.leaving
        exchange.trace = enter(
            request.headers.getall("traceparent", []), request.headers.getall("tracestate", [])
        )
        connection.busy = True
        self._traffic.begin()
        self.under_way.add(exchange)
        try:
            await self._answer(exchange)
        except (ConnectionError, asyncio.CancelledError) as fault:
            exchange.broken = exchange.broken or "client"
            exchange.keep_alive = False
            if isinstance(fault, asyncio.CancelledError):
                raise
        finally:
            self._traffic.end()
            self.under_way.discard(exchange)
            connection.busy = False
            connection.last_used = loop.time()
            self.over(exchange, connection.last_used - began)
        return Answered(exchange.keep_alive)

    def over(self, exchange: Exchange, seconds: float) -> None:
        """Count and log it."""
        call = exchange.call
        endpoint = call.endpoint if call is not None else None
        self._traffic.meters.answered(
            endpoint,
            exchange.method,
            exchange.status,
            exchange.sent,
            exchange.received,
            seconds,
            _registry(exchange),
        )
        if exchange.redirected:
            self._traffic.meters.redirected.add(exchange.redirected)
        if exchange.provenance is not None and call is not None and call.role.name != "origin":
            kind = "blob" if endpoint is Endpoint.BLOB else "manifest"
            self._traffic.meters.cached(
                _registry(exchange),
                "tag" if exchange.by_tag else kind,
                exchange.provenance,
                exchange.sent + exchange.redirected,
                max(0.0, exchange.headed - exchange.began),
            )
        if self._traffic.client_limits is not None:
            self._traffic.client_limits.spend(
                exchange.connection.client, exchange.sent, exchange.began + seconds
            )
        if self._traffic.pulled is not None:
            pull_of.count(exchange, self._traffic.pulled)
        spans.end(exchange, self._traffic.hits)
        if (
            self._traffic.audit_log.kept
            and not exchange.audited
            and (event := audit.line(exchange, self._settings.name)) is not None
        ):
            self._traffic.audit_log.add(event)
        if self._traffic.access_log.kept:
            self._traffic.access_log.add(render(exchange, seconds) + "\n")

    async def _audit_change(self, exchange: Exchange) -> None:
        """Have the line of a change written before its client is told of it: no process takes it along that is killed
        then."""
        if (
            audit.event_of(exchange) in CHANGES
            and (line := audit.line(exchange, self._settings.name)) is not None
        ):
            exchange.audited = True
            await self._traffic.audit_log.keep(line)

    def _request_id(self, request: web.BaseRequest) -> str:
        given = request.headers.get("X-Request-Id", "")
        return given if _REQUEST_ID.fullmatch(given) else self._traffic.new_id()

    async def _answer(self, exchange: Exchange) -> None:
        try:
            self._demand_room(exchange)
            self._demand_patience(exchange)
            self._begin_hops(exchange)
            self._begin_share(exchange)
            await self._dispatch(exchange)
        except (Refusal, Failure) as fault:
            if isinstance(fault, Failure):
                await self._failed.passed()
            await self._tell(exchange, answer_for(fault, self._circumstances(exchange, fault)), fault)
        except ConnectionError:
            raise
        except Exception as fault:
            log.exception("request %s: unexpected %s", exchange.id, type(fault).__name__)
            await self._tell(exchange, unexpected(exchange.id), fault)

    def _demand_room(self, exchange: Exchange) -> None:
        """`Overloaded` where there is too much going on, and nobody who reads next to nothing to make room."""
        surplus = exchange.connection.surplus
        full = self._traffic.running > self._settings.max_streams and not self._traffic.laggards.give_way()
        if full or surplus:
            exchange.keep_alive = exchange.keep_alive and not surplus
            raise Overloaded("this node is busy", retry_after=1)

    def _demand_patience(self, exchange: Exchange) -> None:
        """`TooFast` where the client has had its share."""
        limits = self._traffic.client_limits
        if limits is None:
            return
        wait = limits.wait(exchange.connection.client, exchange.began)
        if wait:
            raise TooFast("this client asks for more than its share of this node", wait)

    def _begin_hops(self, exchange: Exchange) -> None:
        """What works for this request knows where it has been. `LoopFound` where it was here, and would go on."""
        below = passed(exchange.headers.getall("CDN-Loop", []))
        asks = asks_of(exchange.field(SIBLING[0]), exchange.field("Cache-Control"))
        HOPS.set(Hops(below, asks=asks))
        if self._settings.node and self._settings.node in below and not asks.nobody:
            raise LoopFound(
                "this request has passed this node before: the nodes on its way are each other's parents; "
                "`registry-mesh parents` on each shows which"
            )

    def _begin_share(self, exchange: Exchange) -> None:
        """What works for this request knows whose it is, and how much parents may be asked for in vain. An origin has
        none to ask."""
        CLIENT.set(exchange.connection.client)
        if self._traffic.unknown is not None and self._role_name != "origin":
            hops = HOPS.get()
            below = hops is not None and bool(hops.below)
            SHARE.set(ClientShare(self._traffic.unknown, exchange.connection.client, below))

    async def _tell(self, exchange: Exchange, answer: ErrorAnswer, fault: Exception) -> None:
        side, exchange.reason = reason_of(fault)
        exchange.why = answer.message
        if not isinstance(fault, NotHeld):  # the answer that `only-if-cached` asks for
            self._traffic.meters.failed(side, exchange.reason, _registry(exchange))
            self._report(exchange, side, fault)
        self._explain(exchange, answer, side)
        if exchange.status:
            # An answer has begun: no error text may follow inside of it.
            log.warning("request %s: cut after %d bytes: %s", exchange.id, exchange.sent, fault)
            exchange.cut("source")
            raise ConnectionAbortedError("answer cut")
        fields = [("Content-Type", "application/json"), *answer.fields, *getattr(fault, "fields", [])]
        if isinstance(fault, Refusal) and fault.remembered is not None:
            fields += remembered_fields(exchange, fault.remembered)
        if exchange.method == "HEAD" and answer.status >= 500:
            fields.append((REASON, answer.in_a_field))
        await exchange.reply(answer.status, fields, answer.body())

    def _report(self, exchange: Exchange, side: str, fault: Exception) -> None:
        """Tell the operator; of a registry that is not served here also who asked for it."""
        about = (side, exchange.reason, _subject(exchange), exchange.why)
        registry = str(fault.detail.get("registry", "")) if isinstance(fault, NameUnknown) else ""
        if registry:
            self._settings.report(*about, registry, exchange.request.remote or "")
        else:
            self._settings.report(*about)

    def _explain(self, exchange: Exchange, answer: ErrorAnswer, side: str) -> None:
        """Say in the body, and in the access log, what the operator is told of it."""
        registry = _registry(exchange)
        reason = "loop" if answer.status == 508 else exchange.reason
        if (found := self._settings.explain(side, reason, registry)) is not None:
            answer.detail["finding"] = dict(found)
            exchange.finding = found["name"]

    def _circumstances(self, exchange: Exchange, fault: Refusal | Failure) -> Circumstances:
        headers = exchange.headers
        return Circumstances(
            site=self._site,
            write=exchange.method not in _READING,
            precondition="If-Match" in headers or "If-None-Match" in headers,
            challenge=exchange.challenge() if isinstance(fault, Unauthorized) else "",
        )


def _registry(exchange: Exchange) -> str:
    """The registry that was asked; empty where none was, or it is not known."""
    call = exchange.call
    return call.repository.registry if call is not None and call.repository is not None else ""


def _subject(exchange: Exchange) -> str:
    """What was asked for, as far as it is known: the repository, else the path."""
    call = exchange.call
    if call is not None and call.repository is not None:
        return f"{call.repository.registry}/{call.repository.name}"
    return exchange.request.raw_path.partition("?")[0][:200]


def render(exchange: Exchange, seconds: float) -> str:
    """The access log's line of a request that is over. Status 0: the client left before an answer began. The query is
    left out: it may hold secrets of others."""
    line: dict[str, object] = {
        "time": round(time.time(), 3),
        "id": exchange.id,
        "client": exchange.request.remote or "",
        "method": exchange.method,
        "path": exchange.request.raw_path.partition("?")[0][:1024],
        "status": exchange.status,
        "bytes": exchange.sent,
        "seconds": round(seconds, 6),
        "agent": exchange.headers.get("User-Agent", "")[:200],
    }
    call, provenance = exchange.call, exchange.provenance
    if call is not None and call.who.subject != "anonymous":
        line["subject"] = call.who.subject
    if call is not None and call.repository is not None:
        line["registry"] = call.repository.registry
    if provenance is not None:
        line["cache"] = provenance.result
        if provenance.source:
            line["source"] = provenance.source
    if call is not None and call.registry is not None and not call.by_path:
        line["ns"] = call.registry
    if exchange.why:
        line["reason"], line["why"] = exchange.reason, exchange.why[:300]
    if exchange.finding:
        line["finding"] = exchange.finding
    if exchange.redirected:
        line["redirected"] = exchange.redirected
    if "Range" in exchange.headers:
        line["range"] = exchange.headers["Range"][:100]
    if exchange.broken:
        line["broken"] = exchange.broken
    return _LINE(line)
