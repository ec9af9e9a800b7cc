"""What a cold byte costs at least, in processor time: received, written, hashed and summed by one thread, no more.

    python -m loadtests.cold_floor [--rounds 4]

One blob of 1 GiB from nginx over loopback, so many times; the least of each part is printed, which neighbours on the
machine disturb least. Chunks are summed by BLAKE3 where the parent has a chunk map, as ours have. Sending it on to a
client is not among the parts.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import Final

from isal import isal_zlib

from loadtests.bench import Bench
from loadtests.corpus import GIB, KIB, MIB, Blob, Corpus
from loadtests.upstream import Parent
from registry_mesh.chunks.sums import SumAlgorithm

PARTS: Final = ("receive", "write", "sha256", "crc32 of each 128 KiB", "BLAKE3 of each 128 KiB")


def spent(port: int, blob: Blob, place: Path) -> list[float]:
    """Processor seconds of each part."""
    buffer = memoryview(bytearray(MIB))
    hasher = hashlib.sha256()
    seconds = [0.0] * len(PARTS)
    clock = time.thread_time
    with socket.create_connection(("127.0.0.1", port)) as parent, place.open("wb", buffering=0) as file:
        parent.sendall(f"GET {blob.path} HTTP/1.1\r\nHost: parent\r\n\r\n".encode())
        parent.recv(4 * KIB, socket.MSG_WAITALL)  # the head, and some of the body
        for offset in range(0, blob.size - MIB, MIB):
            marks = [clock()]
            received = 0
            while received < MIB:
                received += parent.recv_into(buffer[received:])
            marks.append(clock())
            os.pwrite(file.fileno(), buffer, offset)
            marks.append(clock())
            hasher.update(buffer)
            marks.append(clock())
            for start in range(0, MIB, 128 * KIB):
                isal_zlib.crc32(buffer[start : start + 128 * KIB])
            marks.append(clock())
            for start in range(0, MIB, 128 * KIB):
                SumAlgorithm.BLAKE3.of(buffer[start : start + 128 * KIB])
            marks.append(clock())
            for part in range(len(PARTS)):
                seconds[part] += marks[part + 1] - marks[part]
    place.unlink()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=4)
    asked = parser.parse_args()
    work = Path(tempfile.mkdtemp(dir=Path.cwd(), prefix=".cold-floor-"))  # nginx takes no relative one
    try:
        corpus = Corpus(Path(".cache/loadtests/corpus").resolve())
        bench = Bench(corpus, work, quick=True)
        blob = corpus.giant
        parent = Parent(corpus, bench.folder("parent"))
        rounds: list[list[float]] = []
        with bench.running(parent.server, pinned=False):
            for _ in range(asked.rounds):
                bench.take_memory(blob.size)
                rounds.append(spent(parent.port, blob, work / "blob"))
    finally:
        shutil.rmtree(work)
    least = [min(each) / blob.size * GIB for each in zip(*rounds, strict=True)]
    for part, seconds in zip(PARTS, least, strict=True):
        print(f"{part:24} {seconds:5.2f} CPU-s/GiB")
    print(f"{'all of it':24} {sum(least):5.2f}")


if __name__ == "__main__":
    main()
