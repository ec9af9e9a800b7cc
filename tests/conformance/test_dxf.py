"""dxf, the client for blobs under names of their own: it logs in over HTTPS alone, pushes, lists, pulls and deletes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import pytest
import pytest_asyncio
import trustme

from registry_mesh.assembly.node.build import running
from registry_mesh.config.load import parse
from registry_mesh.oci.digest import Digest
from tests.clients.chart_tools import beside

pytestmark = [pytest.mark.client, pytest.mark.slow]

PACKAGE = "python-dxf==12.1.1"
FOLDER = beside().parent / "dxf"
AGAIN = Path(__file__).parents[1] / "again.sh"
POLICIES = """schema: registry-mesh/access/1
policies:
  - {name: people, repos: "team/**", subjects: users, allow: [push, delete]}
"""
DATA = b"what is kept"


SCRIPT = """
import contextlib, io, json, os, sys
from dxf.main import doit

for words, password in json.load(sys.stdin):
    said = io.TextIOWrapper(io.BytesIO())
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = doit(words, {**os.environ, "DXF_PASSWORD": password})
        except Exception as fault:
            code, _ = 1, print(type(fault).__name__)
    said.flush()
    print(json.dumps([code, said.buffer.getvalue().decode().strip()]))
"""
"""Does what the command does, several times in one process: to start it takes far longer."""

Words = tuple[str, ...]


@dataclass
class Dxf:
    """One user of it."""

    host: str
    authority: Path

    async def run(self, *commands: Words, password: str = "wonder") -> list[tuple[int, str]]:
        """The exit code of each, and what it said."""
        environment = {**os.environ, "PYTHONPATH": str(FOLDER), "DXF_HOST": self.host}
        environment |= {"DXF_TLSVERIFY": str(self.authority), "DXF_USERNAME": "alice"}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SCRIPT), env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        out, _ = await process.communicate(json.dumps([(each, password) for each in commands]).encode())
        return [(code, said) for code, said in map(json.loads, out.splitlines())]


@pytest_asyncio.fixture
async def dxf(tmp_path: Path) -> AsyncIterator[Dxf]:
    if not FOLDER.exists():
        made = FOLDER.with_suffix(".new")
        shutil.rmtree(made, ignore_errors=True)  # of a run that was ended here
        install = [AGAIN, sys.executable, "-m", "pip", "install", "-q", "--target", str(made), PACKAGE]
        subprocess.run(install, timeout=300, check=True)
        made.rename(FOLDER)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    (tmp_path / "users").write_text(f"alice:{bcrypt.hashpw(b'wonder', bcrypt.gensalt(4)).decode()}\n")
    (tmp_path / "access").mkdir()
    (tmp_path / "access" / "a.yaml").write_text(POLICIES)
    document = {
        "role": "origin",
        "registry": "r.example",
        "listen": {
            "port": 0,
            "tls": {"certificate": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")},
        },
        "admin": {"port": 0},
        "store": {"disk": {"path": str(tmp_path / "store")}},
        "access": {"users": str(tmp_path / "users"), "policies": str(tmp_path / "access")},
    }
    async with running(parse(json.dumps(document), "origin.yaml").config) as node:
        yield Dxf(node.url.removeprefix("https://"), tmp_path / "ca.pem")


async def test_all_that_it_does(dxf: Dxf, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    file, digest = str(tmp_path / "file"), str(Digest.of(DATA))
    wanted: dict[Words, tuple[int, str]] = {
        ("push-blob", "team/app", file, "@one"): (0, digest),
        ("list-aliases", "team/app"): (0, "one"),
        ("list-repos",): (0, "team/app"),
        ("pull-blob", "team/app", "@one"): (0, DATA.decode()),
        ("del-alias", "team/app", "one"): (0, digest),
        ("get-alias", "team/app", "one"): (2, "404 Client Error"),
        ("del-blob", "team/app", digest): (0, ""),
        ("push-blob", "closed/app", file): (1, "HTTPError"),
    }
    came = await dxf.run(*wanted)
    for (words, (code, said)), (was, told) in zip(wanted.items(), came, strict=True):
        assert (was, told == said if code == 0 else said in told) == (code, True), f"{words}: {told}"
    refused = await dxf.run(("pull-blob", "team/app", "@one"), password="wrong")
    assert [code for code, _ in refused] != [0] and "nauthorized" in refused[0][1]
