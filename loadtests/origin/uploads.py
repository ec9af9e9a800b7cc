"""Pushes to an origin."""

from __future__ import annotations

import http.client
import time

from loadtests import docker_registry, ours
from loadtests.bench import Bench, median_of, ratio
from loadtests.corpus import GIB, MIB, REPOSITORY, Blob
from loadtests.processes import Server
from loadtests.scenario import Outcome, scenario


def push(server: Server, blob: Blob) -> None:
    """As docker does: POST, one PATCH with all the bytes, PUT with the digest."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300, blocksize=MIB)
    connection.request("POST", f"/v2/{REPOSITORY}/blobs/uploads/", headers={"Content-Length": "0"})
    location = _location(connection, 202)
    with open(blob.file, "rb") as body:
        headers = {"Content-Length": str(blob.size), "Content-Type": "application/octet-stream"}
        connection.request("PATCH", location, body=body, headers=headers)
        location = _location(connection, 202)
    mark = "&" if "?" in location else "?"
    connection.request("PUT", f"{location}{mark}digest={blob.digest}", headers={"Content-Length": "0"})
    _location(connection, 201)
    connection.close()


def _location(connection: http.client.HTTPConnection, wanted: int) -> str:
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != wanted:
        raise RuntimeError(f"{answer.status} instead of {wanted}: {body[:200]!r}")
    location = answer.headers["Location"]
    return location[location.index("/v2/") :] if "://" in location else location


@scenario(quick=False)
def one_layer(bench: Bench) -> Outcome:
    """A layer of 256 MiB pushed by one client into an empty origin, beside docker-registry. No bar but that it is
    not slower: CPU a GiB at most docker-registry's."""
    outcome = Outcome()
    blob = bench.corpus.layer
    costs: dict[str, list[float]] = {}
    for _ in range(bench.rounds):
        for server in (
            docker_registry.empty(bench.folder("registry")),
            ours.origin(bench.folder("origin")),
        ):
            with bench.running(server, pinned=False):
                push(server, bench.corpus.tiny)
                cpu, begun = server.cpu_seconds(), time.monotonic()
                push(server, blob)
                seconds = time.monotonic() - begun
                used = (server.cpu_seconds() - cpu) / blob.size * GIB
            costs.setdefault(server.name, []).append(used)
            costs.setdefault(f"{server.name} seconds", []).append(seconds)
    for name in ("docker-registry", "registry-mesh origin"):
        outcome.row(name, seconds=median_of(costs[f"{name} seconds"]), cpu_s_per_gib=median_of(costs[name]))
    theirs, us = outcome.rows
    outcome.at_most("CPU a GiB to docker-registry", ratio(us["cpu_s_per_gib"], theirs["cpu_s_per_gib"]), 1.0)
    return outcome
