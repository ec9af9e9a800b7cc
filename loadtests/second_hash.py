"""What the digest of the whole costs a fill, whose every chunk is proven by its chunk map.

    python -m loadtests.second_hash [--rounds 4]

One blob of 1 GiB from an origin of ours, brought by a process of its own with a site's parts, by turns with the digest
and without, as if the origin had signed the map: nothing signs maps yet. The processor time of that process alone is
printed, user and system; the least is what neighbours on the machine disturb least. Sending it on to a client is not
among it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import aiohttp

from loadtests.corpus import GIB, MIB
from registry_mesh.assembly.supervision.loops import loop_factory
from registry_mesh.chunks.map_format import root
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.vouched import SignedRoot, nothing_is_signed
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from tests.clients import nodes

KINDS: Final = ("digest and chunks", "chunks alone")
PLACE: Final = "team/app"


async def bring(url: str, digest: Digest, kind: str, folder: Path) -> float:
    """Processor seconds of this process for one cold pull."""
    store = await DiskStore.start(folder, fsync=DiskFsync.NEVER)
    async with open_session() as client:
        registry = UpstreamRegistry(ParentSession(client, url, ns="always"), RegistryName(nodes.REGISTRY))
        source = registry.repository(RepositoryName(PLACE)).blobs
        signed: SignedRoot = nothing_is_signed
        if kind == KINDS[1]:
            known = await source.chunk_map(digest)
            assert known is not None, "an origin of ours has maps"
            named = root(known, digest)

            async def signed(digest: Digest) -> str | None:
                return named

        fills = Fills(store)
        through = PullThrough(store, source, fills, signed=signed)
        before = _spent()
        async with through.open(digest) as reading:
            async for _ in reading.pieces():
                pass
        await fills.close()
        used = _spent() - before
    await store.close()
    return used


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def push(url: str, size: int) -> Digest:
    """A blob of noise, in the origin."""
    data = b"".join(random.Random(seed).randbytes(MIB) for seed in range(size // MIB))
    digest = Digest.of(data)
    async with aiohttp.ClientSession() as client:
        async with client.post(f"{url}/v2/{PLACE}/blobs/uploads/?digest={digest}", data=data) as answer:
            assert answer.status == 201, await answer.text()
    return digest


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=4)
    rounds = parser.parse_args().rounds
    Path(".cache").mkdir(exist_ok=True)
    seen: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory(dir=Path(".cache"), prefix="second-hash-") as work:
        with nodes.origin(Path(work) / "origin") as origin:
            digest = asyncio.run(push(origin.url, GIB))
            for turn in range(rounds):
                for kind in KINDS:
                    place = Path(work) / f"{turn}-{KINDS.index(kind)}"
                    words = [origin.url, str(digest), kind, str(place)]
                    command = [sys.executable, "-m", "loadtests.second_hash", "bring", *words]
                    told = subprocess.run(command, check=True, capture_output=True, text=True)
                    seen[kind].append(float(told.stdout))
                    shutil.rmtree(place)
    for kind, seconds in seen.items():
        turns = " ".join(f"{each:.2f}" for each in seconds)
        print(f"{kind:20} {min(seconds):5.2f} CPU-s/GiB   ({turns})")


if __name__ == "__main__":
    if sys.argv[1:2] == ["bring"]:
        with asyncio.Runner(loop_factory=loop_factory("auto")) as runner:  # as a worker does
            print(runner.run(bring(sys.argv[2], Digest.parse(sys.argv[3]), sys.argv[4], Path(sys.argv[5]))))
    else:
        main()
