"""`python -m loadtests.pull_budget`: what a warm pull of an image costs more where pulls are counted.

A pull is what docker and containerd ask for: the index by its tag, the manifest by its digest, the configuration, ten
layers. What counting adds is seen where `data_received` of the accepted connection is called with each request, while
the clock stands still as the client reads; it is held to the CPU of the thread that serves such pulls to clients of
another process, with what the kernel and the loop take. `--instructions` runs the former under callgrind, with a
number of pulls and with more of them: the difference is what pulls take of this program, without the kernel.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import uvloop

from loadtests.drain import Drain
from loadtests.hit_site import FIELDS, Client, accepted, serving
from registry_mesh.edge.hot.connection import FastConnection
from registry_mesh.edge.hot.entries import Hot
from registry_mesh.edge.pulled import Pulled
from registry_mesh.edge.server import Server
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reference import Tag
from registry_mesh.ports.blobs import Provenance
from registry_mesh.stores.disk.store import DiskStore
from tests.simulators.role import Shelf, SimulatedRole

KIB: Final = 1 << 10
LAYERS: Final = 10
SIZES: Final = (4 * KIB, 64 * KIB)
"""Bytes of a layer: as small as they come, and still smaller than most."""
PULLS: Final = 3_000
BAR: Final = 1.0
"""Of a hundred: what counting may cost of a pull."""
SERVED: Final = 2_000
"""Pulls by clients of another process, in a turn of three."""
CONNECTIONS: Final = 8
"""Of those: the loop has several requests a turn, and wakes seldom."""
FEW: Final = 20
MANY: Final = 120
"""Pulls that are looked at by callgrind."""
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_INDEX: Final = "application/vnd.oci.image.index.v1+json"
_COUNTED: Final = re.compile(r"Collected : (\d+)")


async def _image(shelf: Shelf, store: DiskStore, size: int) -> list[bytes]:
    """Put an image with layers of so many bytes there; the requests of a pull of it, in order."""
    blobs = [await _blob(shelf, store, os.urandom(each)) for each in [2 * KIB, *[size] * LAYERS]]
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": blobs[0],
        "layers": blobs[1:],
    }
    manifest = _kept(shelf, document)
    described = {
        "mediaType": _MANIFEST,
        "digest": str(manifest.descriptor.digest),
        "size": manifest.descriptor.size,
    }
    index = _kept(shelf, {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [described]})
    tag = Tag(f"of-{size}")
    shelf.pointing[tag] = index.descriptor.digest
    names = [f"manifests/{tag}", f"manifests/{manifest.descriptor.digest}"]
    names += [f"blobs/{each['digest']}" for each in blobs]
    accept = f"Accept: {_INDEX}, {_MANIFEST}\r\n"
    return [f"GET /v2/team/app/{name} HTTP/1.1\r\n{FIELDS}{accept}\r\n".encode() for name in names]


async def _blob(shelf: Shelf, store: DiskStore, data: bytes) -> dict[str, object]:
    digest = Digest.of(data)
    async with store.ingest(digest, len(data)) as ingest:
        await ingest.write(data)
        await ingest.commit(digest)
    shelf.links.add(digest)
    return {"mediaType": "application/octet-stream", "digest": str(digest), "size": len(data)}


def _kept(shelf: Shelf, document: dict[str, object]) -> Manifest:
    manifest = Manifest.parse(json.dumps(document).encode(), str(document["mediaType"]))
    shelf.held[manifest.descriptor.digest] = manifest
    return manifest


class Puller:
    """A connection on which an image is pulled that is hot, and its other end."""

    def __init__(self, server: Server, client: Client, requests: Sequence[bytes]) -> None:
        assert server.hot is not None
        self._hot: Hot = server.hot
        self._server = server
        self._connection: FastConnection
        self._client = client
        self._requests = requests
        self._counting = Pulled()

    async def warm(self) -> None:
        """Pull until all of it is answered by the fast path."""
        await self._client.ask(self._requests[0])
        self._connection = accepted(self._server)
        while len(self._hot.blobs) < LAYERS + 1 or len(self._hot.manifests) < 2:
            for each in self._requests:
                await self._client.ask(each)
            await asyncio.sleep(0.02)

    async def serve(self, drain: Drain) -> float:
        """Microseconds of CPU that this thread takes for a pull by clients of another process: the least of three
        turns."""
        paths = [(each.split()[1].decode(), -1) for each in self._requests]
        accept = self._requests[0].decode().partition("Accept: ")[2].split("\r\n")[0]
        options = {"connections": CONNECTIONS, "requests": SERVED * len(paths), "header": f"Accept: {accept}"}
        spent = []
        for _ in range(3):
            begun = time.thread_time_ns()
            drained = await asyncio.to_thread(drain.run, self._server.port, paths, **options)
            spent.append((time.thread_time_ns() - begun) / SERVED / 1000)
            assert drained.answered == SERVED * len(paths) and not drained.failed, drained.complaint
        return min(spent)

    def pull(self, counted: bool, clock: Callable[[], int] = lambda: 0) -> int:
        """What the clock says that it took."""
        path = self._connection._path
        assert path is not None
        path.pulled = self._counting if counted else None
        spent = 0
        for each in self._requests:
            begun = clock()
            self._connection.data_received(each)
            spent += clock() - begun
            self._client.drop()
        assert self._connection._path is path and not self._connection.busy, "all of it left at once"
        return spent


def _more(puller: Puller) -> float:
    """Microseconds of CPU that a pull takes more where it is counted: the median of the differences by turns."""
    draw, more = random.Random(1), []
    for _ in range(PULLS):
        first = draw.random() < 0.5
        spent = {counted: puller.pull(counted, time.thread_time_ns) for counted in (first, not first)}
        more.append(spent[True] - spent[False])
    return statistics.median(more) / 1000


async def _each(folder: Path, size: int, use: Callable[[Puller], Awaitable[None]]) -> None:
    store = await DiskStore.start(folder / f"store-{size}", evict=True)
    role = SimulatedRole("site")
    role.store = store  # type: ignore[assignment]  # of its store the role wants no more than this one has
    role.provenance = Provenance(age=0.0, fresh_for=3600.0)
    try:
        requests = await _image(role.shelf("team/app"), store, size)
        async with serving(role, folder / "access.log") as (server, client):
            puller = Puller(server, client, requests)
            await puller.warm()
            await use(puller)
    finally:
        await store.close()


async def measure_pulls(folder: Path) -> None:
    """Print what a pull costs, and what counting adds."""
    drain = Drain(folder / "bin")
    for size in SIZES:

        async def tell(puller: Puller, size: int = size) -> None:
            whole, more = await puller.serve(drain), _more(puller)
            print(f"{f'a pull, {LAYERS} layers of {size // KIB} KiB, CPU of its thread':52} {whole:6.2f}")
            print(f"{'  more where it is counted':52} {more:6.2f}")
            print(f"{f'  of a hundred (bar {BAR:g})':52} {100 * more / whole:6.2f}", flush=True)

        await _each(folder, size, tell)


def _instructions(size: int, counted: bool, pulls: int) -> int:
    """What callgrind counts of a whole run with so many pulls."""
    order = ["--pulls", str(pulls), "--size", str(size), *(["--counted"] if counted else [])]
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", sys.executable]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run(
            [*command, "-m", "loadtests.pull_budget", *order],
            capture_output=True,
            text=True,
            env=environment,
            check=True,
        )
    found = _COUNTED.search(done.stderr)
    assert found is not None, done.stderr
    return int(found[1])


def _print_instructions() -> None:
    for size in SIZES:
        off, on = (
            (_instructions(size, counted, MANY) - _instructions(size, counted, FEW)) / (MANY - FEW)
            for counted in (False, True)
        )
        print(f"{f'a pull, {LAYERS} layers of {size // KIB} KiB, instructions':52} {off:10,.0f}")
        print(f"{'  more where it is counted':52} {on - off:10,.0f}")
        print(f"{'  of a hundred':52} {100 * (on - off) / off:10.2f}", flush=True)


def main() -> None:
    """Measure by turns; or do what one run of callgrind looks at."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.pull_budget", description=__doc__)
    parser.add_argument("--instructions", action="store_true", help="count them by callgrind: some minutes")
    parser.add_argument("--pulls", type=int, help="pull so often, and measure nothing")
    parser.add_argument("--size", type=int, default=SIZES[0], help="bytes of a layer, with --pulls")
    parser.add_argument("--counted", action="store_true", help="count them, with --pulls")
    options = parser.parse_args()

    async def pull(puller: Puller) -> None:
        for _ in range(options.pulls):
            puller.pull(options.counted)

    if options.instructions:
        _print_instructions()
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_each(Path(folder), options.size, pull) if options.pulls else measure_pulls(Path(folder)))


if __name__ == "__main__":
    main()
