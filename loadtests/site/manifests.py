"""Manifests that are held: the smallest and most frequent answers of a site."""

from __future__ import annotations

from functools import partial

from loadtests import docker_registry, nginx, ours
from loadtests.bench import Bench, ratio
from loadtests.corpus import ACCEPT
from loadtests.drain import Drained
from loadtests.processes import Server
from loadtests.scenario import Outcome, scenario
from loadtests.upstream import Parent


def _paths(bench: Bench, kind: str) -> list[tuple[str, int]]:
    chosen = bench.corpus.manifests[:200] if bench.quick else bench.corpus.manifests
    return [(one.path_by_tag if kind == "tag" else one.path_by_digest, one.size) for one in chosen]


def _pull(
    bench: Bench, server: Server, kind: str, seconds: float | None = None, method: str = "GET"
) -> Drained:
    paths = _paths(bench, kind)
    return bench.drain.run(
        server.port, paths, connections=64, seconds=seconds or bench.seconds, header=ACCEPT, method=method,
        cores=bench.client_core,
    )  # fmt: skip


def _fetch_each(bench: Bench, server: Server, kind: str) -> Drained:
    paths = _paths(bench, kind)
    return bench.drain.run(server.port, paths, connections=8, requests=len(paths), header=ACCEPT)


@scenario()
def warm(bench: Bench) -> Outcome:
    """A thousand (quick: 200) held manifests of 2.4 KB, by tag and by digest, 64 keep-alive connections, one worker
    on one core.

    CPU per request at most 1.5 times nginx static (goal 1.0), at most a 12th of docker-registry; nothing upstream.
    """
    outcome = Outcome()
    parent = Parent(bench.corpus, bench.folder("parent"))
    static = nginx.static(bench.corpus, bench.folder("static"))
    registry = docker_registry.origin(bench.corpus, bench.folder("registry"))
    mesh = ours.site(bench.folder("site"), [parent.url])
    with bench.running(parent.server, pinned=False), bench.running(static, registry, mesh):
        for kind in ("tag", "digest"):
            for server in (static, registry, mesh, mesh):  # a miss, then the first hit
                _fetch_each(bench, server, kind)
            parent.forget()
            runs = bench.paired({one: partial(_pull, bench, one, kind) for one in (static, mesh, registry)})
            asked = parent.asked()
            for server, figures in runs.items():
                outcome.row(
                    f"{server.name} by {kind}",
                    requests_per_s=figures.requests_per_second,
                    p99_ms=figures.p99,
                    cpu_us_per_request=figures.us_per_request,
                    ratio_to_nginx=ratio(figures.us_per_request, runs[static].us_per_request),
                    failed=figures.failed,
                    said=figures.complaint,
                )
            us = runs[mesh]
            times = ratio(us.us_per_request, runs[static].us_per_request)
            outcome.at_most(f"by {kind}: nobody fails", us.failed, 0)
            outcome.at_most(f"by {kind}: requests upstream", len(asked), 0)
            outcome.remarks += [f"upstream: {line}" for line in asked[:3]]
            outcome.at_most(f"by {kind}: CPU per request to nginx static", times, 1.5)
            outcome.at_most(f"by {kind}: the goal beyond: the same", times, 1.0)
            outcome.at_least(
                f"by {kind}: docker-registry's CPU per request to ours",
                ratio(runs[registry].us_per_request, us.us_per_request),
                12,
            )
    return outcome
