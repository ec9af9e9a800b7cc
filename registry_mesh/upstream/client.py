"""The HTTP client that all parents of a node are asked by."""

from __future__ import annotations

import aiohttp

from registry_mesh import __version__
from registry_mesh.upstream.way import Client, NotingResolver, Way


def open_session(way: Way | None = None) -> Client:
    """A client session with the traps set right: no total time limit (it kills a 60 GB pull), no decompression
    and none asked for (a blob must arrive as it is), long header lines for signed redirects, and many of
    them, as gateways add.

    There are as many connections as there are streams: a request that waited for one would look to us as if the
    parent did not answer, and so would the ping that asks after it. The number of clients bounds that of streams."""
    way = way or Way()
    http = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0,
            limit_per_host=0,
            ttl_dns_cache=60,
            resolver=NotingResolver(way),
            socket_factory=lambda found: way.connecting(found[0], found[1], found[2], found[4]),
        ),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        skip_auto_headers=("Accept-Encoding", "Accept", "User-Agent"),
        headers={"User-Agent": f"registry-mesh/{__version__}", "Accept-Encoding": "identity"},
        requote_redirect_url=False,
        read_bufsize=1 << 20,
        max_line_size=64 << 10,
        max_field_size=64 << 10,
        max_headers=1000,
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    return Client(http, way)
