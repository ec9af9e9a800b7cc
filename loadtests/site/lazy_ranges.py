"""Lazy pulling: small ranges of large blobs, held and not held."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from loadtests import docker_registry, nginx, ours
from loadtests.bench import Bench, ratio
from loadtests.corpus import KIB, MIB, Blob
from loadtests.drain import Drained
from loadtests.link import GIGABIT, LinkProcess
from loadtests.processes import Server
from loadtests.scenario import Outcome, scenario
from loadtests.upstream import Parent
from tests.simulators.link import Conditions


def _ranges(bench: Bench, server: Server, blob: Blob, size: int, connections: int = 64) -> Drained:
    return bench.drain.run(
        server.port, [(blob.path, blob.size)], connections=connections, seconds=bench.seconds, range=size, check=1,
        compare=blob, cores=bench.client_core,
    )  # fmt: skip


def _warm(bench: Bench, size: int) -> Outcome:
    outcome = Outcome()
    blob = bench.corpus.giant
    parent = Parent(bench.corpus, bench.folder("parent"))
    static = nginx.static(bench.corpus, bench.folder("static"))
    registry = docker_registry.origin(bench.corpus, bench.folder("registry"))
    mesh = ours.site(bench.folder("site"), [parent.url])
    with bench.running(parent.server, pinned=False), bench.running(static, registry, mesh):
        for server in (
            static,
            registry,
            mesh,
            mesh,
        ):  # ours proves what it stored when it is read for the first time
            bench.get(server, blob.path)
        runs = bench.paired(
            {one: partial(_ranges, bench, one, blob, size) for one in (static, mesh, registry)}
        )
        for server, figures in runs.items():
            outcome.row(
                server.name,
                requests_per_s=figures.requests_per_second,
                p50_ms=figures.p50,
                p99_ms=figures.p99,
                cpu_us_per_request=figures.us_per_request,
                ratio_to_nginx=ratio(figures.us_per_request, runs[static].us_per_request),
                failed=figures.failed,
                said=figures.complaint,
            )
        us, them, slow = runs[mesh], runs[static], runs[registry]
        outcome.at_most("nobody fails", us.failed, 0)
        outcome.at_most("CPU per request to nginx static", ratio(us.us_per_request, them.us_per_request), 1.5)
        outcome.at_most("p99 to nginx static", ratio(us.p99, them.p99), 3)
        if size == 64 * KIB:
            outcome.at_most("the goal beyond: the same", ratio(us.us_per_request, them.us_per_request), 1.1)
            outcome.at_least(
                "docker-registry's CPU per request to ours", ratio(slow.us_per_request, us.us_per_request), 40
            )
    return outcome


@scenario()
def warm_64k(bench: Bench) -> Outcome:
    """Random 64 KiB ranges of a held 1 GiB blob over 64 keep-alive connections, one worker on one core.

    Server CPU per request at most 1.5 times nginx static (goal 1.1) and a 40th of docker-registry; p99 at most
    3 times nginx.
    """
    return _warm(bench, 64 * KIB)


@scenario(quick=False)
def warm_1m(bench: Bench) -> Outcome:
    """The same with ranges of 1 MiB."""
    return _warm(bench, MIB)


@scenario(quick=False)
def of_a_part(bench: Bench) -> Outcome:
    """Random 64 KiB ranges of the first half of a 1 GiB blob of which a site holds only that half: what is read lazily
    stays so. 64 keep-alive connections, one worker on one core.

    Server CPU per request at most 1.5 times nginx static; nothing upstream.
    """
    outcome = Outcome()
    blob = bench.corpus.giant
    half = replace(blob, size=blob.size // 2)
    parent = Parent(bench.corpus, bench.folder("parent"))
    static = nginx.static(bench.corpus, bench.folder("static"))
    mesh = ours.site(bench.folder("site"), [parent.url])
    with bench.running(parent.server, pinned=False), bench.running(static, mesh):
        for server in (static, mesh):
            bench.drain.run(
                server.port, [(blob.path, blob.size)], connections=1, requests=1, range=half.size, start=0
            )
        parent.forget()
        runs = bench.paired({one: partial(_ranges, bench, one, half, 64 * KIB) for one in (static, mesh)})
        moved = parent.sent().body_bytes
    for server, figures in runs.items():
        outcome.row(
            server.name,
            requests_per_s=figures.requests_per_second,
            p99_ms=figures.p99,
            cpu_us_per_request=figures.us_per_request,
            failed=figures.failed,
            said=figures.complaint,
        )
    us, them = runs[mesh], runs[static]
    outcome.at_most("nobody fails", us.failed, 0)
    outcome.at_most("bytes from the parent", moved, 0)
    outcome.at_most("CPU per request to nginx static", ratio(us.us_per_request, them.us_per_request), 1.5)
    return outcome


def _probe(bench: Bench, port: int, blob: Blob, connections: int = 1, start: int = 700 * MIB) -> Drained:
    return bench.drain.run(
        port, [(blob.path, blob.size)], connections=connections, stampede=True, range=64 * KIB, start=start,
        check=connections, compare=blob, timeout=60,
    )  # fmt: skip


@scenario()
def cold_64k(bench: Bench) -> Outcome:
    """One 64 KiB range at 700 MiB of a blob that is not held, over 1 Gbit/s and 20 ms; then again; then 100
    clients at once on another cold range.

    206; at most 2 MiB upstream; first byte within 10 ms of direct. Again: nothing upstream, under 2 ms. The
    hundred: one request and one chunk upstream, all right, worst within 50 ms of direct.
    """
    outcome = Outcome()
    blob = bench.corpus.giant
    parent = Parent(bench.corpus, bench.folder("parent"))
    with bench.running(parent.server, pinned=False):
        with LinkProcess(parent.port, Conditions(rate=GIGABIT, rtt=0.02)) as link:
            _probe(bench, link.port, bench.corpus.giant)
            direct = _probe(bench, link.port, blob)
            crowd = _probe(bench, link.port, blob, 100)
            outcome.row("direct", first_byte_ms=direct.first_byte.p50, crowd_worst_ms=crowd.first_byte.worst)
            for server in (
                nginx.cache(link.port, bench.folder("slice"), slices=True),
                ours.site(bench.folder("site"), [link.url]),
            ):
                with bench.running(server, pinned=False):
                    bench.get(server, bench.corpus.tiny.path)
                    link.forget()
                    cold = _probe(bench, server.port, blob)
                    moved = link.seen()
                    again = _probe(bench, server.port, blob)
                    after = link.seen()
                    link.forget()
                    crowded = _probe(bench, server.port, blob, 100, start=300 * MIB)
                    crowd_moved = link.seen()
                outcome.row(
                    server.name,
                    first_byte_ms=cold.first_byte.p50,
                    upstream_mib=moved.body_bytes / MIB,
                    again_ms=again.total.worst,
                    again_upstream=after.body_bytes - moved.body_bytes,
                    crowd_worst_ms=crowded.first_byte.worst,
                    crowd_upstream_mib=crowd_moved.body_bytes / MIB,
                    crowd_upstream_requests=crowd_moved.requests,
                    failed=cold.failed + again.failed + crowded.failed,
                    said=cold.complaint or again.complaint or crowded.complaint,
                )
        row = outcome.rows[-1]
        outcome.at_most("nobody fails, each byte right", row["failed"], 0)
        outcome.at_most("first byte beyond direct, ms", row["first_byte_ms"] - direct.first_byte.p50, 10)
        outcome.at_most("upstream, MiB", row["upstream_mib"], 2)
        outcome.at_most("again, ms", row["again_ms"], 2)
        outcome.at_most("again, bytes upstream", row["again_upstream"], 0)
        outcome.at_most("100 clients: upstream requests", row["crowd_upstream_requests"], 1)
        outcome.at_most("100 clients: upstream, MiB", row["crowd_upstream_mib"], 1)
        outcome.at_most(
            "100 clients: worst beyond direct, ms", row["crowd_worst_ms"] - direct.first_byte.p50, 50
        )
    return outcome
