"""Whether a caller may do what it asks: when it asks, and once more before a change that its body held up."""

from __future__ import annotations

from registry_mesh.auth.access import Action, Verdict
from registry_mesh.edge.call import Call
from registry_mesh.edge.exchange import Exchange
from registry_mesh.oci.refusals import Denied, Unauthorized


def admit(exchange: Exchange, action: Action, registry: str, name: str, *, listed: bool = False) -> str:
    """The subject; `Unauthorized` or `Denied`."""
    decision = exchange.decide(action, registry, name, listed=listed)
    if decision.verdict is Verdict.ALLOW:
        return decision.subject
    if decision.verdict is Verdict.AUTHENTICATE:
        raise Unauthorized(decision.reason)
    raise Denied(decision.reason, action=action.value, repository=name)


async def admit_still(exchange: Exchange, action: Action, call: Call) -> None:
    """As `admit`, after a body that may have taken hours: the login may be revoked by now, or the right gone."""
    await exchange.identify()
    admit(exchange, action, call.repository.registry if call.repository else "", call.name)
