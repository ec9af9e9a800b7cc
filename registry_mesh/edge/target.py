"""The request target: what stands between method and version, taken apart from the bytes that came.

Nothing is normalised: no dot segments are removed, no doubled slashes merged but those before `v2`, which proxies that
join paths make, and an escape may not spell what a path would split at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from registry_mesh.edge.faults import TargetTooLong
from registry_mesh.oci.refusals import NameInvalid, RequestInvalid

_ESCAPE: Final = re.compile(r"%(.{0,2})", re.DOTALL)
_HEX: Final = re.compile(r"[0-9A-Fa-f]{2}")
_PLAIN: Final = re.compile(r"[!-$&-\[\]-~]*")  # visible ASCII without % and backslash
_AUTHORITY: Final = re.compile(r"https?://[^/?#]+", re.IGNORECASE)
_UNESCAPABLE: Final = frozenset('/\\.%?#"<> ')
_MAX_FIELDS: Final = 1024
_DIGESTS: Final = ("digest", "mount")
"""Parameters whose own reader says best what is wrong with them."""
_BEFORE: Final = re.compile(r"//+(?=v2/)")


class Query:
    """The parameters, decoded, in order."""

    __slots__ = ("_fields",)

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields

    def all(self, name: str) -> list[str]:
        """Every value of a parameter, in the order of the request."""
        return [value for key, value in self._fields if key == name]

    def one(self, name: str) -> str | None:
        """Its value; None where absent, `RequestInvalid` where it is given twice."""
        values = self.all(name)
        if len(values) > 1:
            raise RequestInvalid(f"the parameter {name} is given {len(values)} times", parameter=name)
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class Target:
    """The path and the parameters of a request."""

    path: str
    query: Query


NO_QUERY: Final = Query([])


def parse_target(raw: str) -> Target:
    """`NameInvalid` for a path that is no path of ours, `RequestInvalid` for a broken query."""
    if not raw.startswith("/"):
        authority = _AUTHORITY.match(raw)  # absolute-form (RFC 9112, 3.2.2)
        if authority is None:
            raise NameInvalid("the request target is not a path", given=raw[:300])
        raw = raw[authority.end() :] or "/"
    raw = _BEFORE.sub("/", raw, count=1) if raw.startswith("//") else raw
    path, mark, query = raw.partition("?")
    return Target(_decode(path), _parse_query(query) if mark and query else NO_QUERY)


def _decode(path: str) -> str:
    if _PLAIN.fullmatch(path) and "#" not in path:
        return path
    if "#" in path or not _PLAIN.fullmatch(_ESCAPE.sub("", path)):
        raise NameInvalid("a path is made of visible ASCII characters", given=path[:300])
    return _ESCAPE.sub(_unescape, path)


def _unescape(found: re.Match[str]) -> str:
    digits = found[1]
    char = chr(int(digits, 16)) if _HEX.fullmatch(digits) else "\0"
    if not "!" <= char <= "~" or char in _UNESCAPABLE:
        raise NameInvalid("an escape in the path that no name may hold", given=found[0][:8])
    return char


def _parse_query(query: str) -> Query:
    try:
        if not query.isascii() or "#" in query:
            raise ValueError("not ASCII")
        if query.count("&") >= _MAX_FIELDS:
            raise TargetTooLong(f"more than {_MAX_FIELDS} parameters")
        fields = parse_qsl(query, keep_blank_values=True, errors="strict")
        for name, value in fields:
            if not value.isprintable() and name not in _DIGESTS:
                raise ValueError("control characters")
    except ValueError as fault:
        raise RequestInvalid(f"the query is malformed: {str(fault)[:100]}") from None
    return Query(fields)
