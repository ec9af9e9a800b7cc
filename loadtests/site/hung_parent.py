"""One registry's parent accepts and never answers, and a crowd asks for what it has: what others feel of it."""

from __future__ import annotations

import hashlib
import http.client
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from loadtests import ours
from loadtests.bench import Bench, median_of, ratio
from loadtests.corpus import ACCEPT, REPOSITORY
from loadtests.drain import Drained
from loadtests.ours import Mesh
from loadtests.scenario import Outcome, scenario
from loadtests.troubled import HEAD_ALONE, HUNG, PINGS_ALONE, SMALL, Manner, Troubled, manifest, small_digest

CROWD: Final = 200
"""Clients of the hung registry."""
HUNG_REGISTRY: Final = "hung.example"
CONNECTIONS: Final = 4
"""Of the others: the machine is not to be full, or p99 says how the kernel shares it."""
DELAY: Final = 0.005
"""Seconds to an answer of the healthy parent."""
COLD: Final = 200
"""Blobs, and as many manifests, that a turn pulls."""
COME: Final = 2.0
"""Seconds in which the crowd comes, one after the other: 200 at once are a burst of work, whatever they ask for."""
PATIENCE: Final = 20.0
"""Seconds for which one of the crowd waits."""
REST: Final = 5.0
"""Seconds until one of the crowd asks again at the soonest, where it is told nothing else: as long as it is told where
a parent is away, so that each parent meets as many questions."""
TURNS: Final = 4
MET: Final = 1.0
"""Seconds after a site's start in which it has met its parents."""
GIVEN_UP: Final = 12.0
"""Seconds after which the crowd's first questions are answered, whatever the parent does."""
WELL: Final = "answers well"
"""What the parent does to which the others are held."""
MOVES: Final = 1.2
"""Times the p99 alone that it may come to."""


@dataclass(slots=True)
class Told:
    """What the crowd was told, by status, and how long the slowest of it waited, in seconds."""

    ends: Counter[int] = field(default_factory=Counter)
    longest: float = 0.0


def _ask_on(port: int, number: int, over: threading.Event, told: Told) -> None:
    """One of the crowd: asks for a blob or a tag, and for the next once it may, or somewhat later."""
    turn, spread = 0, random.Random(number)
    over.wait(COME * number / CROWD)
    while not over.is_set():
        turn += 1
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        name = hashlib.sha256(f"{number} {turn}".encode()).hexdigest()
        kind = f"blobs/sha256:{name}" if number % 2 else f"manifests/{name[:12]}"
        began = time.monotonic()
        try:
            client.request("GET", f"/v2/{REPOSITORY}/{kind}?ns={HUNG_REGISTRY}")
            answer = client.getresponse()
            answer.read()
            status, pause = answer.status, float(answer.getheader("Retry-After") or REST)
        except (OSError, http.client.HTTPException):
            status, pause = 0, REST
        client.close()
        told.ends[status] += 1
        told.longest = max(told.longest, time.monotonic() - began)
        over.wait(pause * spread.uniform(1, 2))


@contextmanager
def _crowd(port: int) -> Iterator[Told]:
    over, told = threading.Event(), Told()
    threads = [
        threading.Thread(target=_ask_on, args=(port, number, over, told), daemon=True)
        for number in range(CROWD)
    ]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        over.set()
        for thread in threads:
            thread.join()


@dataclass(slots=True)
class Turns:
    """What the others saw: cold pulls, and hits."""

    cold: list[Drained] = field(default_factory=list)
    hits: list[Drained] = field(default_factory=list)

    def take(self, bench: Bench, mesh: Mesh, turn: int) -> None:
        """The content of that turn, cold, and hits of it."""
        numbers = range(turn * COLD, (turn + 1) * COLD)
        paths = [
            pair
            for number in numbers
            for pair in (
                (f"/v2/{REPOSITORY}/blobs/{small_digest(number)}", SMALL),
                (f"/v2/{REPOSITORY}/manifests/v{number}", len(manifest(number))),
            )
        ]
        run = bench.drain.run
        self.cold.append(
            run(mesh.port, paths, connections=CONNECTIONS, requests=len(paths), header=ACCEPT, timeout=60)
        )
        self.hits.append(run(mesh.port, paths, connections=CONNECTIONS, seconds=bench.seconds, header=ACCEPT))

    @property
    def failed(self) -> int:
        return sum(one.failed + one.cut_short for one in [*self.cold, *self.hits])

    @property
    def complaint(self) -> str:
        return next((one.complaint for one in [*self.cold, *self.hits] if one.complaint), "")


