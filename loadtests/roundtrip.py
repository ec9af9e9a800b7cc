"""One large blob through a store and back: memory and processor time of the process that does it.

    python -m loadtests.roundtrip --store s3 --size 12GiB
    python -m loadtests.roundtrip --store disk --size 12GiB --directory /var/tmp

The store runs in a process of its own; a bucket is a real S3 server beside it. What the bytes cost to make is measured
first and printed apart.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.blobs import BlobStore, FileSlice
from registry_mesh.stores.bucket.settings import S3Credentials, S3Settings
from registry_mesh.stores.bucket.store import S3Store
from registry_mesh.stores.disk.store import DiskStore
from tests.simulators.bucket import serve

MiB = 1 << 20
GiB = 1 << 30
PIECE = 256 << 10  # as an HTTP server hands them on


def pieces(size: int) -> Iterator[bytes]:
    """`size` bytes, no chunk like another."""
    block = os.urandom(PIECE - 8)
    for start in range(0, size, PIECE):
        yield (start.to_bytes(8, "big") + block)[: size - start]


class Meter:
    """Time, processor time and memory since it was made."""

    def __init__(self) -> None:
        self._wall = time.monotonic()
        self._cpu = time.process_time()
        Path("/proc/self/clear_refs").write_text("5")  # the peak of memory begins anew
        self._rss = _status("VmRSS")

    def line(self, what: str, size: int) -> str:
        wall, cpu = time.monotonic() - self._wall, time.process_time() - self._cpu
        return (
            f"{what:<18}{size / GiB / wall:7.2f} GiB/s{cpu * GiB / size:8.2f} CPU-s/GiB"
            f"{(_status('VmHWM') - self._rss) / MiB:9.1f} MiB above {self._rss / MiB:.0f} MiB"
        )


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) << 10
    raise KeyError(name)


@asynccontextmanager
async def opened(args: argparse.Namespace) -> AsyncIterator[BlobStore]:
    if args.store == "disk":
        disk = await DiskStore.start(Path(args.at))
        yield disk
        await disk.close()
    else:
        endpoint, bucket, access, secret = args.at.split(" ")
        credentials = S3Credentials(access, secret)
        s3 = await S3Store.start(S3Settings(bucket, endpoint, "roundtrip/", credentials=credentials))
        yield s3
        await s3.close()


async def there(store: BlobStore, size: int, report: bool = True) -> Digest:
    meter = Meter()
    async with store.ingest(size=size) as ingest:
        for piece in pieces(size):
            await ingest.write(piece)
        digest = (await ingest.commit()).digest
    if report:
        print(meter.line("in", size), flush=True)
    return digest


async def back(store: BlobStore, digest: Digest, size: int, what: str) -> None:
    meter, got = Meter(), 0
    async with store.open(digest) as reading:
        async for piece in reading.pieces():
            got += len(piece)
            if isinstance(piece, FileSlice):  # what sendfile would do
                with open(os.devnull, "wb") as sink:
                    at = piece.start
                    while at < piece.stop:
                        at += os.sendfile(sink.fileno(), piece.fd, at, piece.stop - at)
    assert got == size
    print(meter.line(what, size), flush=True)


async def inside(args: argparse.Namespace) -> None:
    size = args.size
    meter = Meter()
    for _ in pieces(size):
        pass
    print(meter.line("making the bytes", size), flush=True)
    async with opened(args) as store:
        await there(store, MiB, report=False)  # libraries are loaded
        digest = await there(store, size)
    async with opened(args) as store:
        await back(store, digest, size, "out, checked")
        await back(store, digest, size, "out again")
        await store.delete(digest)
    print(f"{'peak of the process':<18}{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:7.0f} MiB")


def run(args: argparse.Namespace, at: str) -> int:
    command = [sys.executable, "-m", "loadtests.roundtrip", "--store", args.store, "--size", str(args.size)]
    return subprocess.run([*command, "--at", at], check=False).returncode


def bytes_of(text: str) -> int:
    for unit, factor in (("GiB", GiB), ("MiB", MiB)):
        if text.endswith(unit):
            return int(float(text.removesuffix(unit)) * factor)
    return int(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--store", choices=["disk", "s3"], required=True)
    parser.add_argument("--size", type=bytes_of, default=12 * GiB)
    parser.add_argument("--directory", type=Path, help="where the store, or the S3 server's data, lies")
    parser.add_argument("--at", help=argparse.SUPPRESS)  # inside the measured process
    args = parser.parse_args()
    if args.at:
        asyncio.run(inside(args))
        return 0
    if args.store == "disk":
        with tempfile.TemporaryDirectory(dir=args.directory) as directory:
            return run(args, directory)
    with serve(args.directory) as bucket:
        return run(args, f"{bucket.endpoint} {bucket.name} {bucket.access_key} {bucket.secret_key}")


if __name__ == "__main__":
    sys.exit(main())
