"""GET of lists: the tags of a repository (distribution-spec end-8) and the repositories there are."""

from __future__ import annotations

from registry_mesh.auth.access import Action
from registry_mesh.edge.call import Call
from registry_mesh.edge.exchange import Exchange
from registry_mesh.edge.pages import answer, link, page
from registry_mesh.edge.respond import provenance_fields
from registry_mesh.oci.reference import RepositoryName


async def get_tags(exchange: Exchange, call: Call) -> None:
    """Answer with a page of tags, and where there are more, with a link to the next."""
    assert call.repository is not None
    limit, last = page(call, exchange.settings.page_limit)
    found = await call.repository.tags.tags(max(limit, 1), last)
    tags = list(found.tags[:limit])
    fields = provenance_fields(exchange, found.provenance, cache=call.role.name != "origin")
    if tags and found.more:
        fields.append(link(call, "tags/list", n=str(limit), last=tags[-1]))
    name = f"{call.registry}/{call.name}" if call.by_path else call.name
    await answer(exchange, {"name": name, "tags": tags}, fields)


async def get_catalog(exchange: Exchange, call: Call) -> None:
    """The listing of repositories that have content here (reserved by the specification, asked for by tools)."""
    limit, last = page(call, exchange.settings.page_limit)
    names: list[RepositoryName] = []
    more = False
    async for name in call.role.repositories(call.meant, last):
        if exchange.may(Action.PULL, call, name, listed=True):
            if more := len(names) == limit:
                break
            names.append(name)
    fields = [link(call, "_catalog", n=str(limit), last=names[-1])] if more and names else []
    await answer(exchange, {"repositories": names}, fields)
