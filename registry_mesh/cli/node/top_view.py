"""How `top` is looked at: which list, which of it, in which order; and what keys do to that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from registry_mesh.cli.node.asked import Told

HELP: Final = (
    "q leave   1 fills   2 readers   3 images   4 parents   d findings   ? this help",
    "s sort by something else   space stand still, and go on",
    "/ show only what has some letters in its name: enter keeps them, escape drops them",
    "served: bytes of bodies sent to clients.  wan: bytes that came from parents.",
    "joined: requests that follow a fill of another; they cost no byte of the link.",
    "fills: READERS are whole + ranges; LEFT is the time until the last byte, where somebody reads all of it.",
    "readers: bodies on their way to clients; HAD is how they were had: hit, joined, miss or stale.",
)
_KEYS: Final = "q leave  / filter  s sort  space stand still  d doctor  ? help"
_STILL: Final = "It stands still: space goes on.  q leave  / filter  s sort  d doctor  ? help"
_ENTER: Final = ("\r", "\n")
_ESCAPE: Final = "\x1b"
_BACK: Final = ("\x7f", "\b")
PAST: Final = 30
"""Seconds that a line of bars goes back."""


@dataclass(slots=True)
class View:
    """What is looked at, and how things moved."""

    shown: str = "1"
    first_sort: bool = True
    """Of the two ways that a list is sorted."""
    still: bool = False
    wanted: str = ""
    """Letters that names have to have to be listed."""
    typing: bool = False
    """Whether those are being typed."""
    sent: list[float] = field(default_factory=list)
    received: list[float] = field(default_factory=list)

    def note(self, status: Told) -> None:
        """Add a second."""
        now = status["now"]
        for past, key in ((self.sent, "sent_bytes_per_second"), (self.received, "upstream_bytes_per_second")):
            past.append(now[key])
            del past[:-PAST]

    def press(self, key: str) -> bool:
        """Do what a key means; False where it means to leave."""
        if self.typing:
            self._type(key)
            return True
        if key == "q":
            return False
        if key in "1234d?":
            self.shown = key
        elif key == "s":
            self.first_sort = not self.first_sort
        elif key == " ":
            self.still = not self.still
        elif key == "/":
            self.typing = True
        elif key == _ESCAPE:
            self.wanted = ""
        return True

    def _type(self, key: str) -> None:
        if key in _ENTER or key == _ESCAPE:
            self.typing = False
            self.wanted = "" if key == _ESCAPE else self.wanted
        elif key in _BACK:
            self.wanted = self.wanted[:-1]
        elif key.isprintable():
            self.wanted += key

    def wants(self, *names: str) -> bool:
        """Whether one of these has the letters; small and large ones are the same."""
        return any(self.wanted.casefold() in name.casefold() for name in names)

    @property
    def foot(self) -> str:
        """The keys there are."""
        if self.typing:
            return f"/{self.wanted}_  enter keep  escape drop"
        return _STILL if self.still else _KEYS
