"""Credentials that were taken away: what a node tells those below, so that no copy of them is believed there.

A credential is named by a mark, a digest of what a node keeps of it. Only a node that keeps the same, or was shown a
token that was given for it, can name it: a list of marks tells strangers nothing, and takes nothing of theirs away.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

KEEP: Final = 30 * 86400.0
"""Seconds for which a mark is told: far longer than any token lives, for copies of files that come late."""
MOST: Final = 10_000
"""Marks in a list; the newest stay."""
LIMIT: Final = 1 << 19
"""Bytes of a list."""
_MARK: Final = re.compile("[0-9a-f]{16}")

Revoked = Mapping[str, int]
"""The Unix time at which each credential was taken away, by its mark."""


def mark(kept: str, user: str = "") -> str:
    """The mark of a credential, by what is kept of it: the hash of a user's password, the digest of a secret. Users who
    have one hash, because a line of the file was copied, are told apart."""
    named = f"{user}\n{kept}" if user else kept
    return hashlib.sha256(named.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Revocations:
    """What a node knows: the marks of the credentials that it has (None: it never looked), those that were taken away
    here, and those that parents told of, by their registry."""

    known: frozenset[str] | None = None
    here: Revoked = field(default_factory=dict)
    above: Mapping[str, Revoked] = field(default_factory=dict)

    def looked(self, marks: frozenset[str], now: float) -> Revocations:
        """After a look at its own files, which have `marks` now: what went was taken away, what came back was not."""
        here = {each: at for each, at in self.here.items() if each not in marks}
        here |= dict.fromkeys(sorted((self.known or frozenset()) - marks), int(now))
        return replace(self, known=marks, here=_bounded(here, now))

    def heard(self, registry: str, revoked: Revoked, now: float) -> Revocations:
        """After a parent of the registry told its list, which replaces the one before."""
        return replace(self, above={**self.above, registry: _bounded(revoked, now)})

    def told(self, now: float) -> dict[str, int]:
        """All that is in force, and told to those below."""
        merged: dict[str, int] = {}
        for each in (*self.above.values(), self.here):
            merged.update(each)
        return _bounded(merged, now)


def written(revoked: Revoked) -> str:
    """A list as it is told: a JSON object, the same for the same list."""
    return json.dumps(revoked, sort_keys=True, separators=(",", ":"))


def parse_revoked(text: str | bytes) -> dict[str, int]:
    """The list that `written` made. `ValueError` where it is none."""
    return _revoked(_json(text))


def save(revocations: Revocations) -> bytes:
    """What is kept over a restart."""
    known = sorted(revocations.known) if revocations.known is not None else None
    above = {registry: dict(each) for registry, each in revocations.above.items()}
    return json.dumps({"marked": known, "here": dict(revocations.here), "above": above}).encode()


def restore(data: bytes) -> Revocations:
    """What `save` kept. `ValueError` where it is no such thing. What was once kept as `known` are marks without users:
    none of them has gone because it is not made any more."""
    document = _json(data)
    known, above = document.get("marked"), document.get("above")
    if not isinstance(above, dict) or not (known is None or isinstance(known, list)):
        raise ValueError("not what was saved")
    return Revocations(
        frozenset(map(str, known)) if known is not None else None,
        _revoked(document.get("here")),
        {str(registry): _revoked(each) for registry, each in above.items()},
    )


def _json(text: str | bytes) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("no JSON") from None
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    return document


def _revoked(document: object) -> dict[str, int]:
    if not isinstance(document, dict) or len(document) > MOST:
        raise ValueError(f"a list of revoked credentials is an object of at most {MOST} marks")
    for each, at in document.items():
        if not _MARK.fullmatch(each) or type(at) is not int or not 0 <= at < 1 << 40:
            raise ValueError("a mark of a revoked credential, or its time, is none")
    return document


def _bounded(revoked: Revoked, now: float) -> dict[str, int]:
    held = ((at, each) for each, at in revoked.items() if at > now - KEEP)
    return {each: at for at, each in _newest(held)}


def _newest(held: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    return sorted(held, reverse=True)[:MOST]
