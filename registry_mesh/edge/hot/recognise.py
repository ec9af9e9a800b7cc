"""Requests the fast path knows, by every byte of their heads but a Range line.

What is asked for is known by the request line (`edge.hot.entries`), and that no field can change the answer by a
pattern.
Clients send the same head again and again, so both are looked up in one step the next time.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from registry_mesh.edge.hot.entries import Hot, HotBlob, HotManifest
from registry_mesh.edge.hot.lately import Lately
from registry_mesh.edge.hot.tally import Tallies, Tally

END: Final = b"\r\n\r\n"

_FIELDS: Final = re.compile(
    rb" HTTP/1\.1\r\n"
    rb"(?=(?:(?!host:)[^\r\n]*\r\n)*host:[^\r\n]*\r\n(?!(?:[^\r\n]+\r\n)*host:))"  # exactly one Host
    rb"(?!(?:[^\r\n]+\r\n)*user-agent:[^\r\n]*\r\n(?:[^\r\n]+\r\n)*user-agent:)"  # at most one of these
    rb"(?:(?:host|user-agent|accept|accept-encoding|accept-language"
    rb"|cdn-loop|via|forwarded|x-forwarded-(?:for|host|port|prefix|proto)|x-real-ip):[ \t]*[\x21-\x7e]?[\x20-\x7e]*\r\n"
    rb"|connection:[ \t]*keep-alive[ \t]*\r\n)+\r\n",
    re.IGNORECASE,
)
_VARYING: Final = (b"\r\ntraceparent:", b"\r\ntracestate:", b"\r\nx-request-id:", b"\r\nif-none-match:")
"""Lines whose values change from request to request. The first two never change an answer."""
_ID, _CONDITION = 2, 3
_AGENT: Final = re.compile(rb"\r\nuser-agent:[ \t]*([\x20-\x7e]*?)[ \t]*\r\n", re.IGNORECASE)
HEADS: Final = 16 << 20
"""Bytes of heads remembered, and as many that are to be forgotten next."""
BLOCKS: Final = 1 << 20
"""The same of blocks of fields that cannot change an answer."""
LONGEST: Final = 2048
"""Bytes of a head or a block that is remembered."""


class KnownManifest:
    """A head that asks for a manifest; `log`: the end of its line in the access log, from the method on. `same` and
    `same_log`: the tally and the line of 304."""

    __slots__ = ("entry", "log", "same", "same_log", "tally")

    def __init__(self, entry: HotManifest, tally: Tally, same: Tally, agent: str) -> None:
        self.entry = entry
        self.tally = tally
        self.same = same
        end = f'"seconds":0.0,"agent":{agent},"cache":"hit"}}\n'
        self.log = f'{entry.shape.log}"status":200,"bytes":{entry.size},{end}'
        self.same_log = f'{entry.shape.log}"status":304,"bytes":0,{end}'


class KnownBlob:
    """A head that asks for a blob, whole or, where it came with a Range, in part. `part_log`: its line's middle up
    to the bytes sent, `whole_log` the same of the whole, `log`: what follows, up to the range, where the answer left
    at once; `remainder_log` the same without the seconds."""

    __slots__ = ("entry", "log", "part_log", "remainder_log", "tally", "whole_log")

    def __init__(self, entry: HotBlob, tally: Tally, agent: str) -> None:
        self.entry = entry
        self.tally = tally
        self.part_log = f'{entry.shape.log}"status":206,"bytes":'
        self.whole_log = f'{entry.shape.log}"status":200,"bytes":'
        self.remainder_log = f',"agent":{agent},"cache":"hit"'
        self.log = f',"seconds":0.0{self.remainder_log}'


Known = KnownManifest | KnownBlob


@dataclass(slots=True)
class Given:
    """Values of a head that may be others with each request: X-Request-Id and If-None-Match, empty where they are
    missing."""

    id: bytes = b""
    id_text: str = ""
    condition: str = ""


Usual = tuple[tuple[bytes, int], ...]
"""How the client of a connection spells the names of such lines, each with the number of its kind in `_VARYING`."""


def _spelled(head: bytes) -> Usual:
    """The lines whose values change, as this head spells them."""
    low = head.lower()
    found = [(low.find(name), name, kind) for kind, name in enumerate(_VARYING)]
    return tuple((head[at : at + len(name)], kind) for at, name, kind in found if at >= 0)


def _taken(head: bytes, usual: Usual) -> tuple[bytes, Given | None]:
    """The head without the lines of `usual`, and what of them matters; an empty head where a value is odd. A line
    that is doubled stays in the head, which nobody knows then."""
    given = None
    for name, kind in usual:
        at = head.find(name)
        if at < 0:
            continue
        start = at + len(name)
        end = head.find(b"\r\n", start)
        value = head[start:end].strip(b" ")
        head = head[:at] + head[end:]
        if kind == _CONDITION:
            given = given or Given()
            given.condition = text = value.decode("latin-1")
            odd = not text or not text.isprintable() or not text.isascii()
        elif kind == _ID:
            given = given or Given()
            given.id, given.id_text = value, value.decode("latin-1")
            odd = len(value) > 64 or not (value.isalnum() or value.translate(None, b"-._").isalnum())
        else:
            odd = not value.isascii() or not value.decode("latin-1").isprintable()
        if odd:
            return b"", None
    return head, given


class Recogniser:
    """`known` has what was recognised; an entry may have been forgotten since."""

    def __init__(self, hot: Hot, tallies: Tallies) -> None:
        self._hot = hot
        self._tallies = tallies
        self._heads: Lately[Known] = Lately(HEADS, LONGEST)
        self.known = self._heads.new
        self._harmless: Lately[str] = Lately(BLOCKS, LONGEST)

    def as_usual(self, head: bytes, usual: Usual) -> tuple[Known | None, Given | None]:
        """`recognise` for a head spelled as the last one of its connection was, and for something known; else None."""
        bare, given = _taken(head, usual)
        known = self.known.get(bare)
        return (None, None) if known is None or known.entry.gone else (known, given)

    def recognise(self, head: bytes) -> tuple[Known | None, Given | None, Usual]:
        """What the one complete head asks for, where that is hot and nothing else in it matters, what it gives
        besides, and how. A Range line has been taken out before."""
        usual = _spelled(head)
        bare, given = _taken(head, usual) if usual else (head, None)
        return self._recognise(bare), given, usual

    def _recognise(self, head: bytes) -> Known | None:
        if (old := self._heads.get(head)) is not None and not old.entry.gone:
            return old
        end = head.find(b" HTTP/1.1\r\n")
        key = head[:end]
        entry = self._hot.blobs.get(key) or self._hot.manifests.get(key)
        agent = self.agent_of(head[end:]) if entry is not None else None
        if entry is None or agent is None:
            return None
        known = self._know(entry, agent)
        self._heads.put(head, known)
        return known

    def _know(self, entry: HotBlob | HotManifest, agent: str) -> Known:
        if isinstance(entry, HotBlob):
            return KnownBlob(entry, self._tallies.of("blob", entry.shape.method, "blob"), agent)
        of, shape = self._tallies.of, entry.shape
        tally, same = (of("manifest", shape.method, entry.kind, code) for code in ("2xx", "3xx"))
        return KnownManifest(entry, tally, same, agent)

    def agent_of(self, block: bytes) -> str | None:
        """The User-Agent, as JSON, of a block of fields that cannot change an answer; None for any other."""
        agent = self._harmless.get(block)
        if agent is None and _FIELDS.fullmatch(block):
            found = _AGENT.search(block)
            agent = json.dumps(found[1].decode("ascii")[:200] if found else "")
            self._harmless.put(block, agent)
        return agent
