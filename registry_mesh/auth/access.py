"""Who may do what: the decision, from facts alone. It is asked on every request, warm hits too: that something
is held is never permission."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Final, Protocol


class Action(enum.Enum):
    """What is asked; the value is its name in policy files and in answers."""

    PULL = "pull"
    PUSH = "push"
    """Bring blobs and manifests into a repository."""
    CREATE = "create"
    """Set a tag that does not exist."""
    TAG_UPDATE = "tag-update"
    """Move a tag that exists."""
    DELETE = "delete"
    ADMIN = "admin"
    """Steer the node."""


Actions = frozenset[Action]

PULLING: Final[Actions] = frozenset({Action.PULL})
PUSHING: Final[Actions] = PULLING | {Action.PUSH, Action.CREATE, Action.TAG_UPDATE}
"""Clients look before they write."""
EVERYTHING: Final[Actions] = frozenset(Action)


class Level(enum.Enum):
    """`access: {anonymous: …}`: what needs no credentials; each level includes those before it."""

    NOTHING = 0
    PULL = 1
    PUSH = 2
    ADMIN = 3

    @classmethod
    def parse(cls, text: str) -> Level:
        """The level by its name in a configuration; ValueError otherwise."""
        try:
            return cls[text.upper()]
        except KeyError:
            raise ValueError("one of nothing, pull, push, admin") from None

    @property
    def actions(self) -> Actions:
        """What it includes."""
        return _LEVELS[self.value]


_LEVELS: Final[tuple[Actions, ...]] = (frozenset(), PULLING, PUSHING, EVERYTHING)


class Verdict(enum.Enum):
    """The outcome of a decision."""

    ALLOW = "allow"
    AUTHENTICATE = "authenticate"
    """Not without credentials, or not with these (401)."""
    DENY = "deny"
    """Not for this subject (403)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request wants. `repository` is empty for what belongs to no repository (`/v2/`, the listing). `listed`: it
    is about the listing of repositories, or about whether this one may stand in it."""

    action: Action
    registry: str = ""
    repository: str = ""
    listed: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, whom it is about, and why."""

    verdict: Verdict
    subject: str = "anonymous"
    reason: str = ""
    error: str = ""
    """With AUTHENTICATE: the `error` of a Bearer challenge (RFC 6750, section 3.1); empty where no credentials came."""
    until: float = math.inf
    """Unix time until which it holds while the policy's generation stays the same."""


class Policy(Protocol):
    """Decides from the `Authorization` header as it came and what is asked. Fast: called for every request."""

    @property
    def generation(self) -> int:
        """Changes with everything that may change a decision, but for the time."""
        ...

    async def learn(self, authorization: str) -> None:
        """Find out whose credentials these are, where that takes time (a password is hashed): `decide` knows then.
        `TooManyRequests` where too many wait for that."""
        ...

    def decide(self, authorization: str | None, asked: Asked) -> Decision:
        """Decide. `authorization` is None where the request has no such field. Never blocks, never raises."""
        ...

    def challenge(self, asked: Asked, base: str = "", error: str = "") -> str:
        """What `WWW-Authenticate` says with a 401. `base`: scheme and authority under which the client knows us."""
        ...


_ALLOWED: Final = Decision(Verdict.ALLOW)
_WITHHELD: Final = Decision(Verdict.AUTHENTICATE, reason="authentication required")


@dataclass(frozen=True, slots=True)
class AnonymousAccess:
    """The same rights for everybody, whatever credentials come along."""

    level: Level
    realm: str = "registry_mesh"
    generation: int = 0

    async def learn(self, authorization: str) -> None:
        """There is nothing to find out."""

    def decide(self, authorization: str | None, asked: Asked) -> Decision:
        """Allow what the level includes."""
        if asked.action in self.level.actions:
            return _ALLOWED
        if self.level is Level.NOTHING:
            return _WITHHELD
        return Decision(Verdict.DENY, reason=f"{asked.action.value} is not allowed to anonymous clients here")

    def challenge(self, asked: Asked, base: str = "", error: str = "") -> str:
        """A Basic challenge (RFC 7617)."""
        return f'Basic realm="{self.realm}", charset="UTF-8"'
