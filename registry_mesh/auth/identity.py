"""Whose request it is, once its credentials are known to be good."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

from registry_mesh.auth.grants import Grants


@dataclass(frozen=True, slots=True)
class Identity:
    """A subject: `anonymous`, a user's name, or `robot:NAME`. `groups` are those that its credentials name; `grants`
    what a token narrows its rights to (None: nothing). `until`: the Unix time at which the credentials end.
    `leeway`: the seconds of it that were added for clocks that differ. `credential`: the mark of the password or secret
    behind them, empty where none is known."""

    subject: str
    groups: frozenset[str] = field(default_factory=frozenset)
    grants: Grants | None = None
    until: float = math.inf
    credential: str = ""
    leeway: float = 0.0

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody logged in."""
        return self.subject == ANONYMOUS_NAME


ANONYMOUS_NAME: Final = "anonymous"
ANONYMOUS: Final = Identity(ANONYMOUS_NAME)
"""Nobody in particular."""
