"""What findings are made from. Times are in seconds since the epoch."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ParentFacts:
    """One parent of one registry."""

    name: str
    url: str
    state: str
    """up, unasked, down, silent or throttled."""
    since: float = 0.0
    why: str = ""
    again: float | None = None
    """When it is asked next."""
    lies: int = 0
    """Within an hour."""
    clock_ahead: float | None = None
    """Seconds by which this node's clock is ahead of its; None where it has not told."""
    rate: float = 0.0
    """Bytes a second that its bodies brought; 0: not known."""
    slow_since: float = 0.0
    """Since when it is asked for blobs after the others for being slow; 0: it is not."""
    slow_until: float = 0.0
    denied_since: float = 0.0
    """Since when it does not take this node's login, or gives it nothing for want of one; 0: neither is so."""
    no_registry: int = 0
    """The status that it answers /v2/ with, where that is none of a registry's and it gave nothing yet."""
    error: str = ""
    """What went wrong last, while it was asked."""
    error_at: float = 0.0
    place: str = ""
    """`FILE:LINE` where the configuration names it."""
    cut_off: float = 0.0
    """Since when it says that none of its own parents of the registry answers; 0: it does not say so."""
    lost: bool = True
    """Of one that is not usable: it gave no answer when it was asked last, not even an error."""

    @property
    def usable(self) -> bool:
        """Whether requests go there."""
        return self.state in ("up", "unasked")


@dataclass(frozen=True, slots=True)
class RegistryFacts:
    """One registry, its parents in the order they are asked."""

    name: str
    parents: tuple[ParentFacts, ...] = ()
    grace: float = 0.0
    """Seconds that tags are answered without any parent."""
    login: bool = False
    """Whether its parents are shown credentials."""
    unproven: bool = False
    """Whether ranges are given of what is not here whole, from parents without chunk maps."""
    answered: float = 0.0
    """When one of its parents answered last; 0: none has, as far as is known."""
    forgotten: bool = False
    """Whether it is served to nobody: credentials of the node fetch it, and no line says who may read it."""
    grace_among_errors: float = 0.0
    """As `grace`, where a parent answers, with errors."""


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """Where bytes are kept."""

    where: str = ""
    bucket: str = ""
    """Where blobs are kept, beside that folder; empty for none."""
    fault: str = ""
    fault_since: float = 0.0
    used: int = 0
    quota: int = 0
    """0: no bound."""
    quota_key: str = "store.disk.quota"
    """Where the configuration says it."""
    evicts: bool = False
    evicted: int = 0
    """Bytes within a day."""
    refetched: int = 0
    """Of what had been evicted."""
    free: int = 0
    """Bytes that its file system has left."""
    newer_format: int = 0
    """The format that a newer version wrote it in; 0: it is ours."""
    format: int = 0
    """The newest format that this version reads."""


@dataclass(frozen=True, slots=True)
class CareFacts:
    """How what is held is looked after."""

    rotten: int = 0
    """Chunks within a day."""
    repaired: int = 0
    scrubbed: float = 0.0
    """When all was last read again; 0: never."""
    scrub_every: float = 0.0
    verified: float = 0.0
    """When all was checked last by `verify`; 0: never."""
    wrong: int = 0
    """What that found, and did not mend."""
    first_wrong: str = ""


@dataclass(frozen=True, slots=True)
class ProgramFacts:
    """The processes and what they were told."""

    deaths: int = 0
    """Processes that died within a quarter of an hour."""
    files: int = 1 << 20
    """Files that may be open."""
    loaded: float = 0.0
    """When the configuration in force was read."""
    refused: str = ""
    """Why a newer one was not taken; empty where none was refused."""
    refused_at: float = 0.0


