"""A change that a client was told of is in the audit log, though its process is killed at that moment."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from registry_mesh.auth.access import AnonymousAccess, Level
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.oci.digest import Digest
from tests.eventually import SECONDS
from tests.simulators.role import SimulatedRole

BLOB = b"a layer"
PUSHES = 5


async def serve(log: str) -> None:
    """An origin that says its port, until it is killed."""
    policy = AnonymousAccess(Level.ADMIN)
    server = Server(SimulatedRole("origin"), Settings(policy=policy, audit_log=log, audit_wait=SECONDS))
    await server.start()
    print(server.port, flush=True)
    await asyncio.sleep(3600)


def told(client: http.client.HTTPConnection, method: str, path: str, body: bytes = b"") -> int:
    """The status of the answer."""
    client.request(method, path, body, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"})
    answer = client.getresponse()
    answer.read()
    return answer.status


def manifest(number: int) -> bytes:
    kind = "application/vnd.oci.image.manifest.v1+json"
    layer = {"mediaType": "application/octet-stream", "digest": str(Digest.of(BLOB)), "size": len(BLOB)}
    text = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": layer,
        "layers": [],
        "annotations": {"n": str(number)},
    }
    return json.dumps(text).encode()


@pytest.mark.parametrize("last", ["push", "upload", "delete"])
def test_what_a_client_was_told_of_survives_a_kill(tmp_path: Path, last: str) -> None:
    """The last change comes so soon after others that its line would have waited for more."""
    log = tmp_path / "audit.log"
    command = [sys.executable, "-m", "tests.edge.test_audited_changes", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        client = http.client.HTTPConnection("127.0.0.1", int(process.stdout.readline()), timeout=60)
        upload = f"/v2/team/app/blobs/uploads/?digest={Digest.of(BLOB)}"
        assert told(client, "POST", upload, BLOB) == 201
        for number in range(PUSHES):
            assert told(client, "PUT", f"/v2/team/app/manifests/v{number}", manifest(number)) == 201
        if last == "upload":
            assert told(client, "POST", upload, BLOB) == 201
        if last == "delete":
            assert told(client, "DELETE", "/v2/team/app/manifests/v0") == 202
        os.kill(process.pid, signal.SIGKILL)
        client.close()
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events == ["upload", *["push"] * PUSHES, *([last] if last != "push" else [])]


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
