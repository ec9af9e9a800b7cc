"""What a run of the rules is given: the node's own side, and how much it may do at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from registry_mesh.catalog.signer import Signer
from registry_mesh.content.snapshot.copying.copy_keys import Bring
from registry_mesh.content.snapshot.finding.jobs import Widths
from registry_mesh.oci.reference import RegistryName
from registry_mesh.ports.blobs import BlobStore
from registry_mesh.ports.outward import OutwardRegistries
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import Records
from registry_mesh.ports.repositories import RepositoryStore
from registry_mesh.ports.room import StoreRoom


@dataclass(frozen=True, slots=True)
class SnapshotPolicy:
    """`asks`: questions to sources at once. `repositories`: surveyed at once. `referrers_every`: seconds after
    which a tag that did not move is asked for new referrers. `widths`: jobs at once when copying."""

    asks: int = 16
    repositories: int = 8
    referrers_every: float = 3600.0
    widths: Widths = field(default_factory=Widths)
    again: tuple[float, ...] = (0.5, 2.0, 6.0)
    """Seconds after which what failed for no lasting reason is tried again, within the run."""
    by_hand: bool = False
    """A person asks for it: every rule is due."""
    only: frozenset[Place] | None = None
    """The repositories that somebody told of: of the others nothing is asked, and nothing is deleted."""
    rate: float | None = None
    """Bytes a second that all may take together; None: no bound."""
    ticks: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Ours:
    """The replica's side: where blobs, repositories and notes are kept, and how a blob is brought in."""

    blobs: BlobStore
    bring: Bring
    repositories: RepositoryStore
    records: Records
    room: StoreRoom | None = None
    """None: no bound is known."""
    signers: Mapping[str, Signer] = field(default_factory=dict)
    """By the names that rules use."""
    unusable: Mapping[str, str] = field(default_factory=dict)
    """Signers that cannot be believed, and why."""
    outward: OutwardRegistries | None = None
    """Where rules may push to; None: nowhere."""
    own: RegistryName | None = None
    """The registry under which all is kept that comes from others; None: each keeps its name."""
