"""What background work leaves to clients: their turn at one parent, and the last of its quota."""

from __future__ import annotations

from typing import Final

from registry_mesh.ports.failures import SourceThrottled
from registry_mesh.ports.standing import Quota
from registry_mesh.ports.urgency import Urgency
from registry_mesh.upstream.health.board import Card

LATELY: Final = 1.0
"""Seconds since a request of a client began, or bytes came for one, in which clients are taken to be at a parent: a
pull is a chain of requests."""

KEPT: Final = 0.25
"""Of a parent's quota, for clients."""

KEPT_LEAST: Final = 10
"""Requests that are kept for them where the parent does not say how many it allows."""

QUOTA_LASTS: Final = 300.0
"""Seconds for which a quota is believed that was told without the time when it is whole again."""


def kept_for(quota: Quota, now: float) -> float:
    """Return the seconds for which all that is left of a quota is for clients; 0.0 where background work may have
    some."""
    if quota.remaining > (KEPT * quota.limit if quota.limit else KEPT_LEAST):
        return 0.0
    return max(0.0, (quota.until or quota.at + QUOTA_LASTS) - now)


class Background:
    """Of the parent of that name."""

    def __init__(self, name: str, card: Card) -> None:
        self._name = name
        self._card = card

    @property
    def busy(self) -> bool:
        """Whether clients, of any process, wait for the parent now."""
        return self._card.clock() - self._card.clients_at < LATELY

    @property
    def saves(self) -> bool:
        """Whether all that is left of the quota is for what clients cannot do without."""
        quota = self._card.quota()
        return quota is not None and kept_for(quota, self._card.clock()) > 0

    def admit(self, work: Urgency) -> None:
        """Note that a client waits; `SourceThrottled` where none does, and the rest of the quota is for clients."""
        if not work.background:
            self._card.serve()
            return
        quota = self._card.quota()
        if quota is not None and (left := kept_for(quota, self._card.clock())):
            raise SourceThrottled(
                f"allows {quota.remaining} requests more, which are kept for clients",
                source=self._name,
                retry_after=left,
            )
