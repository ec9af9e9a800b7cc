"""A server that cannot be spoken to: the failure says where to look, over real sockets."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import subprocess
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from registry_mesh.auth.hosts import place
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.health.breaker import Breaker
from registry_mesh.upstream.health.causes import cause
from registry_mesh.upstream.session import ParentSession
from registry_mesh.upstream.tls_files import TlsFiles
from registry_mesh.upstream.way import Way
from tests.simulators.registry import simulated_registry
from tests.simulators.upstream import PATIENT, repository_of


async def told(url: str, way: Way | None = None) -> str:
    """What the failure of a request says, and what the parent says of itself thereafter."""
    async with open_session(way) as client:
        session = ParentSession(client, url, None, PATIENT, ns="always")
        with pytest.raises(SourceUnavailable) as failure:
            async with session.request("GET", "/v2/a/tags/list", scope=""):
                pass
        parent = session.parent
        await parent.ping()
        assert not parent.available
        assert failure.value.reason.removeprefix("no answer: ") in parent.reason
        assert "is tried again" in parent.reason
        return failure.value.reason


async def test_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert await told(f"http://127.0.0.1:{bound.getsockname()[1]}") == "no answer: refuses connections"


async def test_a_name_that_there_is_not() -> None:
    assert await told("http://nowhere.invalid") == "no answer: cannot be resolved by DNS: nowhere.invalid"


async def test_plain_http_where_https_is_configured() -> None:
    async with simulated_registry() as parent:
        assert "speaks no TLS" in await told(parent.url.replace("http://", "https://"))


@pytest.mark.parametrize(
    ("names", "trusted", "words"),
    [
        ("IP:127.0.0.1", False, "its TLS certificate is signed by nobody that this node trusts"),
        ("IP:127.0.0.2", True, "its TLS certificate is for another address"),
        ("DNS:other.example", True, "its TLS certificate is for another"),
    ],
)
async def test_a_certificate_that_is_not_good(tmp_path: Path, names: str, trusted: bool, words: str) -> None:
    made = certificate(tmp_path, names)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*made)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=tls)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        tls_files = TlsFiles(str(made[0]) if trusted else None, None, None)
        assert words in await told(url, Way(tls=tls_files, parents=frozenset({place(url)})))


def certificate(folder: Path, names: str) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    pem, key = folder / "cert.pem", folder / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=own", "-days", "2"]
    files = ["-keyout", str(key), "-out", str(pem), "-addext", f"subjectAltName={names}"]
    subprocess.run([*make, *files], check=True, capture_output=True)
    return pem, key


def unverified(code: int, message: str) -> ssl.SSLCertVerificationError:
    fault = ssl.SSLCertVerificationError(1, message)
    fault.verify_code, fault.verify_message = code, message
    return fault


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (unverified(10, "certificate has expired"), "its TLS certificate has expired"),
        (unverified(23, "certificate revoked"), "its TLS certificate is not good: certificate revoked"),
        (TimeoutError(), "timed out"),
        (OSError(errno.EHOSTUNREACH, "x"), "cannot be reached: no route to the host"),
        (ConnectionResetError(errno.ECONNRESET, "x"), "resets connections"),
        (
            aiohttp.ClientConnectionResetError("Cannot write to closing transport"),
            "closes the connection without an answer",
        ),
        (OSError("as it is"), "as it is"),
        (OSError("as it\x1b[1m is\nand more"), "as it[1m is"),
        (OSError("x" * 10_000), "x" * 200),
        (ValueError(), "ValueError"),
    ],
)
def test_the_words_of_others(fault: Exception, words: str) -> None:
    assert cause(fault) == words


def test_a_breaker_says_why_since_when_and_when_again() -> None:
    now = [100.0]
    breaker = Breaker(lambda: now[0])
    assert breaker.told == ""
    breaker.failed("refuses connections", hard=True)
    breaker.failed("timed out", hard=True)
    assert breaker.told == "down for 0 s (timed out), is tried again in 1 s", "one try, however many were out"
    now[0] += 1
    assert breaker.told == "down for 1 s (timed out), is tried again now"
    assert breaker.take_turn() and not breaker.take_turn()
    breaker.failed("timed out", hard=True)
    assert breaker.told == "down for 1 s (timed out), is tried again in 2 s"
    breaker.succeeded(0.1)
    assert breaker.told == ""


async def test_bytes_that_are_no_http_are_not_told_again() -> None:
    """They may be megabytes of a layer, left over from the answer before."""
    async with simulated_registry() as parent, repository_of(parent) as app:

        async def more_than_said(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx" + b"\xb6\x86\n" * 99_999)
            await asyncio.sleep(3600)
            raise AssertionError

        digest = Digest.of(b"x")
        parent.answers[f"/v2/team/app/manifests/{digest}"] = more_than_said
        with pytest.raises(SourceUnavailable) as failure:
            await app.manifests.manifest(digest)
        assert failure.value.reason == "no answer: sends what is no HTTP"
        parent.says(f"/v2/team/app/manifests/{digest}", text="x")
        assert (await app.manifests.manifest(digest)).manifest.data == b"x", (
            "another connection is as good as any"
        )
