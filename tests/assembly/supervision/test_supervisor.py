"""The supervisor with real forks, in a process of its own; what its children did is what they say."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

PROLOGUE = """
import os, signal, sys, time
from registry_mesh.assembly.supervision.seats import Seats, State
from registry_mesh.assembly.supervision.crew import Child, Crew
from registry_mesh.assembly.supervision.supervisor import Heard, Supervisor
seats = Seats(2)
def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())
"""
SERVING = """
def child(seat):
    def run():
        ended = []
        signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
        signal.signal(signal.SIGUSR1, lambda *_: say("reopened", seat.index))
        say("serving", seat.index, os.getpid())
        seat.enter(State.SERVING)
        while len(ended) < PATIENCE:
            time.sleep(0.02)
            seat.beat()
        say("drained", seat.index)
        return 0
    return Child(seat, run)
def keeper(seat):
    def run():
        ended = []
        signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
        seat.enter(State.SERVING)
        while not ended:
            time.sleep(0.02)
            seat.beat()
        return 0
    return Child(seat, run)
def crew(seats):
    return Crew(seats, [*(child(seat) for seat in seats.workers), keeper(seats.keeper)], 30)
def supervise(**more):
    return Supervisor(crew(seats), Heard(restarted=lambda: say("restarted"), **more))
"""


class Supervised:
    """A script with a supervisor in it; lines that it and its children say."""

    def __init__(self, script: str, **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROLOGUE + textwrap.dedent(script)],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, **env},
        )

    def hear(self, start: str) -> str:
        """The next line that begins so."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(start):
                return line.strip()
        raise AssertionError(f"nothing said {start}")

    def hear_all(self, *lines: str) -> None:
        """Wait for these lines, in any order: several processes say them."""
        left = set(lines)
        assert self.process.stdout is not None
        while left:
            line = self.process.stdout.readline()
            assert line, f"nothing said {left}"
            left.discard(line.strip())

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(60)


@pytest.fixture
def supervise() -> Iterator[Callable[..., Supervised]]:
    running: list[Supervised] = []

    def start(script: str, **env: str) -> Supervised:
        running.append(Supervised(script, **env))
        return running[-1]

    yield start
    for each in running:
        with suppress(ProcessLookupError):  # its children may outlive it
            os.killpg(each.process.pid, signal.SIGKILL)
        each.process.wait()


def serving(
    supervise: Callable[..., Supervised], arguments: str = "", patience: int = 1, **env: str
) -> Supervised:
    """Two children that serve."""
    return supervise(f"PATIENCE = {patience}{SERVING}\nsys.exit(supervise({arguments}).run())", **env)


def test_term_ends_all_in_good_order(supervise: Callable[..., Supervised]) -> None:
    service = serving(supervise, "stopping=lambda: say('stopping')")
    service.hear("serving")
    service.hear("serving")
    service.tell(signal.SIGTERM)
    service.hear_all("stopping", "drained 0", "drained 1")
    assert service.wait() == 0


def test_a_killed_child_is_replaced_in_its_seat_and_the_other_lives(
    supervise: Callable[..., Supervised],
) -> None:
    service = serving(supervise)
    pids = dict(service.hear("serving").split()[1:] for _ in range(2))
    os.kill(int(pids["1"]), signal.SIGKILL)
    service.hear("restarted")
    _, seat, pid = service.hear("serving").split()
    assert seat == "1"
    assert pid != pids["1"]
    os.kill(int(pids["0"]), 0)  # still there
    service.tell(signal.SIGINT)
    assert service.wait() == 0


def test_a_second_term_reaches_the_children_at_once(supervise: Callable[..., Supervised]) -> None:
    service = serving(supervise, "stopping=lambda: say('stopping')", patience=2)
    service.hear("serving")
    service.hear("serving")
    service.tell(signal.SIGTERM)
    service.hear("stopping")
    service.tell(signal.SIGTERM)
    assert service.wait() == 0


