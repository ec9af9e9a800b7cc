"""Many clients at once, many that come and go: what they cost in memory."""

from __future__ import annotations

import socket
import time

from loadtests import ours
from loadtests.bench import Bench
from loadtests.corpus import KIB, MIB
from loadtests.processes import Server
from loadtests.scenario import Outcome, scenario
from loadtests.site.storm import peak_memory
from loadtests.upstream import Parent


@scenario()
def streaming(bench: Bench) -> Outcome:
    """1,000 clients that each read a held 1 GiB blob at 1 MB/s: memory of the whole tree under 300 MiB (PSS)."""
    outcome = Outcome()
    blob = bench.corpus.giant
    parent = Parent(bench.corpus, bench.folder("parent"))
    mesh = ours.site(bench.folder("site"), [parent.url], workers=2)
    with bench.running(parent.server, mesh, pinned=False):
        bench.get(mesh, blob.path)
        before = mesh.memory().pss
        with peak_memory(mesh) as samples:
            cpu = mesh.cpu_seconds()
            readers = bench.drain.start(
                mesh.port, [(blob.path, blob.size)], connections=1000, each=1, read_rate=1_000_000
            )
            time.sleep(4 if bench.quick else 15)
            alive = not readers.over
            cpu = mesh.cpu_seconds() - cpu
            readers.leave()
        outcome.row("registry-mesh", clients=1000, before_mib=before, peak_mib=max(samples), cpu_s=cpu)
        outcome.at_least("readers are still reading", int(alive), 1)
        outcome.at_most("peak memory, MiB", max(samples), 300)
    return outcome


def _idle_connections(server: Server, path: str, count: int) -> list[socket.socket]:
    """Keep-alive connections that have each had one answer and now rest."""
    kept = []
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", server.port), 10)
        sock.sendall(request)
        if not sock.recv(65536).startswith(b"HTTP/1.1 200"):
            raise RuntimeError("an idle connection was not served")
        kept.append(sock)
    return kept


@scenario()
def idle(bench: Bench) -> Outcome:
    """Keep-alive connections that rest after one request: under 20 KiB of the tree's memory each."""
    outcome = Outcome()
    count = 2000
    parent = Parent(bench.corpus, bench.folder("parent"))
    mesh = ours.site(bench.folder("site"), [parent.url], workers=1)
    with bench.running(parent.server, mesh, pinned=False):
        path = bench.corpus.tiny.path
        bench.get(mesh, path)
        for sock in _idle_connections(mesh, path, 200):
            sock.close()
        time.sleep(0.3)
        before = mesh.memory().anonymous
        kept = _idle_connections(mesh, path, count)
        time.sleep(0.3)
        after = mesh.memory().anonymous
        for sock in kept:
            sock.close()
        each = (after - before) * 1024 / count
        outcome.row("registry-mesh", connections=count, before_mib=before, after_mib=after, kib_each=each)
        outcome.at_most("KiB a connection", each, 20)
    return outcome


@scenario(quick=False)
def churn(bench: Bench) -> Outcome:
    """Clients come, ask for ranges, manifests and whole blobs, some hang up, and go, for 10 minutes: the memory curve.

    Flat: the last fifth's mean at most 1.05 times the second fifth's.
    """
    outcome = Outcome()
    parent = Parent(bench.corpus, bench.folder("parent"))
    mesh = ours.site(bench.folder("site"), [parent.url], workers=2)
    seconds = 600
    with bench.running(parent.server, mesh, pinned=False):
        small, layer = bench.corpus.small, bench.corpus.layer
        begun = time.monotonic()
        turn = 0
        while (passed := time.monotonic() - begun) < seconds:
            turn += 1
            paths = [(layer.path, layer.size)]
            runs = [
                bench.drain.start(
                    mesh.port, paths, connections=100, each=5, range=64 * KIB, range_to=MIB, seed=turn
                ),
                bench.drain.start(mesh.port, [(small.path, small.size)], connections=10, each=1),
            ]
            leaver = bench.drain.start(mesh.port, paths, connections=20, each=1, read_rate=20_000_000)
            for run in runs:
                run.wait()
            leaver.leave()
            outcome.row("registry-mesh", second=round(passed), memory_mib=mesh.memory().pss)
            time.sleep(max(0.0, 5 - (time.monotonic() - begun - passed)))
    samples = [row["memory_mib"] for row in outcome.rows]
    fifth = max(1, len(samples) // 5)
    early, late = samples[fifth : 2 * fifth], samples[-fifth:]
    outcome.at_most("memory at the end to that after warming up", sum(late) / sum(early), 1.05)
    return outcome
