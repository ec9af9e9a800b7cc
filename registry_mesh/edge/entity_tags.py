"""Entity tags (RFC 9110, section 8.8.3): the digest in quotes, always strong."""

from __future__ import annotations

import re
from typing import Final

from registry_mesh.oci.digest import Digest

_TAG: Final = re.compile(r'[ \t,]*(W/)?"([\x21\x23-\x7e\x80-\U0010ffff]*)"[ \t]*(?=,|$)')


def etag(digest: Digest) -> str:
    """The digest as an entity tag (RFC 9110, 8.8.3): it is strong, as the bytes follow from it."""
    return f'"{digest}"'


def _listed(header: str, current: str, *, weak: bool) -> bool:
    """Whether the list of entity tags has `current` (in quotes); comparison is weak or strong (section 8.8.3.2).
    What follows a malformed element is not read."""
    if header.strip() == "*":
        return True
    position = 0
    while found := _TAG.match(header, position):
        if f'"{found[2]}"' == current and (weak or not found[1]):
            return True
        position = found.end()
    return False


def not_modified(if_none_match: str | None, current: str) -> bool:
    """Whether If-None-Match is there and false: 304 for GET and HEAD."""
    if (
        if_none_match is not None
        and if_none_match.count('"') == 2
        and if_none_match[0] == if_none_match[-1] == '"'
    ):
        return if_none_match == current  # one strong tag, as nearly all send it
    return if_none_match is not None and _listed(if_none_match, current, weak=True)


def precondition_failed(if_match: str | None, current: str) -> bool:
    """Whether If-Match is there and false: 412."""
    return if_match is not None and not _listed(if_match, current, weak=False)
