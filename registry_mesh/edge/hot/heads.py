"""The heads that come on one connection: what each asks for, whose it is, and what it gives besides.

One client writes its heads in one way. Where it has what changes from request to request is remembered from the head
before, and looked at there first: to search for it takes longer than all the rest.
"""

from __future__ import annotations

from typing import Final

from registry_mesh.edge.hot.callers import LOGIN, Caller, mark_at
from registry_mesh.edge.hot.fast_path import FastPath
from registry_mesh.edge.hot.layouts import NOTHING, Given
from registry_mesh.edge.hot.recognise import END, Known, Usual

LAYOUTS: Final = 32
"""Lengths of heads that a connection remembers something of."""

_RANGE: Final = b"\r\nRange: bytes="
_VALUE: Final = len(_RANGE)
_CREDENTIALS: Final = len(LOGIN)


class Heads:
    """Of one connection. `caller`, `asked` and `given` belong to the head that was read last: whose credentials it
    shows, the text of its range, and its values that matter."""

    __slots__ = (
        "_callers",
        "_login_at",
        "_mark",
        "_path",
        "_range_at",
        "_range_first",
        "asked",
        "caller",
        "given",
        "layouts",
        "plain",
        "varies",
    )

    def __init__(self, path: FastPath) -> None:
        self._path = path
        self._callers = path.callers.by_mark
        self._mark = mark_at(0, 0)
        """Where the credentials that were looked up last end in their head."""
        self.asked: bytes | None = None
        self.caller: Caller | None = None
        self.given: Given = NOTHING
        self.plain = True
        """Whether the next head may be known by its bytes as they are: the last that was read is."""
        self.varies = False
        """Whether the next one may be known by its bytes without the values in it, and no more taken out: so the last
        was."""
        self._login_at = self._range_at = -1
        """Where its client has those lines: the first of them in a head, the other in what is left of it then; -1:
        nowhere."""
        self._range_first = False
        """Whether that is the range, whose length changes from one to the next."""
        self.layouts: dict[int, Usual] = {}
        """Where its client has what changes from request to request, in heads of so many bytes."""

    def read(self, data: bytes) -> Known | None:
        """What is asked for, where it is hot and nothing else in the head matters. Credentials that were never good
        for anything are for the slow path to look at."""
        if data[-4:] != END:
            return None
        known, line = self._look_up(data)
        if line is None:
            return known
        if self._find_lines(data):
            known, line = self._look_up(data)
        if line is not None and is_complete(data):
            return self._recognise(line)
        return known

    def _find_lines(self, data: bytes) -> bool:
        """Find the two lines that are looked at alone; whether they are elsewhere than in the head before."""
        before = self._login_at, self._range_at, self._range_first
        at, first = data.find(LOGIN), data.find(_RANGE)
        self._range_first = 0 <= first < at
        line = data
        if self._range_first:
            at -= data.find(b"\r", first + _VALUE) - first
        elif at >= 0:
            line = data[:at] + data[data.find(b"\r", at + _CREDENTIALS) :]
        self._login_at, self._range_at = at, line.find(_RANGE)
        return (self._login_at, self._range_at, self._range_first) != before

    def _look_up(self, data: bytes) -> tuple[Known | None, bytes | None]:
        """The same by the bytes of a head that has its login and its range where the head before had them. What is left
        of the head comes with it where that is not known: it may have them elsewhere, and is not known because of them.
        None there: it is for the slow path."""
        line = data
        self.asked, self.given = None, NOTHING
        if self._range_first:
            self.asked, line = _cut(data, self._range_at)
        at = self._login_at
        if at < 0:
            self.caller = None
        else:
            caller = self.caller  # one connection mostly shows the same
            if caller is None or not line.startswith(caller.line, at):
                caller = self._callers.get(line[self._mark])  # most tokens of a client are equally long
                if caller is None or not line.startswith(caller.line, at):
                    caller = self._find_caller(line, at)
                    if caller is None and line.startswith(LOGIN, at):
                        self.caller = None
                        return None, None
                self.caller = caller
            if caller is not None:
                stop = at + caller.length
                if at == self._range_at and not self._range_first and line.startswith(_RANGE, stop):
                    first, stop = stop + _VALUE, line.find(b"\r", stop + _VALUE)
                    self.asked = line[first:stop]
                line = line[:at] + line[stop:]
        at = self._range_at
        if at >= 0 and self.asked is None and line.startswith(_RANGE, at):
            stop = line.find(b"\r", at + _VALUE)
            self.asked, line = line[at + _VALUE : stop], line[:at] + line[stop:]
        # A known head is complete; so are the bytes it was taken from, as they too end with an empty line.
        usual = self.layouts.get(len(line)) if self.layouts else None
        if usual is not None:
            self.varies = line is data
            if self._path.recording or (given := usual.again(line)) is None:
                return self._by_layout(usual, line)
            self.given = given
            return usual.known, None
        known = self._path.known.get(line)
        self.plain, self.varies = line is data, False
        return (known, None) if known is not None and not known.entry.gone else (None, line)

    def _find_caller(self, line: bytes, at: int) -> Caller | None:
        """Whose login begins at `at`, where it does; looked up from now on where its credentials end."""
        if not line.startswith(LOGIN, at):
            return None
        self._mark = mark_at(at, line.find(b"\r", at + _CREDENTIALS))
        return self._path.callers.in_head(line, at, self._mark)

    def _by_layout(self, usual: Usual, line: bytes) -> tuple[Known | None, bytes | None]:
        """The same, without the values that change, where a value is odd or the request may be one that is recorded."""
        path, layout = self._path, usual.layout
        rest = layout.rest(line)
        known = usual.known if rest == usual.last else usual.find(rest)
        if known is None or known.entry.gone:
            return None, line
        given = layout.given(line)
        if given is None or (path.recording and layout.recorded(line) and path.records()):
            return None, None
        self.given = given
        return known, None

    def _recognise(self, line: bytes) -> Known | None:
        """What a head asks for that is not known by its bytes."""
        path = self._path
        known, given, usual = path.recogniser.recognise(line)
        self.given = given or NOTHING
        if usual is not None:
            if len(self.layouts) >= LAYOUTS:
                self.layouts.clear()
            self.layouts[len(line)] = usual
            if path.recording and usual.layout.recorded(line) and path.records():
                return None
        return known


def _cut(data: bytes, at: int) -> tuple[bytes | None, bytes]:
    """The text of a range whose line begins there, and what is left without it; None and all where there is none."""
    if not data.startswith(_RANGE, at):
        return None, data
    stop = data.find(b"\r", at + _VALUE)
    return data[at + _VALUE : stop], data[:at] + data[stop:]


def is_complete(data: bytes) -> bool:
    """Whether it is one head, to the end."""
    return data[-4:] == END and data.find(END) == len(data) - 4
