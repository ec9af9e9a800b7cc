"""Many clients at once, many that come and go: what they cost in memory."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Sequence
from functools import partial

from loadtests import nginx, ours
from loadtests.bench import Bench, ratio
from loadtests.corpus import ACCEPT, GIB, KIB, MIB, Blob
from loadtests.processes import Server
from loadtests.scenario import Outcome, scenario
from loadtests.site.storm import peak_memory
from loadtests.site.working_set import peak_disk
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


def _coming_and_going(bench: Bench, port: int, blobs: Sequence[Blob], turn: int) -> tuple[int, str]:
    """One turn of churn: how many failed who did not hang up, and what one of them said."""
    source = random.Random(turn)
    paths = [(blob.path, blob.size) for blob in source.sample(blobs, len(blobs))]
    tags = [(one.path_by_tag, one.size) for one in source.sample(bench.corpus.manifests, 200)]
    start = partial(bench.drain.start, port, seed=turn)
    stay = [
        start(paths, connections=100, each=5, range=64 * KIB, range_to=MIB),
        start(paths[:10], connections=10, each=1),
        start(tags, connections=50, each=10, header=ACCEPT),
    ]
    leaver = start(paths[10:30], connections=20, each=1, read_rate=5_000_000)
    seen = [one.wait() for one in stay]
    leaver.leave()
    return sum(one.failed for one in seen), next((one.complaint for one in seen if one.failed), "")


@scenario(quick=False)
def churn(bench: Bench) -> Outcome:
    """Clients come, ask for ranges, manifests and whole blobs, some hang up, and go, for 10 minutes (`--soak`), of a
    working set of 1.5 GiB in a store of 1 GiB: there are hits, cold fills and evictions all the time.

    Flat: memory and open files of the last fifth at most 1.05 times those of the second fifth. Never over the quota,
    and nobody fails.
    """
    outcome = Outcome()
    blobs = [bench.corpus.blob(f"churned{number}", 32 * MIB) for number in range(48)]
    parent = Parent(bench.corpus, bench.folder("parent"))
    nginx.add_blobs(bench.corpus, blobs)
    folder = bench.folder("site")
    mesh = ours.site(folder, [parent.url], workers=2, store=ours.disk(folder, f"{GIB}B"))
    failed, said = 0, ""
    with bench.running(parent.server, mesh, pinned=False), peak_disk(folder / "store") as disk:
        begun = time.monotonic()
        turn = 0
        while (passed := time.monotonic() - begun) < bench.soak:
            turn += 1
            failures, complaint = _coming_and_going(bench, mesh.port, blobs, turn)
            failed, said = failed + failures, said or complaint
            time.sleep(max(0.0, 5 - (time.monotonic() - begun - passed)))
            outcome.row(
                "registry-mesh",
                second=round(passed),
                memory_mib=mesh.memory().pss,
                open_files=mesh.open_files(),
                failed=failures,
                said=complaint,
            )
        outcome.remarks.append(f"upstream sent {parent.sent().body_bytes / GIB:.1f} GiB")
    for figure in ("memory_mib", "open_files"):
        samples = [row[figure] for row in outcome.rows]
        fifth = max(1, len(samples) // 5)
        early, late = samples[fifth : 2 * fifth], samples[-fifth:]
        outcome.at_most(f"{figure} at the end to that after warming up", ratio(sum(late), sum(early)), 1.05)
    outcome.at_most("peak on disk to the quota", max(disk) / GIB, 1.0)
    outcome.at_most("nobody fails", failed, 0)
    return outcome
