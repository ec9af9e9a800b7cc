"""A caller's share of what parents are asked for in vain. Digests and tags that are made up cost a question each.

What works for a request, in tasks of its own too, finds it in the context that it began in.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol


class Share(Protocol):
    """Of one caller."""

    async def demand(self) -> None:
        """Return when parents may be asked for one thing more of which nothing here knows. `TooManyRequests`."""
        ...

    def spend(self) -> None:
        """Count one that they know nothing of, either."""
        ...


SHARE: ContextVar[Share | None] = ContextVar("share", default=None)
"""None: no bound."""


async def demand_share() -> None:
    """See `Share.demand`, of the caller that is worked for."""
    if (share := SHARE.get()) is not None:
        await share.demand()


def spend_share() -> None:
    """See `Share.spend`."""
    if (share := SHARE.get()) is not None:
        share.spend()