@dataclass(frozen=True, slots=True)
class AccessFacts:
    """The files that say who may do what."""

    faults: tuple[str, ...] = ()
    """`FILE:LINE:COLUMN: WHY` of newer ones, that are not taken."""
    faults_since: float = 0.0


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Files that the configuration names, and that cannot be used as they are now."""

    key: str
    """What names them: `listen.tls`."""
    why: tuple[str, ...]
    """Each with its file."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """A certificate that this node shows."""

    file: str
    ends: float
    unusable: str = ""
    """Why another one, that the file holds now, is not shown."""
    listener: str = "clients"
    """To whom it is shown: `clients` or `operators`."""


@dataclass(frozen=True, slots=True)
class IdleRule:
    """A rule that takes no tag of its registry, of which everything could be listed."""

    name: str
    registry: str
    place: str = ""
    """`FILE:LINE:COLUMN`."""


@dataclass(frozen=True, slots=True)
class StoppedDeletes:
    """Deletions that the guard of the rules stopped."""

    registry: str
    deletes: int
    tags: int
    guard: float
    plan: str
    """Digest by which they are approved."""


@dataclass(frozen=True, slots=True)
class RulesFacts:
    """A node's rules, and their last run."""

    faults: tuple[str, ...] = ()
    faults_since: float = 0.0
    tags: int = 0
    held: int = 0
    failed: int = 0
    """But for what the guard stopped."""
    brings_ahead: bool = False
    """They say what a site brings ahead of time, and what is asked for comes without them."""
    troubles: tuple[str, ...] = ()
    ended: float = 0.0
    """0: no run has ended."""
    complete: float = 0.0
    """When the last run that was complete ended, or the node began."""
    every: float = 0.0
    """Seconds from one run to the next; 0: none is due."""
    idle: tuple[IdleRule, ...] = ()
    stopped: tuple[StoppedDeletes, ...] = ()


@dataclass(frozen=True, slots=True)
class PullFacts:
    """What was asked for within 30 seconds."""

    requests: int = 0
    failures: int = 0
    """Not answered as asked, by no fault of the callers."""
    reasons: tuple[str, ...] = ()
    """Why, the commonest first: `SIDE: REASON`."""
    hits: int = 0
    """Answers from what is held, within ten minutes."""
    hit_seconds: float = 0.0
    """The time to their heads that 99 of 100 kept within."""


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """Bytes of memory. `limit` is 0 where there is none."""

    used: int = 0
    """Without what the kernel would give back at once."""
    limit: int = 0


@dataclass(frozen=True, slots=True)
class AuditFacts:
    """Lines of the audit log that its disk does not take."""

    file: str = ""
    held: int = 0
    """Of all processes, now."""
    lost: int = 0
    """Within a day."""


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """What the disk under the store did within `seconds`."""

    device: str = ""
    reads: int = 0
    read_seconds: float = 0.0
    """That a read took, in the mean."""
    busy: float = 0.0
    """The share of the time in which it had something to do."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class UnservedFacts:
    """A registry that clients asked for within an hour, and that is not served here."""

    registry: str
    clients: int
    requests: int
    since: float


@dataclass(frozen=True, slots=True)
class UnkeptFacts:
    """A blob that passed through within a day and was not kept: it is larger than the store."""

    repository: str
    digest: str
    size: int
    times: int
    since: float
    last: float


@dataclass(frozen=True, slots=True)
class WebhookFacts:
    """A receiver of events that does not take them."""

    name: str
    to: str
    since: float
    why: str
    waiting: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """All that is known of a node."""

    config: str
    """The configuration's file, as commands are given it."""
    started: float = 0.0
    registries: tuple[RegistryFacts, ...] = ()
    store: StoreFacts = field(default_factory=StoreFacts)
    care: CareFacts = field(default_factory=CareFacts)
    program: ProgramFacts = field(default_factory=ProgramFacts)
    access: AccessFacts = field(default_factory=AccessFacts)
    files: tuple[FileFacts, ...] = ()
    certificates: tuple[CertificateFacts, ...] = ()
    rules: RulesFacts = field(default_factory=RulesFacts)
    pulls: PullFacts = field(default_factory=PullFacts)
    webhooks: tuple[WebhookFacts, ...] = ()
    memory: MemoryFacts = field(default_factory=MemoryFacts)
    disk: DiskFacts = field(default_factory=DiskFacts)
    audit: AuditFacts = field(default_factory=AuditFacts)
    unserved: tuple[UnservedFacts, ...] = ()
    unkept: tuple[UnkeptFacts, ...] = ()
