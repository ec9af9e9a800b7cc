"""The access policy of a configuration, replaced while requests run."""

from __future__ import annotations

from registry_mesh.auth.access import AnonymousAccess, Asked, Decision, Level, Policy
from registry_mesh.config.schema import Access


def policy(access: Access) -> Policy:
    return AnonymousAccess(Level.parse(access.anonymous))


class SwitchedPolicy:
    """Implements `auth.access.Policy`; every decision is that of the policy of the day."""

    def __init__(self, access: Access) -> None:
        self._policy = policy(access)

    def switch(self, access: Access) -> None:
        self._policy = policy(access)

    def decide(self, authorization: str | None, asked: Asked) -> Decision:
        return self._policy.decide(authorization, asked)

    def challenge(self, asked: Asked) -> str:
        return self._policy.challenge(asked)
