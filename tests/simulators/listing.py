"""A list of a simulated registry, in pages that are linked as a test says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

Link = Callable[[str], str]
"""Makes the field Link of the next page's query."""


def linked(query: str) -> str:
    return f'</v2/team/app/tags/list?{query}>; rel="next"'


@dataclass
class Listing:
    """`pages` are linked by an opaque cursor; `last`, where that is not the cursor's name, is not heeded."""

    pages: list[list[str] | None]
    key: str = "tags"
    link: Link = linked
    cursor: str = "next_page"
    largest: int = 100
    served: list[str] = field(default_factory=list)
    """The query of each request."""

    async def answer(self, request: web.Request) -> web.Response:
        self.served.append(request.rel_url.raw_query_string)
        if int(request.query.get("n", 0)) > self.largest:
            return web.Response(status=413)
        number = int(request.query.get(self.cursor, "0").removeprefix("c+/="))
        fields = {}
        if number + 1 < len(self.pages):
            fields["Link"] = self.link(f"{self.cursor}=c%2B%2F%3D{number + 1}")
        return web.json_response({"name": "team/app", self.key: self.pages[number]}, headers=fields)
