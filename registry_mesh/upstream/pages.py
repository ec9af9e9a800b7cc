"""Pages of a parent's lists, and where the next one is (distribution-spec, "Listing Tags"; RFC 8288)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urljoin, urlsplit

from registry_mesh.auth.challenge import same_place
from registry_mesh.oci.refusals import NameUnknown
from registry_mesh.ports.failures import SourceLied, SourceRefused
from registry_mesh.upstream.answer import Answer
from registry_mesh.upstream.session import ParentSession

LIST_LIMIT: Final = 16 << 20
"""Bytes of one page of a list."""


async def page(
    session: ParentSession, path: str, scope: str, what: str, query: Mapping[str, str]
) -> tuple[dict[str, Any], str | None]:
    """One page of a list, and the path of the next. Any: JSON."""
    parts = urlsplit(path)
    asked = {**dict(parse_qsl(parts.query)), **query}
    async with session.request("GET", parts.path, scope=scope, query=asked) as answer:
        if answer.status == 404:
            raise NameUnknown(f"{session.name} knows no such {what}")
        if answer.status != 200:
            raise SourceRefused(f"answered {answer.status} to a {what}", source=session.name)
        data = await answer.body(LIST_LIMIT)
        following = _next(answer, session, path)
    try:
        document = json.loads(data)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise SourceLied(f"sent a {what} that is no JSON object", source=session.name)
    return document, following


def _next(answer: Answer, session: ParentSession, path: str) -> str | None:
    """Where Link leads: only to the parent itself, only to where we were, only further."""
    link = answer.link("next")
    if link is None:
        return None
    base = session.url
    target = urljoin(base + path, link)
    there = urlsplit(target)
    if not same_place(target, base) or there.path != urlsplit(base + path).path:
        raise SourceLied("a list goes on at another place", source=session.name)
    prefix = urlsplit(base).path
    return there.path.removeprefix(prefix) + (f"?{there.query}" if there.query else "")
