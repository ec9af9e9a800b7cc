"""Callers: whose credentials were good for something, and the rights that hot answers need."""

from __future__ import annotations

import json
import math
from typing import Final

from registry_mesh.auth.access import Asked
from registry_mesh.edge.hot.lately import Lately

NEVER: Final = -math.inf
RIGHTS: Final = 4096
"""Rights remembered, one a repository."""
CALLERS: Final = 16 << 20
"""Bytes of credentials remembered, and as many that are to be forgotten next: some 15,000 tokens."""
LONGEST: Final = 8192
"""Bytes of a field that is remembered."""
LOGIN: Final = b"\r\nAuthorization: "
MARK: Final = 64
"""Bytes at the end of credentials by which they are looked up."""


_LENGTHS: Final = tuple(range(len(LOGIN) + LONGEST + 1))
"""The same number for all callers: of one of thousands each object besides has to be fetched from far."""


class Right:
    """What must be allowed for an answer, and until when it is known to be."""

    __slots__ = ("asked", "until")

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.until = NEVER


class Caller:
    """Credentials that an answer was given for. `rights` are kept with the loop's time until which they hold; `log` is
    what stands in the access log after the client."""

    __slots__ = (
        "authorization",
        "generation",
        "length",
        "line",
        "log",
        "name",
        "right",
        "rights",
        "until",
    )

    def __init__(self, credentials: bytes, authorization: str, log: str, name: str) -> None:
        self.line = LOGIN + credentials + b"\r"
        """How it stands in a head."""
        self.length = _LENGTHS[len(self.line) - 1]
        self.authorization = authorization
        self.log = log
        self.name = name
        """The subject; empty for a caller without one."""
        self.generation = -1
        """Of the policy, when the rights were asked for."""
        self.rights: dict[Right, float] = {}
        self.right: Right | None = None
        """The one that was needed last, and until when it holds: by thousands of callers a look less into memory."""
        self.until = NEVER


class Callers:
    """Of one listener."""

    def __init__(self) -> None:
        self._rights: dict[Asked, Right] = {}
        self._callers: Lately[Caller] = Lately(CALLERS, MARK)
        self.by_mark = self._callers.new
        """The callers seen lately, by `mark_at`; credentials that end alike are not yet the same. Stays this object."""

    def right(self, asked: Asked) -> Right:
        """The one for what is asked: answers of one repository share it."""
        right = self._rights.get(asked)
        if right is None:
            if len(self._rights) >= RIGHTS:
                self._rights.clear()
            right = self._rights[asked] = Right(asked)
        return right

    def keep(self, authorization: str, subject: str) -> None:
        """The credentials are good for something: what, is asked of the policy."""
        key = authorization.encode("latin-1", "replace")
        if len(key) <= LONGEST and self.by_value(key) is None:
            log = "" if subject == "anonymous" else f'"subject":{json.dumps(subject)},'
            name = subject if log else ""
            self._callers.put(key[-MARK:], Caller(key, authorization, log, name))

    def by_value(self, credentials: bytes) -> Caller | None:
        """By the value of the field; None where it was never good for anything, or was forgotten."""
        line = LOGIN + credentials + b"\r"
        return self.in_head(line, 0, mark_at(0, len(line) - 1))

    def in_head(self, head: bytes, at: int, mark: slice) -> Caller | None:
        """The same by the line of a head that begins at `at`; `mark`: see `mark_at`."""
        caller = self._callers.get(head[mark])
        return caller if caller is not None and head.startswith(caller.line, at) else None


def mark_at(at: int, stop: int) -> slice:
    """By what credentials are looked up whose line begins at `at` in a head and ends before `stop`: by the end of them,
    which is a token's signature. They are compared as a whole then: to hash all of them takes longer."""
    return slice(max(at + len(LOGIN), stop - MARK), stop)
