"""Signed documents of which a part is another: for what must believe none of them but the one that was signed."""

from __future__ import annotations

import base64
import copy
import random
from collections.abc import Callable
from typing import Any, Final

_OTHERS: Final = [None, "", "A" * 9, [], {}, [[]], 0, -1, 2**70, True, 1e400, "\u0000", "\ud800"]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the values of a document are, those inside of others too."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, part in inside for each in places(part, (*path, key)))]


def changed(document: Any, *path: str | int, by: Callable[[Any], Any]) -> Any:
    """A copy, one part of which is another."""
    document = part = copy.deepcopy(document)
    for each in path[:-1]:
        part = part[each]
    part[path[-1]] = by(part[path[-1]])
    return document


def flipped(data: str) -> str:
    """The same in base64, with its last byte changed."""
    found = decoded(data)
    return base64.b64encode(found[:-1] + bytes([found[-1] ^ 1])).decode()


def mutated(document: Any, chance: random.Random) -> Any:
    """One of its values is another, gone, doubled, or has one byte that is another."""
    *above, last = chance.choice(places(document)[1:])
    part = document
    for each in above:
        part = part[each]
    value = part[last]
    kind = chance.randrange(4)
    if kind == 0:
        del part[last]
    elif kind == 1:
        part[last] = chance.choice(_OTHERS)
    elif kind == 2 and isinstance(value, list):
        part[last] = value * 2
    elif isinstance(value, str) and value:
        at = chance.randrange(len(value))
        part[last] = value[:at] + chance.choice("AZaz09+/=\n-{") + value[at + 1 :]
    return document


def bytes_changed(data: bytes, chance: random.Random) -> bytes:
    """One byte of it is another, gone, or doubled; or it ends there."""
    at = chance.randrange(len(data))
    changes = [
        bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :],
        data[at + 1 :],
        data[at : at + 1] + data[at:],
        b"",
    ]
    return data[:at] + chance.choice(changes)


def signed_of(envelope: Any) -> tuple[Any, ...]:
    """What an envelope says, and its signature."""
    made = envelope["signatures"][0]["sig"]
    return decoded(envelope["payload"]), envelope["payloadType"], decoded(made)


def decoded(data: str) -> bytes:
    """Bytes in base64, as lenient as libraries are."""
    return base64.b64decode(data)
