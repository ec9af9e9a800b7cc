"""WWW-Authenticate challenges (RFC 9110 section 11.6.1; distribution's token specification)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

LINE_LIMIT: Final = 8192
"""Characters of one header line; a longer one is not read."""
CHALLENGES_LIMIT: Final = 32
"""Challenges, and parameters of each, that are read."""

_BETWEEN: Final = re.compile(r"[ \t,]*")
_BLANKS: Final = re.compile(r"[ \t]*")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TOKEN68: Final = re.compile(r"[ \t]+([-._~+/0-9A-Za-z]+=*)[ \t]*(?=,|$)")
_EQUALS: Final = re.compile(r"[ \t]*=[ \t]*")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_BARE: Final = re.compile(r'[^ \t,"]+')
"""Wider than a token: an address is often left without its quotes."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One scheme, in lower case, with its parameters, their names in lower case; or with a `token68` instead."""

    scheme: str
    parameters: Mapping[str, str]
    token68: str = ""


def parse_challenges(lines: Sequence[str]) -> list[Challenge]:
    """Return what the header lines demand, in their order.

    A line may hold several challenges, and several lines are one list. What cannot be read ends its line: the
    challenges before it stand.
    """
    reader = _Reader()
    for line in lines:
        if len(line) <= LINE_LIMIT:
            reader.read(line.strip())
    return reader.found[:CHALLENGES_LIMIT]


class _Reader:
    """Collects challenges. A name before `=` is a parameter of the newest challenge; any other name is a scheme."""

    def __init__(self) -> None:
        self.found: list[Challenge] = []
        self._parameters: dict[str, str] | None = None

    def read(self, line: str) -> None:
        at: int | None = _end(_BETWEEN, line, 0)
        while at is not None and at < len(line) and len(self.found) <= CHALLENGES_LIMIT:
            name = _TOKEN.match(line, at)
            if name is None:
                return
            equals = _EQUALS.match(line, name.end())
            at = self._parameter(name[0], line, equals.end()) if equals else self._scheme(name, line)
            at = at if at is None else _end(_BETWEEN, line, at)

    def _scheme(self, name: re.Match[str], line: str) -> int:
        """Begin a challenge; return where reading goes on."""
        token = _TOKEN68.match(line, name.end())
        if token is not None:
            self.found.append(Challenge(name[0].lower(), {}, token[1]))
            self._parameters = None
            return token.end()
        self._parameters = {}
        self.found.append(Challenge(name[0].lower(), self._parameters))
        return name.end()

    def _parameter(self, name: str, line: str, at: int) -> int | None:
        """Note a parameter, the first of its name; return where reading goes on, None where it cannot."""
        quoted = _QUOTED.match(line, at)
        bare = quoted or _BARE.match(line, at)
        if bare is None:
            return None
        value = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else bare[0]
        if self._parameters is not None and len(self._parameters) < CHALLENGES_LIMIT:
            self._parameters.setdefault(name.lower(), value)
        return bare.end()


def _end(pattern: re.Pattern[str], line: str, at: int) -> int:
    """Return where a pattern that fits anything, even nothing, ends."""
    found = pattern.match(line, at)
    return found.end() if found else at
