"""What the head of an answer says of a blob (RFC 9110 sections 8.4, 8.6 and 14.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from registry_mesh.oci.span import Span
from registry_mesh.upstream.answer import Answer
from registry_mesh.upstream.codings import is_packed
from registry_mesh.upstream.statuses import PAGE

SMALL: Final = 256 << 10
"""Bytes of a body that is read to its end where only that tells what it is."""

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_TOTAL: Final = re.compile(r"/(\d{1,18})$")
_UNSATISFIED: Final = re.compile(r"bytes \*/(\d{1,18})")


@dataclass(frozen=True, slots=True)
class Part:
    """What Content-Range says that came. `size`: of the whole; None where it is not said."""

    first: int
    last: int
    size: int | None


def part(answer: Answer) -> Part | None:
    """What an answer of 206 says that it holds; None where that cannot be read, or is not as long as its body."""
    found = _CONTENT_RANGE.fullmatch(answer.field("Content-Range"))
    if found is None:
        return None
    first, last = int(found[1]), int(found[2])
    if answer.length is not None and answer.length != last + 1 - first:
        return None
    return Part(first, last, None if found[3] == "*" else int(found[3]))


def total(answer: Answer) -> int | None:
    """The size of the whole that an answer to a range says."""
    told = _TOTAL.search(answer.field("Content-Range"))
    return int(told[1]) if told is not None else None


def unsatisfied(answer: Answer) -> int | None:
    """The size of the whole that an answer of 416 says."""
    found = _UNSATISFIED.fullmatch(answer.field("Content-Range"))
    return int(found[1]) if found is not None else None


def is_no_answer(answer: Answer, span: Span) -> bool:
    """Whether a range is answered by nothing that can be read, or that makes sense: the registry knows none, and the
    whole is asked for. One that names other bytes than those asked for makes sense, and is a lie."""
    if answer.status == 416:
        size = unsatisfied(answer)
        return size is None or size > span.start
    if answer.status != 206:
        return answer.status != 200
    found = part(answer)
    if found is None:
        return True
    return found.size is not None and not min(span.stop, found.size) <= found.last + 1 <= found.size


def tells_no_size(answer: Answer) -> bool:
    """Whether the size of the whole is not said."""
    if answer.status == 206:
        return answer.field("Content-Range").endswith("/*")
    return answer.status == 200 and answer.length is None


def is_labelled(answer: Answer) -> bool:
    """Whether it is the whole, and said to be compressed: in the parent's store, or on the way, as it would not tell.
    Its length may be that of what it was compressed to."""
    return answer.status == 200 and is_packed(answer.field("Content-Encoding"))


def is_in_doubt(answer: Answer, headed: int | None) -> bool:
    """Whether only the body's end tells what a labelled one is. `headed`: what HEAD says of it without a label: so it
    is where a proxy compresses. Where HEAD has the label as well, what is large may be as it is stored, as it comes of
    buckets."""
    if answer.length is None:
        return True
    return answer.length != headed if headed is not None else answer.length <= SMALL


def is_page(answer: Answer) -> bool:
    """Whether what is said of a blob is said of a web page, which may have taken its place: of a portal, or of who
    mends something. Whether it is the blob for all that tells the digest of the whole."""
    return answer.status == 200 and answer.media_type.lower() == PAGE
