"""Key sets at an address: what is taken, and what is not followed."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import trustme
from aiohttp import web

from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.upstream.key_set import LIMIT, fetch_key_set


class Publisher:
    """An issuer's server that answers one path after the other."""

    def __init__(self) -> None:
        self.url = ""
        self.shown: list[str | None] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.shown.append(request.headers.get("Authorization"))
        match request.path:
            case "/keys":
                return web.Response(body=b'{"keys":[]}')
            case "/moved":
                return web.Response(status=307, headers={"Location": "/keys"})
            case "/large":
                return web.Response(body=b" " * (LIMIT + 1))
            case "/cut":
                assert request.transport is not None
                request.transport.abort()
        return web.Response(status=403)


@pytest_asyncio.fixture
async def publisher(tmp_path: Path) -> AsyncIterator[Publisher]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    publisher = Publisher()
    runner = web.ServerRunner(web.Server(publisher.answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    publisher.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    yield publisher
    await runner.cleanup()


async def test_it_is_fetched_with_the_token_that_is_in_the_file_now(
    publisher: Publisher, tmp_path: Path
) -> None:
    ca, bearer = str(tmp_path / "ca.pem"), tmp_path / "token"
    for said in ("one", "two"):
        bearer.write_text(f"{said}\n")
        assert await fetch_key_set(f"{publisher.url}/keys", ca, str(bearer)) == b'{"keys":[]}'
    await fetch_key_set(f"{publisher.url}/keys", ca)
    assert publisher.shown == ["Bearer one", "Bearer two", None]


@pytest.mark.parametrize(
    ("path", "why"), [("moved", "307"), ("forbidden", "403"), ("large", "at most"), ("cut", "disconnected")]
)
async def test_what_is_no_key_set_is_told(publisher: Publisher, tmp_path: Path, path: str, why: str) -> None:
    with pytest.raises(SourceUnavailable, match=why):
        await fetch_key_set(f"{publisher.url}/{path}", str(tmp_path / "ca.pem"))
    if path == "moved":
        assert len(publisher.shown) == 1, "a redirect is not followed"


async def test_who_is_not_believed_is_shown_no_token(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    with pytest.raises(SourceUnavailable, match="certificate"):
        await fetch_key_set(f"{publisher.url}/keys", None, str(tmp_path / "token"))
    for ca, bearer in ((tmp_path / "none", None), (None, tmp_path / "none")):
        with pytest.raises(SourceUnavailable, match="No such file"):
            await fetch_key_set(f"{publisher.url}/keys", ca and str(ca), bearer and str(bearer))
    assert publisher.shown == []
