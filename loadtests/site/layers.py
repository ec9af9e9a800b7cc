"""Whole layers that are held."""

from __future__ import annotations

from functools import partial

from loadtests import docker_registry, nginx, ours
from loadtests.bench import Bench, ratio
from loadtests.corpus import Blob
from loadtests.drain import Drained
from loadtests.processes import Server
from loadtests.scenario import Outcome, scenario
from loadtests.upstream import Parent


def _layer(bench: Bench) -> Blob:
    return bench.corpus.layer if bench.quick else bench.corpus.giant


def _whole(bench: Bench, server: Server, connections: int, *, tls: bool = False) -> Drained:
    blob = _layer(bench)
    return bench.drain.run(
        server.port, [(blob.path, blob.size)], connections=connections, seconds=bench.seconds, tls=tls,
        cores=bench.client_core,
    )  # fmt: skip


@scenario()
def warm(bench: Bench) -> Outcome:
    """A held 1 GiB blob (quick: 256 MiB), whole, by one client and by eight; one worker on one core.

    CPU-seconds per GiB at most 1.2 times nginx static, throughput at least 0.95 times.
    """
    outcome = Outcome()
    parent = Parent(bench.corpus, bench.folder("parent"))
    static = nginx.static(bench.corpus, bench.folder("static"))
    registry = docker_registry.origin(bench.corpus, bench.folder("registry"))
    mesh = ours.site(bench.folder("site"), [parent.url])
    subjects = (static, mesh) if bench.quick else (static, mesh, registry)
    with bench.running(parent.server, pinned=False), bench.running(*subjects):
        for server in subjects:
            bench.get(server, _layer(bench).path)
        for clients in (1, 8):
            runs = bench.paired({one: partial(_whole, bench, one, clients) for one in subjects})
            for server, figures in runs.items():
                outcome.row(
                    f"{server.name}, {clients} client{'s' * (clients > 1)}",
                    gb_per_s=figures.gigabytes_per_second,
                    cpu_s_per_gib=figures.cpu_per_gib,
                    ratio_to_nginx=ratio(figures.cpu_per_gib, runs[static].cpu_per_gib),
                    failed=figures.failed,
                    said=figures.complaint,
                )
            us, them = runs[mesh], runs[static]
            outcome.at_most(f"{clients}: nobody fails", us.failed, 0)
            outcome.at_most(
                f"{clients}: CPU per GiB to nginx static", ratio(us.cpu_per_gib, them.cpu_per_gib), 1.2
            )
            outcome.at_least(
                f"{clients}: GB/s to nginx static",
                ratio(us.gigabytes_per_second, them.gigabytes_per_second),
                0.95,
            )
    return outcome


@scenario(quick=False)
def warm_tls(bench: Bench) -> Outcome:
    """The same over TLS, beside nginx with the same certificate. No bar: the figure is what is wanted."""
    outcome = Outcome()
    parent = Parent(bench.corpus, bench.folder("parent"))
    certificate = nginx.certificate(bench.folder("tls"))
    static = nginx.static(bench.corpus, bench.folder("static"), name="nginx static TLS", tls=certificate)
    mesh = ours.site(bench.folder("site"), [parent.url], tls=certificate)
    with bench.running(parent.server, pinned=False), bench.running(static, mesh):
        _whole(bench, mesh, 1, tls=True)
        runs = bench.paired({one: partial(_whole, bench, one, 4, tls=True) for one in (static, mesh)})
        for server, figures in runs.items():
            outcome.row(
                server.name,
                gb_per_s=figures.gigabytes_per_second,
                cpu_s_per_gib=figures.cpu_per_gib,
                ratio_to_nginx=ratio(figures.cpu_per_gib, runs[static].cpu_per_gib),
                failed=figures.failed,
                said=figures.complaint,
            )
        outcome.at_most("nobody fails", runs[mesh].failed, 0)
    return outcome
