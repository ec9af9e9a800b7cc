"""What reading from a bucket costs us, beside plain S3 clients, in processor time of the client's process.

    python -m loadtests.bucket_reads [--mib 256] [--rounds 5]

Warm ranges of 64 KiB, 16 at a time, and a whole blob; ours by way of the store (looked up, opened, read), beside
aiohttp with one presigned address and boto3 in threads. Rounds are interleaved; the least of each is printed, which
neighbours on the machine disturb least.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import boto3
from botocore.config import Config
from yarl import URL

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.stores.bucket.entry import data_key
from registry_mesh.stores.bucket.settings import S3Credentials, S3Settings
from registry_mesh.stores.bucket.store import S3Store
from tests.simulators.bucket import Bucket, serve

MiB = 1 << 20
RANGE = 64 << 10
RANGES = 400

Read = Callable[[int, int], Awaitable[int]]


async def ranges(read: Read, size: int) -> float:
    """Processor time of one range of a blob of `size` bytes, in microseconds."""
    starts = iter([random.randrange(0, size - RANGE) for _ in range(RANGES)])

    async def reader() -> None:
        for start in starts:
            assert await read(start, start + RANGE) == RANGE

    before = time.process_time()
    await asyncio.gather(*(reader() for _ in range(16)))
    return (time.process_time() - before) / RANGES * 1e6


async def whole(read: Read, size: int) -> float:
    """Processor time of a GiB, in seconds."""
    before = time.process_time()
    assert await read(0, size) == size
    return (time.process_time() - before) / size * (1 << 30)


def ours(store: S3Store, digest: Digest) -> Read:
    async def read(start: int, stop: int) -> int:
        got = 0
        async with store.open(digest, Span(start, stop)) as reading:
            async for piece in reading.pieces():
                got += len(piece)
        return got

    return read


def plain(session: aiohttp.ClientSession, address: str) -> Read:
    url = URL(address, encoded=True)

    async def read(start: int, stop: int) -> int:
        got = 0
        async with session.get(url, headers={"Range": f"bytes={start}-{stop - 1}"}) as response:
            async for piece in response.content.iter_any():
                got += len(piece)
        return got

    return read


def by_boto(bucket: Bucket, key: str, threads: ThreadPoolExecutor) -> Read:
    config = Config(response_checksum_validation="when_required", s3={"addressing_style": "path"})
    client = boto3.client(
        "s3",
        endpoint_url=bucket.endpoint,
        region_name=bucket.region,
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
        config=config.merge(Config(max_pool_connections=32)),
    )

    def blocking(start: int, stop: int) -> int:
        body = client.get_object(Bucket=bucket.name, Key=key, Range=f"bytes={start}-{stop - 1}")["Body"]
        return sum(len(piece) for piece in body.iter_chunks(MiB))

    async def read(start: int, stop: int) -> int:
        return await asyncio.get_running_loop().run_in_executor(threads, blocking, start, stop)

    return read


async def compare(bucket: Bucket, size: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Of each client the least that a range and a GiB cost: microseconds and seconds of the processor."""
    settings = S3Settings(
        bucket.name,
        bucket.endpoint,
        "reads/",
        credentials=S3Credentials(bucket.access_key, bucket.secret_key),
    )
    store = await S3Store.start(settings)
    async with store.ingest() as ingest:
        for _ in range(size // MiB):
            await ingest.write(os.urandom(MiB))
        digest = (await ingest.commit()).digest
    await ours(store, digest)(0, size)  # checked once: warm
    known = await store.known(digest)
    key = data_key(known.entry.name)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        with ThreadPoolExecutor(16) as threads:
            clients = {
                "ours": ours(store, digest),
                "aiohttp, presigned": plain(session, await store.client.presigned(key, 3600)),
                "boto3 in threads": by_boto(bucket, settings.prefix + key, threads),
            }
            for read in clients.values():
                await ranges(read, size)
            taken = [
                {name: (await ranges(read, size), await whole(read, size)) for name, read in clients.items()}
                for _ in range(rounds)
            ]
    await store.close()
    return {
        name: (min(one[name][0] for one in taken), min(one[name][1] for one in taken)) for name in clients
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mib", type=int, default=256, help="size of the blob")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with serve() as served:
        figures = asyncio.run(compare(served, asked.mib * MiB, asked.rounds))
    for name, (each, long) in figures.items():
        print(f"{name:<20}{each:8.0f} us a 64 KiB range{long:8.2f} CPU-s/GiB whole")


if __name__ == "__main__":
    main()
