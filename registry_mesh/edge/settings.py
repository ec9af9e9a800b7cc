"""What a listener may be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from registry_mesh.auth.access import AnonymousAccess, Level, Policy
from registry_mesh.edge.client_limits import Limits
from registry_mesh.oci.reference import RegistryName
from registry_mesh.ports.access import TokenService


@dataclass(frozen=True, slots=True)
class Settings:
    """Sizes in bytes, times in seconds."""

    name: str = "registry_mesh"
    """The node's name: in Cache-Status and request ids."""
    node: str = ""
    """What the node is called by those that look for loops, until it ends; empty where it hands no request on."""
    above: Callable[[], Sequence[str]] = list
    """The nodes above it, called so."""
    cut_off: Callable[[], str] = str
    """What of its registries is cut off from all above (`ports.cut_off`)."""
    policy: Policy = field(default_factory=lambda: AnonymousAccess(Level.PULL))
    tokens: TokenService | None = None
    """Answers at `/token`; None: nobody does."""
    default_registry: RegistryName | None = None
    """For requests that name none on this listener; None: the role's default."""
    default_by_host: Mapping[str, RegistryName] = field(default_factory=dict)
    """The same by the Host a client used (lower case, without port); goes before `default_registry`."""
    read_only: bool = False
    """Whether nothing may be changed, for maintenance."""
    manifest_limit: int = 16 << 20
    max_streams: int = 4096
    """Bodies on their way at once, in and out; one more is answered 503 with Retry-After."""
    max_connections: int = 0
    """Connections beyond it are answered 503 and closed; 0: no limit."""
    descriptors: int = 0
    """How many this process may have, where connections that are idle make room for others; 0: they never do."""
    certified: bool = False
    """Whether a client's certificate says who it is, where it shows no other credentials."""
    client_limits: Limits = Limits()  # noqa: RUF009 - frozen
    """Of each client."""
    keepalive_timeout: float = 75.0
    send_timeout: float = 300.0
    """A client that takes not one byte for so long is cut off."""
    body_timeout: float = 120.0
    """The same for a client that sends not one byte of the body it announced."""
    drain_idle: float = 1.0
    """While draining, a connection that has asked nothing for so long is closed; where descriptors are few, none that
    was asked something since."""
    page_limit: int = 10_000
    """Entries of a tag list, listing or referrers list in one answer."""
    redirect_from: int | None = None
    """Blobs and spans of at least so many bytes are redirected where the store has an address; None: never."""
    audit_log: str | None = None
    """A file's path, `-` for standard output; None: no log."""
    audit_wait: float = 1.0
    """A change is answered after so long, though the disk of that log hangs."""
    count_pulls: bool = False
    """Whether what clients fetch is counted by caller, for `Server.take_pulls`."""
    access_log: str | None = None
    """A file's path, `-` for standard output; None: no log."""
    explain: Callable[[str, str, str], Mapping[str, str] | None] = field(
        default=lambda side, reason, registry: None
    )
    """Called with a side and a reason of `names`, and a registry's name: the finding that explains it, with its `name`
    and `sentence`; None: none does."""
    report: Callable[..., None] = field(default=lambda *about: None)
    """Told of each request that was not answered as asked: by whose side, why, what was asked for, a sentence; of a
    registry that is not served here then also its name, and the client's address."""
    fast: bool = True
    """Answer hits before the request is parsed in full (`edge.hot.connection`)."""
    hot_idle: float = 1.0
    """A hot blob cannot be evicted so long after its last use."""
    hot_files: int = 512
    """Hot blobs whose files are kept open."""

    @property
    def cache_name(self) -> str:
        """The name as Cache-Status can hold it (RFC 9211, section 2)."""
        return _cache_name(self.name)


@lru_cache
def _cache_name(name: str) -> str:
    return "".join(char for char in name if char.isalnum() or char in "-_.") or "cache"
