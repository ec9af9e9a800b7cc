"""Logins while warm hits are answered: passwords are slow to verify by design, and nobody else may feel that."""

from __future__ import annotations

import base64
import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import bcrypt

from loadtests import ours
from loadtests.bench import Bench, median_of, ratio
from loadtests.corpus import ACCEPT, REPOSITORY
from loadtests.drain import Drained
from loadtests.ours import Mesh
from loadtests.scenario import Outcome, scenario
from loadtests.upstream import Parent

RATE: Final = 200
"""Logins a second."""
USERS: Final = 100
CLIENTS: Final = 100
"""Connections that they come on."""
CONNECTIONS: Final = 4
"""Of the clients that have hits: the machine is not to be full, or p99 says how the kernel shares it."""
MORE_MS: Final = 1.0
"""By which p99 of hits may rise."""


def _users(file: Path, rounds: int) -> list[str]:
    """Write a file of users; what each of them sends to log in."""
    lines, sent = [], []
    for number in range(USERS):
        name, password = f"user{number}", f"secret of {number}"
        lines.append(f"{name}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds)).decode()}\n")
        sent.append("Basic " + base64.b64encode(f"{name}:{password}".encode()).decode())
    file.write_text("".join(lines))
    return sent


@dataclass(slots=True)
class Logins:
    """Those that were tried, by what came of them, and how long the ones that got a token took, in milliseconds."""

    ends: Counter[str] = field(default_factory=Counter)
    ms: list[float] = field(default_factory=list)


def _end(answer: http.client.HTTPResponse) -> str:
    """A site says 503 to those that it tells to come again, other nodes 429."""
    if answer.status == 200:
        return "token"
    return "again" if answer.status in (429, 503) and answer.getheader("Retry-After") else "failed"


def _log_in(port: int, sent: list[str], number: int, over: threading.Event, logins: Logins) -> None:
    """One connection's share of the logins, each at its time, as `docker login` and a pull ask for a token."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    path = f"/token?service=registry.example&scope=repository:{REPOSITORY}:pull"
    begun, count = time.monotonic() + number / RATE, 0
    while not over.wait(max(0.0, begun + count * CLIENTS / RATE - time.monotonic())):
        asked = time.monotonic()
        who = sent[(number + count * CLIENTS) % len(sent)]
        client.request("GET", path, headers={"Authorization": who})
        answer = client.getresponse()
        answer.read()
        logins.ends[_end(answer)] += 1
        if answer.status == 200:
            logins.ms.append((time.monotonic() - asked) * 1000)
        count += 1
    client.close()


@contextmanager
def _storm(port: int, sent: list[str]) -> Iterator[Logins]:
    over, logins = threading.Event(), Logins()
    threads = [
        threading.Thread(target=_log_in, args=(port, sent, number, over, logins), daemon=True)
        for number in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield logins
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _hits(bench: Bench, mesh: Mesh, seconds: float) -> Drained:
    paths = [(one.path_by_tag, one.size) for one in bench.corpus.manifests[:200]]
    return bench.drain.run(mesh.port, paths, connections=CONNECTIONS, seconds=seconds, header=ACCEPT)


def _site(bench: Bench, parent: Parent, rounds: int) -> tuple[Mesh, list[str]]:
    folder = bench.folder("site")
    sent = _users(folder / "users", rounds)
    access: dict[str, object] = {"anonymous": "pull", "authenticated": "pull", "users": str(folder / "users")}
    return ours.site(folder, [parent.url], access=access), sent


@scenario()
def storm(bench: Bench) -> Outcome:
    """200 logins a second beside warm hits by tag, on one worker: p99 of hits in turns with and without, for passwords
    as `htpasswd -B` hashes them (bcrypt, cost 5), and for ones that take 32 times as long (cost 10), more than the
    machine can verify.

    p99 of hits at most 1 ms more; no hit fails, no login fails but for those told to come again.
    """
    outcome = Outcome()
    parent = Parent(bench.corpus, bench.folder("parent"))
    with bench.running(parent.server, pinned=False):
        for cost in (5, 10):
            _beside(bench, parent, cost, outcome)
    return outcome


def _beside(bench: Bench, parent: Parent, cost: int, outcome: Outcome) -> None:
    mesh, sent = _site(bench, parent, cost)
    alone: list[Drained] = []
    beside: list[Drained] = []
    ends: Counter[str] = Counter()
    ms: list[float] = []
    seconds = 1.0 if bench.quick else 5.0
    with bench.running(mesh, pinned=False):
        _hits(bench, mesh, 1.0)
        for _ in range(bench.rounds):
            alone.append(_hits(bench, mesh, seconds))
            with _storm(mesh.port, sent) as logins:
                beside.append(_hits(bench, mesh, seconds))
            ends += logins.ends
            ms += logins.ms
    p99 = [median_of([one.total.p99 for one in runs]) for runs in (alone, beside)]
    tried, failed = sum(ends.values()), sum(one.failed for one in [*alone, *beside])
    outcome.row(
        f"passwords of cost {cost}",
        hit_p99_alone_ms=p99[0],
        hit_p99_beside_ms=p99[1],
        hits_per_s_alone=median_of([one.requests_per_second for one in alone]),
        hits_per_s_beside=median_of([one.requests_per_second for one in beside]),
        logins_per_s=ratio(tried, sum(one.seconds for one in beside)),
        tokens=ends["token"],
        told_to_come_again=ends["again"],
        login_p50_ms=median_of(ms),
        failed=failed,
    )
    outcome.at_most(f"cost {cost}: p99 of hits beside logins, ms more", p99[1] - p99[0], MORE_MS)
    outcome.at_most(f"cost {cost}: no hit fails", failed, 0)
    outcome.at_most(f"cost {cost}: no login fails", ends["failed"], 0)
