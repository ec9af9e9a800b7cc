"""What patterns are about: names of repositories, tags and nodes, and how those are made."""

from __future__ import annotations

import enum
import string
from typing import Final

from registry_mesh.replication.automaton import Automaton, mask
from registry_mesh.replication.regex import parse_regex


class Subject(enum.Enum):
    """What a pattern is about; the value is the characters it may hold."""

    REPOSITORY = string.ascii_lowercase + string.digits + "._-/"
    TAG = string.ascii_letters + string.digits + "._-"
    NODE = string.ascii_letters + string.digits + "._-:"

    @property
    def said(self) -> str:
        """How names of this kind are made, where not all that its characters can spell is one."""
        return _MADE[self][0] if self in _MADE else ""

    def has_one(self, automaton: Automaton) -> bool:
        """Whether `automaton` accepts a name of this kind, of whatever length."""
        if self in _MADE:
            return automaton.shares_any(_MADE[self][1], mask(self.value))
        return automaton.describes_any(mask(self.value))

    @property
    def noun(self) -> str:
        """What a person calls names of this kind."""
        return self.name.lower()


_WORD: Final = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_MADE: Final = {
    Subject.REPOSITORY: (
        "names are lower-case words joined by . _ __ - and /",
        Automaton(parse_regex(f"{_WORD}(/{_WORD})*")),
    ),
    Subject.TAG: (
        "a tag begins with a letter, a digit or _",
        Automaton(parse_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]*")),
    ),
}