def test_a_new_crew_serves_before_the_old_one_is_told_to_end(supervise: Callable[..., Supervised]) -> None:
    service = supervise(
        f"PATIENCE = 1{SERVING}\nanswers = [None, crew(Seats(1))]\n"
        "sys.exit(supervise(serving=lambda: say('ready'), replace=lambda *_: (say('asked'), answers.pop(0))[1], "
        "replaced=lambda: say('replaced')).run())"
    )
    service.hear("ready")
    service.tell(signal.SIGHUP)
    service.hear("asked")  # and refused: nothing happens
    service.tell(signal.SIGHUP)
    service.hear("asked")
    assert service.hear("serving").startswith("serving 0")
    service.hear_all("replaced", "drained 0", "drained 1")
    service.tell(signal.SIGTERM)
    assert service.hear("drained") == "drained 0"
    assert service.wait() == 0


def test_where_the_new_crew_cannot_start_the_old_one_goes_on(supervise: Callable[..., Supervised]) -> None:
    service = supervise(
        f"PATIENCE = 1{SERVING}\nnew = Seats(1)\n"
        "answers = [Crew(new, [child(new.workers[0]), Child(new.keeper, lambda: 78)], 30), crew(Seats(1))]\n"
        "sys.exit(supervise(serving=lambda: say('ready'), replace=lambda *_: answers.pop(0), "
        "refused=lambda: say('refused'), replaced=lambda: say('replaced')).run())"
    )
    service.hear("ready")
    service.tell(signal.SIGHUP)
    service.hear("refused")
    service.tell(signal.SIGHUP)
    service.hear("replaced")
    service.tell(signal.SIGTERM)
    assert service.wait() == 0


def test_children_of_the_version_before_are_told_to_end_once(supervise: Callable[..., Supervised]) -> None:
    """Those that were told before are not told again, which they would take for haste."""
    script = f"""
PATIENCE = 1{SERVING}
told = []
signal.signal(signal.SIGTERM, lambda *_: (told.append(1), say("told", me)))
pids = []
for me, patience in (("serving", 2), ("leaving", 1)):
    pids.append(os.fork())
    if pids[-1] == 0:
        while len(told) < patience:
            time.sleep(0.02)
        os._exit(0)
heard = Heard(
    serving=lambda: say("ready"), replace=lambda pids, leaving: say("asked", len(pids), leaving),
    stopping=lambda: say("stopping"),
)
say("elders", pids)
sys.exit(Supervisor(crew(seats), heard, pids[:1], pids[1:]).run())
"""
    service = supervise(script)
    elders = service.hear("elders").removeprefix("elders ")
    assert service.hear("told") == "told serving"
    service.tell(signal.SIGHUP)
    assert service.hear("asked") == f"asked 3 {elders}", (
        "a third version takes over the children of the first"
    )
    service.tell(signal.SIGTERM)
    service.hear("stopping")
    assert {service.hear("told"), service.hear("told")} == {"told serving", "told leaving"}
    assert service.wait() == 0


def test_usr1_reaches_every_child(supervise: Callable[..., Supervised]) -> None:
    service = serving(supervise, "serving=lambda: say('ready')")
    service.hear("ready")
    service.tell(signal.SIGUSR1)
    assert {service.hear("reopened"), service.hear("reopened")} == {"reopened 0", "reopened 1"}
    service.tell(signal.SIGTERM)
    assert service.wait() == 0


def test_a_node_that_never_serves_gives_up(supervise: Callable[..., Supervised]) -> None:
    service = supervise(
        "sys.exit(Supervisor(Crew(seats, [Child(s, lambda: 1) for s in seats.workers], 1)).run())"
    )
    assert service.wait() == 1


def test_processes_that_are_killed_as_they_start_are_told_of(supervise: Callable[..., Supervised]) -> None:
    """They could not say why they end."""
    service = supervise(
        """
        import logging
        logging.basicConfig(stream=sys.stdout, format="%(message)s", level="ERROR")
        def die():
            os.kill(os.getpid(), signal.SIGBUS)
        sys.exit(Supervisor(Crew(seats, [Child(s, die) for s in seats.workers], 1)).run())
        """
    )
    service.hear("giving up: processes are killed as they start")
    assert service.wait() == 1


DYING = """
import mmap
lives = mmap.mmap(-1, 1)
def worker():
    seats.workers[0].enter(State.SERVING)
    lives[0] += 1
    if lives[0] <= 4:
        os.kill(os.getpid(), signal.SIGKILL)
    say("serves at last")
    return 0
def keeper():
    seats.keeper.enter(State.SERVING)
    signal.pause()
    return 0
seats = Seats(1)
sys.exit(Supervisor(Crew(seats, [Child(seats.workers[0], worker), Child(seats.keeper, keeper)], 1)).run())
"""


