"""Status line and header fields, rendered to bytes."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final

Fields = list[tuple[str, str]]

_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}
_UNSAFE: Final = re.compile(r"[^\t\x20-\x7e]")


def date() -> str:
    """The Date field's value."""
    return _date_at(int(time.time()))


@lru_cache(1)
def _date_at(second: int) -> str:
    return formatdate(second, usegmt=True)


def lines(fields: Iterable[tuple[str, str]]) -> bytes:
    """Fields, each ended. A character that no field may hold becomes `?`: a value can never become a second field."""
    fields = list(fields)
    values = "".join([value for _, value in fields])
    if not (values.isascii() and values.isprintable()):
        fields = [(name, _UNSAFE.sub("?", value)) for name, value in fields]
    return "".join([f"{name}: {value}\r\n" for name, value in fields]).encode("ascii")


def render(status: int, fields: Iterable[tuple[str, str]]) -> bytes:
    """A whole head."""
    return (
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\n".encode("ascii") + lines(fields) + b"\r\n"
    )
