"""Requests the fast path knows, by every byte of their heads but a Range line.

What is asked for is known by the request line (`edge.hot.entries`), and that no field can change the answer by a
pattern.
Clients send the same head again and again, so both are looked up in one step the next time.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from registry_mesh.edge.hot.blob import HotBlob
from registry_mesh.edge.hot.entries import Hot
from registry_mesh.edge.hot.lately import Lately
from registry_mesh.edge.hot.layouts import MARK, NOTHING, Given, Layout, bare, layout_of
from registry_mesh.edge.hot.manifest import HotManifest
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
_AGENT: Final = re.compile(rb"\r\nuser-agent:[ \t]*([\x20-\x7e]*?)[ \t]*\r\n", re.IGNORECASE)
HEADS: Final = 16 << 20
"""Bytes of heads remembered, and as many that are to be forgotten next."""
CUT: Final = 2 << 20
"""The same of heads without some of their values, for each set of fields that they have."""
SETS: Final = 8
"""Such sets that are remembered."""
BLOCKS: Final = 1 << 20
"""The same of blocks of fields that cannot change an answer."""
LONGEST: Final = 2048
"""Bytes of a head or a block that is remembered."""


class KnownManifest:
    """A head that asks for a manifest; `log`: the end of its line in the access log, from the method on. `same` and
    `same_log`: the tally and the line of 304."""

    __slots__ = ("counts", "entry", "etag", "log", "right", "same", "same_log", "tally")

    def __init__(self, entry: HotManifest, tally: Tally, same: Tally, agent: str) -> None:
        self.entry = entry
        self.right = entry.shape.right
        self.etag = entry.shape.etag
        self.counts = entry.shape.fetched.whole if entry.shape.fetched is not None else None
        self.tally = tally
        self.same = same
        end = f'"seconds":0.0,"agent":{agent},"cache":"hit"}}\n'
        self.log = f'{entry.shape.log}"status":200,"bytes":{entry.size},{end}'
        self.same_log = f'{entry.shape.log}"status":304,"bytes":0,{end}'


class KnownBlob:
    """A head that asks for a blob, whole or, where it came with a Range, in part. `part_log`: its line's middle up
    to the bytes sent, `whole_log` the same of the whole, `log`: what follows, up to the range, where the answer left
    at once; `remainder_log` the same without the seconds."""

    __slots__ = ("counts", "entry", "log", "part_log", "parts", "remainder_log", "tally", "whole_log")

    def __init__(self, entry: HotBlob, tally: Tally, agent: str) -> None:
        self.entry = entry
        fetched = entry.shape.fetched
        self.counts = fetched.whole if fetched is not None else None
        self.parts = fetched.parts if fetched is not None else None
        self.tally = tally
        self.part_log = f'{entry.shape.log}"status":206,"bytes":'
        self.whole_log = f'{entry.shape.log}"status":200,"bytes":'
        self.remainder_log = f',"agent":{agent},"cache":"hit"'
        self.log = f',"seconds":0.0{self.remainder_log}'


Known = KnownManifest | KnownBlob


class Usual:
    """Heads of one length and layout, as a connection remembers them. `last`: what was left of the last one that was
    `known`: a client that reads a blob range by range sends the same each time."""

    __slots__ = ("_heads", "known", "last", "layout")

    def __init__(self, layout: Layout, heads: Mapping[bytes, Known], head: bytes, known: Known) -> None:
        """`heads`: what is asked for, by what is left of a head."""
        self.layout = layout
        self._heads = heads
        self.last = layout.rest(head)
        self.known = known

    def again(self, head: bytes) -> Given | None:
        """What a head gives that asks for something known, from now on `known`; None for any other, and where a value
        is odd."""
        layout = self.layout
        parts = layout.parts(head)
        rest = parts[::2]
        if (rest != self.last and self.find(rest) is None) or self.known.entry.gone:
            return None
        values = parts[1::2]
        if not b"".join(values).isalnum():
            return None
        return (values[layout.id], head[layout.condition]) if layout.has_given else NOTHING

    def find(self, rest: tuple[bytes, ...]) -> Known | None:
        """What is asked for by a head of which `rest` is left; None where that is not known."""
        known = self._heads.get(MARK.join(rest))
        if known is not None:
            self.last, self.known = rest, known
        return known


class Recogniser:
    """`known` has what was recognised; an entry may have been forgotten since."""

    def __init__(self, hot: Hot, tallies: Tallies) -> None:
        self._hot = hot
        self._tallies = tallies
        self._heads: Lately[Known] = Lately(HEADS, LONGEST)
        self.known = self._heads.new
        self._cut: defaultdict[tuple[int, ...], Lately[Known]] = defaultdict(lambda: Lately(CUT, LONGEST))
        self._harmless: Lately[str] = Lately(BLOCKS, LONGEST)

    def recognise(self, head: bytes) -> tuple[Known | None, Given | None, Usual | None]:
        """What the one complete head asks for, where that is hot and nothing else in it matters, what it gives
        besides, and how heads like it are known by what is left of them without their values. A Range line has been
        taken out before."""
        layout = layout_of(head)
        if layout is None:
            return self._recognise(head), None, None
        given = layout.given(head)
        known = self._recognise(bare(head)) if given is not None else None
        if known is None or (layout.kinds not in self._cut and len(self._cut) >= SETS):
            return known, given, None
        cut = self._cut[layout.kinds]
        cut.put(MARK.join(layout.rest(head)), known)
        return known, given, Usual(layout, cut.new, head, known)

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
        of, shape = self._tallies.of, entry.shape
        registry = shape.right.asked.registry
        if isinstance(entry, HotBlob):
            return KnownBlob(entry, of(registry, "blob", shape.method, "blob"), agent)
        tally, same = (of(registry, "manifest", shape.method, entry.kind, code) for code in ("2xx", "3xx"))
        return KnownManifest(entry, tally, same, agent)

    def agent_of(self, block: bytes) -> str | None:
        """The User-Agent, as JSON, of a block of fields that cannot change an answer; None for any other."""
        agent = self._harmless.get(block)
        if agent is None and _FIELDS.fullmatch(block):
            found = _AGENT.search(block)
            agent = json.dumps(found[1].decode("ascii")[:200] if found else "")
            self._harmless.put(block, agent)
        return agent