@dataclass(slots=True)
class Rounds:
    """Of one manner to hang: turns without the crowd before and after, while its first questions wait, and once they
    were answered."""

    before: Turns = field(default_factory=Turns)
    waiting: Turns = field(default_factory=Turns)
    answered: Turns = field(default_factory=Turns)
    after: Turns = field(default_factory=Turns)
    told: Counter[int] = field(default_factory=Counter)
    longest: float = 0.0
    at_once: int = 0

    def run(self, bench: Bench, good: Troubled, manner: Manner) -> None:
        """One round: a new site, and a parent that hangs."""
        hung = Troubled(bench.folder("hung"), manner)
        mesh = ours.site(bench.folder("site"), [good.url], others={HUNG_REGISTRY: [hung.url]})
        with bench.running(hung, mesh, pinned=False):
            time.sleep(MET)
            self.before.take(bench, mesh, 0)
            with _crowd(mesh.port) as told:
                began = time.monotonic()
                time.sleep(COME)
                self.waiting.take(bench, mesh, 1)
                time.sleep(max(0.0, GIVEN_UP - (time.monotonic() - began)))
                self.answered.take(bench, mesh, 2)
            self.after.take(bench, mesh, 3)
            self.told += told.ends
            self.longest = max(self.longest, told.longest)
            self.at_once = max(self.at_once, hung.seen().waiting)


def _p99(runs: list[Drained]) -> list[float]:
    return [one.total.p99 for one in runs]


def _moved(beside: list[Drained], before: list[Drained], after: list[Drained]) -> list[float]:
    """p99 of each turn to the mean of those around it."""
    around = [statistics.mean(pair) for pair in zip(_p99(before), _p99(after), strict=True)]
    return [ratio(p99, alone) for p99, alone in zip(_p99(beside), around, strict=True)]


@scenario(quick=False)
def beside(bench: Bench) -> Outcome:
    """Cold small blobs and manifests of one registry, whose parent is 5 ms away, and hits of them, in turns with and
    without 200 clients that ask another registry. Its parent accepts and never answers: not even pings, nothing but
    pings, or the head of an answer and one byte. Each round has a new site: the crowd waits in one turn, and is told
    at once in another that the parent is away.

    p99 at most 1.2 times that of the turns without the crowd before and after; nobody fails. Beside it a parent that
    answers well, and has nothing of what the crowd asks for: what the crowd's questions cost by themselves.
    """
    outcome = Outcome()
    good = Troubled(bench.folder("good"), Manner(delay=DELAY), numbered=TURNS * COLD)
    manners = {
        WELL: Manner(delay=DELAY, frank=True),
        "answers nothing": HUNG,
        "answers pings": PINGS_ALONE,
        "sends a head and a byte": HEAD_ALONE,
    }
    with bench.running(good, pinned=False):
        for name, manner in manners.items():
            rounds = Rounds()
            for _ in range(1 if bench.quick else bench.rounds):
                rounds.run(bench, good, manner)
            _tell(outcome, name, rounds)
    return outcome


def _tell(outcome: Outcome, name: str, rounds: Rounds) -> None:
    alone = Turns(rounds.before.cold + rounds.after.cold, rounds.before.hits + rounds.after.hits)
    for state, turns in (("alone", alone), ("waits", rounds.waiting), ("is told", rounds.answered)):
        outcome.row(
            f"{name}: crowd {state}" if turns is not alone else f"{name}: alone",
            cold_p50_ms=median_of([one.total.p50 for one in turns.cold]),
            cold_p99_ms=median_of(_p99(turns.cold)),
            cold_worst_ms=max(one.total.worst for one in turns.cold),
            hit_p99_ms=median_of(_p99(turns.hits)),
            failed=turns.failed,
            said=turns.complaint,
        )
        outcome.at_most(f"{name}: nobody fails, {state}", turns.failed, 0)
    for kind in ("cold", "hits"):
        before, after = getattr(rounds.before, kind), getattr(rounds.after, kind)
        noise = [max(a, b) / min(a, b) for a, b in zip(_p99(before), _p99(after), strict=True)]
        outcome.remarks.append(f"{name}, {kind}: p99 alone, before to after: {_listed(noise)}")
        for state, turns in (("waits", rounds.waiting), ("is told", rounds.answered)):
            moved = _moved(getattr(turns, kind), before, after)
            outcome.remarks.append(f"{name}, {kind}: p99 to alone where the crowd {state}: {_listed(moved)}")
            if name != WELL:
                outcome.at_most(f"{name}: p99 of {kind} to alone, crowd {state}", median_of(moved), MOVES)
    told = ", ".join(f"{count} times {status}" for status, count in sorted(rounds.told.items()))
    outcome.remarks.append(
        f"{name}: crowd told {told}; longest wait {rounds.longest:.1f} s; {rounds.at_once} at the parent at once"
    )


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)
