"""The audit log: what changed something, who logged in, and who was refused. One JSON line each, of one shape.

An event is what came of a request that was answered; nothing is read here but what the exchange knows by then.
"""

from __future__ import annotations

from registry_mesh.auth.basic import parse_basic
from registry_mesh.edge.exchange import Exchange
from registry_mesh.oci.endpoints import Endpoint
from registry_mesh.telemetry import audit


def event_of(exchange: Exchange) -> str | None:
    """What the request was, for the log; None for what is not kept."""
    call, status = exchange.call, exchange.status
    if exchange.login is not None:
        return "login" if status == 200 else "login-refused"
    if _refused_login(exchange) is not None:
        return "login-refused"
    if status == 403 or (status == 401 and exchange.authorization is not None):
        return "refused"
    if call is None or not 200 <= status < 300:
        return None
    if exchange.method == "DELETE":
        return "delete" if call.endpoint is not Endpoint.UPLOAD else None
    if call.endpoint is Endpoint.MANIFEST and exchange.method == "PUT":
        return "push"
    return "upload" if status == 201 else None


def _refused_login(exchange: Exchange) -> str | None:
    """The user whose password came with a request itself (Basic), and was not good."""
    if exchange.status != 401 or exchange.authorization is None:
        return None
    login = parse_basic(exchange.authorization)
    return login.user if login is not None else None


def line(exchange: Exchange, node: str) -> str | None:
    """The line of a request that is over; None where none is kept."""
    event = event_of(exchange)
    if event is None:
        return None
    call, (registry, repository) = exchange.call, _where(exchange)
    reference = call.reference if call is not None else ""
    return audit.line(
        event,
        node,
        subject=(exchange.login or _refused_login(exchange) or exchange.subject)[:300],
        client=exchange.request.remote or "",
        request=exchange.id,
        method=exchange.method,
        path=exchange.request.raw_path.partition("?")[0][:1024],
        status=exchange.status,
        registry=registry or None,
        repository=repository or None,
        reference=reference[:300] or None,
        digest=exchange.pushed or (reference[:300] if ":" in reference else None),
        tags=exchange.tags,
        moved=exchange.moved or None,
        reason=exchange.why[:300] or None,
    )


def _where(exchange: Exchange) -> tuple[str, str]:
    """Registry and repository, of a refused request as they were asked about."""
    call = exchange.call
    if call is not None and call.repository is not None:
        return call.repository.registry, call.repository.name
    return exchange.asked.registry, exchange.asked.repository
