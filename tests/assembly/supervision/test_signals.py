"""A process that is stopped and goes on, as in a container that is paused, takes no signal for another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from registry_mesh.assembly.supervision.signals import awaited

WAITING = """
import signal
from registry_mesh.assembly.supervision.signals import awaited
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGHUP])
while True:
    print(number := awaited([signal.SIGTERM, signal.SIGHUP], 0.02), flush=True)
    if number == signal.SIGTERM:
        break
"""


@pytest.fixture
def blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGUSR2])
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_each_signal_is_taken_once(blocked: None) -> None:
    for number in (signal.SIGUSR2, signal.SIGUSR1):
        signal.pthread_kill(threading.get_ident(), number)  # other threads do not block it
    both = [signal.SIGUSR1, signal.SIGUSR2]
    assert {awaited(both, 60), awaited(both, 60)} == set(both)
    assert awaited(both, 0.01) is None


def test_a_pause_is_no_signal() -> None:
    with subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(20):
            assert process.stdout.readline() == "None\n"
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
            time.sleep(0.05)  # longer than it waits
            process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        *said, last = process.stdout.read().split()
    assert set(said) <= {"None", "1"} and said.count("1") <= 1 and last == "15"
