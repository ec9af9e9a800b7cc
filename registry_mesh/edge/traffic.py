"""What goes on at one listener: ids of requests, how many are being answered, counters and log."""

from __future__ import annotations

import itertools
import secrets
from functools import partial

from registry_mesh.edge.access_log import AccessLog
from registry_mesh.edge.client_limits import ClientLimits
from registry_mesh.edge.held_lines import HeldLines
from registry_mesh.edge.meters import Meters
from registry_mesh.edge.patience import Laggards
from registry_mesh.edge.pulled import Pulled
from registry_mesh.edge.settings import Settings
from registry_mesh.telemetry import audit
from registry_mesh.telemetry.traces import HitBudget


class Traffic:
    """Shared by whatever answers at one listener, the outer ring and the fast path."""

    def __init__(self, settings: Settings, meters: Meters, held: HeldLines | None = None) -> None:
        """`held` is told of lines of the audit log that the disk does not take."""
        self.settings = settings
        self.meters = meters
        self.access_log = AccessLog(settings.access_log)
        lost = partial(audit.lost, settings.name)
        self.audit_log = AccessLog(settings.audit_log, True, lost, awaited=settings.audit_wait, held=held)
        self.pulled = Pulled() if settings.count_pulls else None
        """What clients fetch; None where nobody asks."""
        limits = settings.client_limits
        self.client_limits = ClientLimits(limits) if limits.rates else None
        """How fast a client may ask; None: as fast as it likes."""
        self.unknown = ClientLimits(limits) if limits.unknown else None
        """How often parents are asked for a client in vain; None: no bound. Apart, for hits need not look at it."""
        self.ids = itertools.count(1)
        self.prefix = secrets.token_hex(4)
        """A request's id is this, a dash and the next of `ids` in hexadecimal."""
        self.leaving = False
        """Whether another process takes over: each answer is the last on its connection."""
        self.hits = HitBudget()
        """Of hits that are recorded in traces."""
        self.laggards = Laggards()
        """Clients that read next to nothing of what they asked for."""
        self.running = 0
        """Requests being answered, but for those that are answered within one turn of the loop."""

    def new_id(self) -> str:
        """An id for a request that brought none: the same prefix in one process, and a number."""
        return f"{self.prefix}-{next(self.ids):x}"

    def begin(self) -> None:
        """Count a request as being answered, until `end`."""
        self.running += 1
        self.meters.running.add()

    def end(self) -> None:
        """Count an exchange as ended."""
        self.running -= 1
        self.meters.running.add(-1)
