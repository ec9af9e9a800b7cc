"""Pages of lists: `n`, `last`, and the Link to the next (distribution-spec end-8, end-12; RFC 8288)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from registry_mesh.edge.call import Call
from registry_mesh.edge.exchange import Exchange
from registry_mesh.edge.head import Fields
from registry_mesh.oci.refusals import RequestInvalid

LARGEST: Final = 3 << 20
"""Bytes of entries in a page: clients read at most 4 MiB of one."""

_LONGEST_LAST: Final = 1024

T = TypeVar("T")


def page(call: Call, limit: int) -> tuple[int, str]:
    """How many at most, and after which. `RequestInvalid` for an `n` that is no count; a huge one is clamped."""
    n, last = call.query.one("n"), call.query.one("last")
    if n is not None and not (n.isascii() and n.isdigit() and len(n) <= 20):
        raise RequestInvalid("n is not a count", given=n[:100])
    if last is not None and len(last) > _LONGEST_LAST:
        raise RequestInvalid("last is longer than anything listed", length=len(last))
    return limit if n is None else min(int(n), limit), last or ""


def within(items: Sequence[T], size: Callable[[T], int]) -> Sequence[T]:
    """The first of `items` that make no more than `LARGEST` bytes together; one at least, where there is one."""
    total = 0
    for number, item in enumerate(items):
        total += size(item)
        if total > LARGEST and number:
            return items[:number]
    return items


def link(call: Call, rest: str, **params: str) -> tuple[str, str]:
    """The `Link` field that leads to the next page (RFC 8288)."""
    return ("Link", f'<{call.path(rest, **params)}>; rel="next"')


async def answer(
    exchange: Exchange, document: object, fields: Fields, media_type: str = "application/json"
) -> None:
    """Answer with a JSON document that caches ask for again each time."""
    data = json.dumps(document, separators=(",", ":")).encode()
    await exchange.reply(200, [("Content-Type", media_type), ("Cache-Control", "no-cache"), *fields], data)
