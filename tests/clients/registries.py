"""Plain registries that are none of ours, as processes: Debian's docker-registry, and nginx over files."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from registry_mesh.oci.digest import Digest
from tests.clients.scripts import install
from tests.clients.wire import answers
from tests.eventually import eventually_here
from tests.simulators.ports import free_port

NGINX = """daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    default_type application/octet-stream;
    {temporary}
    {beside}
    server {{
        listen 127.0.0.1:{port};
        {server}
    }}
}}
"""
"""One process, which nothing outlives."""
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
_FILES = """root {folder}/files;
        location = /v2/ {{ return 200 '{{}}'; }}"""


def installed(binary: str) -> str:
    if not Path(binary).exists():
        install()
    return binary


@contextmanager
def serving(command: list[str], folder: Path, port: int) -> Iterator[str]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        eventually_here(lambda: answers(f"http://127.0.0.1:{port}/v2/"), command[0])
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@contextmanager
def docker_registry(folder: Path, *, deletes: bool = False) -> Iterator[str]:
    """Debian's docker-registry (CNCF distribution 2.8), empty. Its URL."""
    folder.mkdir(parents=True)
    port = free_port()
    document = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "store")},
            "delete": {"enabled": deletes},
        },
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    (folder / "config.yml").write_text(json.dumps(document))
    with serving(
        [installed("/usr/bin/docker-registry"), "serve", str(folder / "config.yml")], folder, port
    ) as url:
        yield url


@contextmanager
def nginx(folder: Path) -> Iterator[tuple[str, Path]]:
    """nginx, whose files below `files` are what it serves. Its URL, and that folder."""
    (folder / "files/v2/team/app/blobs").mkdir(parents=True)
    with nginx_with(folder, _FILES.format(folder=folder)) as url:
        yield url, folder / "files"


@contextmanager
def nginx_with(folder: Path, server: str, tls: Path | None = None, beside: str = "") -> Iterator[str]:
    """nginx with one server, of these directives; it must answer `/v2/`. Its URL: of https with `tls`, a file of a
    certificate and its key. `beside`: directives that no server may have."""
    port = free_port()
    if tls is not None:
        secure = free_port()
        server = f"listen 127.0.0.1:{secure} ssl; ssl_certificate {tls}; ssl_certificate_key {tls};\n{server}"
    temporary = "\n    ".join(f"{name}_temp_path {folder}/{name};" for name in _TEMPORARY)
    conf = NGINX.format(folder=folder, port=port, temporary=temporary, server=server, beside=beside)
    (folder / "conf").write_text(conf)
    with serving([installed("/usr/sbin/nginx"), "-c", str(folder / "conf")], folder, port) as url:
        yield url if tls is None else f"https://127.0.0.1:{secure}"


async def push(client: aiohttp.ClientSession, url: str, data: bytes, repository: str = "team/app") -> Digest:
    """A blob in two requests, which every registry takes."""
    digest = Digest.of(data)
    async with client.post(f"{url}/v2/{repository}/blobs/uploads/") as answer:
        assert answer.status == 202, await answer.text()
        location = answer.headers["Location"]
    parts = urlsplit(location)
    query = f"{parts.query}&digest={digest}" if parts.query else f"digest={digest}"
    async with client.put(f"{url}{parts.path}?{query}", data=data) as answer:
        assert answer.status == 201, await answer.text()
    return digest