def test_a_node_whose_worker_dies_as_soon_as_it_serves_has_served(
    supervise: Callable[..., Supervised],
) -> None:
    """Whether or not the supervisor looked meanwhile."""
    service = supervise(DYING)
    service.hear("serves at last")
    service.tell(signal.SIGTERM)
    assert service.wait() == 0


def test_a_seat_waits_where_no_process_can_be_made(supervise: Callable[..., Supervised]) -> None:
    script = """
    import logging
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level="ERROR")
    fork, left = os.fork, [BlockingIOError(11, "no room"), OSError(12, "no memory")]
    def refusing():
        if left:
            raise left.pop(0)
        return fork()
    os.fork = refusing
    """
    service = supervise(f"{textwrap.dedent(script)}\nPATIENCE = 1{SERVING}\nsys.exit(supervise().run())")
    service.hear("cannot start a process")
    service.hear("cannot start a process")
    service.hear("serving")
    service.hear("serving")
    service.tell(signal.SIGTERM)
    assert service.wait() == 0


def test_children_end_when_the_supervisor_is_killed(supervise: Callable[..., Supervised]) -> None:
    service = serving(supervise)
    service.hear("serving")
    service.hear("serving")
    service.process.kill()
    assert {service.hear("drained"), service.hear("drained")} == {"drained 0", "drained 1"}


def test_a_child_does_not_begin_where_the_supervisor_has_died(supervise: Callable[..., Supervised]) -> None:
    script = """
    supervisor = os.getpid()
    def late():
        while os.getppid() == supervisor:
            time.sleep(0.01)
    os.register_at_fork(after_in_parent=lambda: os.kill(supervisor, signal.SIGKILL), after_in_child=late)
    """
    service = supervise(f"{textwrap.dedent(script)}\nPATIENCE = 1{SERVING}\nsupervise().run()")
    assert service.process.stdout is not None
    assert service.process.stdout.read() == "", "it ends, and says nothing"


def test_the_service_manager_hears_of_it(supervise: Callable[..., Supervised], tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(60)
        service = serving(supervise, NOTIFY_SOCKET=str(path), WATCHDOG_USEC="2000000")
        heard = ""
        deadline = time.monotonic() + 60
        while not ("READY=1" in heard and "WATCHDOG=1" in heard) and time.monotonic() < deadline:
            heard += manager.recv(4096).decode() + "\n"
        assert f"MAINPID={service.process.pid}" in heard
        service.tell(signal.SIGTERM)
        while "STOPPING=1" not in heard:
            heard += manager.recv(4096).decode() + "\n"
    assert service.wait() == 0


SHARING = """
import gc
KEPT = [[number] for number in range(200_000)]  # some 20 MiB that the collector knows
def own_kib():
    with open("/proc/self/smaps_rollup") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:"))
def child(seat):
    def run():
        gc.collect()
        say("own", own_kib())
        signal.pause()
        return 0
    return Child(seat, run)
sys.exit(Supervisor(Crew(seats, [child(seat) for seat in seats.workers], 30), Heard()).run())
"""


def test_children_share_what_was_made_before_them(supervise: Callable[..., Supervised]) -> None:
    """The collector writes to each object that it looks at, and a page that is written to is shared no more."""
    service = supervise(SHARING)
    for _ in range(2):
        assert int(service.hear("own").split()[1]) < 10_000


def test_a_child_that_is_told_to_end_before_it_listens_ends_in_order(
    supervise: Callable[..., Supervised],
) -> None:
    """The keeper has something to save, and may be slow to begin."""
    started = supervise(
        """
        def late():
            say("begun")
            while signal.SIGTERM not in signal.sigpending():
                time.sleep(0.01)
            signal.signal(signal.SIGTERM, lambda *_: say("told"))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            say("ended")
            return 0
        seats = Seats(1)
        sys.exit(Supervisor(Crew(seats, [Child(seats.keeper, late, listens=True)], 30)).run())
        """
    )
    started.hear("begun")
    started.tell(signal.SIGTERM)
    started.hear("told")
    started.hear("ended")
    assert started.wait() == 0
