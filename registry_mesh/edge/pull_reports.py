"""Records of pulls from the nodes below: POST /v2/_mesh/pulls of a JSON list of lists, answered 204 once it is kept."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Collection
from datetime import date
from typing import Any, Final

from registry_mesh.auth.policies import EVERYBODY
from registry_mesh.edge.call import Call
from registry_mesh.edge.exchange import Exchange
from registry_mesh.edge.faults import MethodNotAllowed, TargetTooLong
from registry_mesh.oci.refusals import Denied, RequestInvalid
from registry_mesh.ports.pulls import KINDS, Pull, PullRecords

NAME: Final = "pulls"
"""The component after `_mesh/`."""
LIMIT: Final = 4 << 20
"""Bytes of a report."""
_DAY: Final = re.compile(r"20\d\d-[01]\d-[0-3]\d")
_TEXT: Final = 512
"""Letters of each text in a record."""
_COUNT: Final = 1 << 62


def taking(
    records: PullRecords, reporters: Collection[str], own: str
) -> Callable[[Exchange, Call], Awaitable[None]]:
    """The handler. `reporters`: subjects that are believed; `own`: this node's name, for which nobody else speaks."""

    async def take(exchange: Exchange, call: Call) -> None:
        if exchange.method != "POST":
            raise MethodNotAllowed("records of pulls are sent by POST", ["POST"])
        if call.who.subject not in reporters and EVERYBODY not in reporters:
            raise Denied(f"{call.who.subject} may not report pulls here (pulls.reporters)")
        pulls = parse_report(await _read(exchange))
        await records.take_over([pull for pull in pulls if pull.site != own])
        await exchange.reply(204, [])

    return take


def parse_report(data: bytes) -> list[Pull]:
    """The records of a report. `RequestInvalid` where one of them is none."""
    try:
        rows = json.loads(data)
    except (ValueError, RecursionError):
        raise RequestInvalid("a report is a JSON list") from None
    if not isinstance(rows, list):
        raise RequestInvalid("a report is a JSON list")
    return [_pull(row) for row in rows]


def _pull(row: Any) -> Pull:  # Any: JSON
    if not isinstance(row, list) or len(row) != 10 or not all(map(_is_text, row[:8])):
        raise RequestInvalid("a record of pulls has eight texts and two counts")
    if not all(type(count) is int and 0 <= count < _COUNT for count in row[8:]):
        raise RequestInvalid("a count of pulls or bytes is none")
    if not _is_day(row[0]) or row[4] not in KINDS:
        raise RequestInvalid("a day of pulls or a kind is none")
    return Pull(*row)


def _is_day(text: str) -> bool:
    try:
        return _DAY.fullmatch(text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _TEXT and value.isprintable()


async def _read(exchange: Exchange) -> bytes:
    data = bytearray()
    async for piece in exchange.body():
        data += piece
        if len(data) > LIMIT:
            raise TargetTooLong(f"a report may have {LIMIT} bytes")
    return bytes(data)
