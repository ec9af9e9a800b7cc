"""One page of a parent's list (distribution-spec, "Listing Tags")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from registry_mesh.oci.lenient import read_json
from registry_mesh.oci.refusals import NameUnknown
from registry_mesh.ports.failures import SourceRefused, SourceUnreadable
from registry_mesh.upstream.documents.links import next_query
from registry_mesh.upstream.documents.whole import whole
from registry_mesh.upstream.session import ParentSession

LIST_LIMIT: Final = 16 << 20
"""Bytes of one page of a list, when nothing of it is compressed."""


async def page(
    session: ParentSession, path: str, scope: str, what: str, query: Mapping[str, str]
) -> tuple[dict[str, Any], str | None]:
    """One page of a list, and the path of the next: the same, with the query of its Link. Any: JSON.

    `NameUnknown`; `SourceRefused` where the parent does not answer so; `SourceUnreadable` where its answer is none.
    """
    return await whole(lambda: _page(session, path, scope, what, query))


async def _page(
    session: ParentSession, path: str, scope: str, what: str, query: Mapping[str, str]
) -> tuple[dict[str, Any], str | None]:
    async with session.request("GET", path, scope=scope, query=query) as answer:
        if answer.status == 404:
            raise NameUnknown(f"{session.name} knows no such {what}")
        if answer.status != 200:
            raise SourceRefused(f"answered {answer.status} to a {what}", source=session.name)
        data = await answer.plain_body(LIST_LIMIT)
        links = answer.lines("Link")
    try:
        document = read_json(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise SourceUnreadable(f"sent a {what} that is no JSON object", source=session.name)
    try:
        following = next_query(links)
    except ValueError as fault:
        raise SourceUnreadable(
            f"sent a {what} whose Link to the next page cannot be read: {str(fault)[:200]}",
            source=session.name,
        ) from None
    return _spelt(document), None if following is None else f"{path.partition('?')[0]}?{following}"


def _spelt(document: dict[str, Any]) -> dict[str, Any]:
    """With its own keys as the specification spells them: clients written in Go read `Tags` as `tags`."""
    return {key.lower(): value for key, value in document.items()} | document
